"""Layers and losses against PyTorch over shapes and options drawn at random, in float64 and in float32.

Each case draws its arguments from a seeded generator, and draws again where they make no sense together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:Using padding='same'"),
    pytest.mark.filterwarnings("ignore:reduction. 'mean' divides"),
]

Rng = np.random.Generator
Drawn = tuple[list[Any], dict[str, Any]]  # operands (float arrays get gradients) and options
DRAWS = 12


def _sizes(rng: Rng, low: int, high: int, count: int) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(low, high, count))


def _normal(rng: Rng, *shape: int) -> Any:
    return rng.standard_normal(shape)


def _images(rng: Rng, axes: int, channels: int, low: int = 5, high: int = 12) -> Any:
    batch = (int(rng.integers(1, 4)),) if rng.random() < 0.8 else ()
    return _normal(rng, *batch, channels, *_sizes(rng, low, high, axes))


def _conv(axes: int) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        groups = int(rng.choice([1, 1, 2, 3]))
        inside, outside = (groups * int(n) for n in rng.integers(1, 9, 2))
        kernel = _sizes(rng, 1, 4, axes)
        stride, dilation = _sizes(rng, 1, 4, axes), _sizes(rng, 1, 3, axes)
        padding: Any = _sizes(rng, 0, 4, axes)
        if rng.random() < 0.3:
            padding, stride = str(rng.choice(["same", "valid"])), (1,) * axes
        bias = _normal(rng, outside) if rng.random() < 0.6 else None
        weight = _normal(rng, outside, inside // groups, *kernel)
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return [_images(rng, axes, inside, 7), weight, bias], options

    return draw


def _conv_transpose(axes: int) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        groups = int(rng.choice([1, 1, 2, 3]))
        inside, outside = (groups * int(n) for n in rng.integers(1, 9, 2))
        kernel = _sizes(rng, 1, 5, axes)
        stride, dilation = _sizes(rng, 1, 4, axes), _sizes(rng, 1, 4, axes)
        more = tuple(int(rng.integers(0, max(pair))) for pair in zip(stride, dilation, strict=True))
        options = {
            "stride": stride, "padding": _sizes(rng, 0, 3, axes), "output_padding": more, "groups": groups,
            "dilation": dilation,
        }  # fmt: skip
        bias = _normal(rng, outside) if rng.random() < 0.6 else None
        weight = _normal(rng, inside, outside // groups, *kernel)
        return [_images(rng, axes, inside, 4, 8), weight, bias], options

    return draw


def _windows(rng: Rng, axes: int) -> dict[str, Any]:
    kernel = _sizes(rng, 1, 4, axes)
    stride = None if rng.random() < 0.3 else _sizes(rng, 1, 4, axes)
    return {"kernel_size": kernel, "stride": stride, "ceil_mode": bool(rng.random() < 0.5)}


def _pool(axes: int, kind: str) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        options = _windows(rng, axes)
        options["padding"] = tuple(int(rng.integers(0, k // 2 + 1)) for k in options["kernel_size"])
        if kind == "max":
            options["dilation"] = _sizes(rng, 1, 3, axes)
        else:
            options["count_include_pad"] = bool(rng.random() < 0.5)
        return [_images(rng, axes, int(rng.integers(1, 20)), 6)], options

    return draw


def _lp_pool(axes: int) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        options = _windows(rng, axes)
        if axes == 1:
            options = {k: v[0] if isinstance(v, tuple) else v for k, v in options.items()}
        options["norm_type"] = float(rng.choice([1.0, 1.5, 2.0, 3.0, 4.0]))
        return [np.abs(_images(rng, axes, int(rng.integers(1, 9)), 6)) + 0.1], options

    return draw


def _unfold(rng: Rng) -> Drawn:
    names = {"kernel_size": (1, 4), "dilation": (1, 3), "padding": (0, 3), "stride": (1, 4)}
    return [_images(rng, 2, int(rng.integers(1, 5)), 7)], {k: _sizes(rng, *v, 2) for k, v in names.items()}


def _fold(rng: Rng) -> Drawn:
    (image,), options = _unfold(rng)
    columns = TF.unfold(torch.from_numpy(image), **options).shape
    return [_normal(rng, *columns)], {"output_size": image.shape[-2:], **options}


def _pad(rng: Rng) -> Drawn:
    axes = int(rng.integers(1, 4))
    mode = str(rng.choice(["constant", "reflect", "replicate", "circular"]))
    low = -2 if mode == "constant" else 0
    options: dict[str, Any] = {"pad": _sizes(rng, low, 4, 2 * axes), "mode": mode}
    if mode == "constant":
        options["value"] = 1.5
    return [_normal(rng, 2, 3, *_sizes(rng, 5, 8, axes))], options


def _reduction(rng: Rng) -> dict[str, Any]:
    return {"reduction": str(rng.choice(["none", "mean", "sum"]))}


def _scores(rng: Rng) -> tuple[int, ...]:
    return (int(rng.integers(1, 9)), int(rng.integers(2, 12)), *_sizes(rng, 1, 5, int(rng.integers(0, 3))))


def _cross_entropy(rng: Rng) -> Drawn:
    shape = _scores(rng)
    options = {**_reduction(rng), "label_smoothing": float(rng.choice([0.0, 0.15]))}
    weight = rng.uniform(0.3, 2, shape[1]) if rng.random() < 0.5 else None
    if weight is not None:
        options["weight"] = weight
    if rng.random() < 0.4:
        soft = rng.uniform(0, 1, shape)
        return [_normal(rng, *shape) * 4, soft / soft.sum(1, keepdims=True)], options
    target = rng.integers(0, shape[1], shape[:1] + shape[2:])
    if rng.random() < 0.5:
        options["ignore_index"] = int(target.flat[0])
        target.flat[-1] = (target.flat[0] + 1) % shape[1]
    return [_normal(rng, *shape) * 4, target], options


def _nll(rng: Rng) -> Drawn:
    shape = _scores(rng)
    return [_normal(rng, *shape), rng.integers(0, shape[1], shape[:1] + shape[2:])], _reduction(rng)


def _hinge(rng: Rng) -> Drawn:
    n, classes = _sizes(rng, 2, 9, 2)
    options = {**_reduction(rng), "p": int(rng.integers(1, 3)), "margin": float(rng.uniform(0.2, 2))}
    return [_normal(rng, n, classes), rng.integers(0, classes, n)], options


def _elements(target: Callable[..., Any], **fixed: Callable[[Rng], Any]) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        shape = _sizes(rng, 1, 8, int(rng.integers(1, 4)))
        options = {**_reduction(rng), **{name: value(rng) for name, value in fixed.items()}}
        return [_normal(rng, *shape) * 2, target(rng, *shape)], options

    return draw


def _share(rng: Rng, *shape: int) -> Any:
    return rng.uniform(0.05, 0.95, shape)


def _sign(rng: Rng, *shape: int) -> Any:
    return rng.choice([-1.0, 1.0], shape)


def _vectors(count: int, signs: bool = False, **fixed: Callable[[Rng], Any]) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        n, d = _sizes(rng, 1, 9, 2)
        vectors = [_normal(rng, n, d + 1) for _ in range(count)]
        options = {**_reduction(rng), **{name: value(rng) for name, value in fixed.items()}}
        return [*vectors, *([rng.choice([-1, 1], n)] if signs else [])], options

    return draw


CASES: dict[str, Callable[[Rng], Drawn]] = {
    **{f"conv{n}d": _conv(n) for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _conv_transpose(n) for n in (1, 2, 3)},
    **{f"max_pool{n}d": _pool(n, "max") for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _pool(n, "avg") for n in (1, 2, 3)},
    **{f"lp_pool{n}d": _lp_pool(n) for n in (1, 2, 3)},
    "unfold": _unfold,
    "fold": _fold,
    "pad": _pad,
    "cross_entropy": _cross_entropy,
    "nll_loss": _nll,
    "multi_margin_loss": _hinge,
    "mse_loss": _elements(_normal),
    "l1_loss": _elements(_normal),
    "smooth_l1_loss": _elements(_normal, beta=lambda rng: float(rng.uniform(0.1, 2))),
    "huber_loss": _elements(_normal, delta=lambda rng: float(rng.uniform(0.1, 2))),
    "soft_margin_loss": _elements(_sign),
    "hinge_embedding_loss": _elements(_sign, margin=lambda rng: float(rng.uniform(0.1, 2))),
    "kl_div": _elements(_share),
    "binary_cross_entropy_with_logits": _elements(_share),
    "poisson_nll_loss": _elements(lambda rng, *s: rng.uniform(0, 6, s), full=lambda rng: bool(rng.random() < 0.5)),
    "cosine_embedding_loss": _vectors(2, True, margin=lambda rng: float(rng.uniform(-0.5, 0.5))),
    "triplet_margin_loss": _vectors(
        3, p=lambda rng: float(rng.choice([1.0, 2.0, 3.0])), swap=lambda rng: bool(rng.random() < 0.5)
    ),
    "margin_ranking_loss": lambda rng: (
        [_normal(rng, 7), _normal(rng, 7), rng.choice([-1.0, 1.0], 7)],
        {**_reduction(rng), "margin": float(rng.uniform(0, 1))},
    ),
}
WITHOUT_TARGET_GRADIENT = {"hinge_embedding_loss", "margin_ranking_loss", "soft_margin_loss"}


def _converted(value: Any, dtype: str) -> Any:
    return value.astype(dtype) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


def _differentiable(name: str, operands: list[Any]) -> list[bool]:
    floats = [isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in operands]
    if name in WITHOUT_TARGET_GRADIENT:
        floats[-1] = False
    return floats


def _theirs(name: str, operands: list[Any], options: dict[str, Any], wanted: list[bool]) -> tuple[Any, list[Any]]:
    tensors = [torch.tensor(x, requires_grad=w) if x is not None else None for x, w in zip(operands, wanted)]
    given = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    return getattr(TF, name)(*tensors, **given), tensors


def _compare(name: str, operands: list[Any], options: dict[str, Any], dtype: str) -> None:
    operands = [_converted(x, dtype) for x in operands]
    options = {k: _converted(v, dtype) for k, v in options.items()}
    wanted = _differentiable(name, operands)
    right, references = _theirs(name, operands, options, wanted)
    tensors = [fastnn.Tensor(x, w) if x is not None else None for x, w in zip(operands, wanted)]
    given = {k: fastnn.Tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    y = getattr(F, name)(*tensors, **given)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
    y.backward(dy)
    right.backward(torch.from_numpy(np.asarray(dy)))
    pairs = [(y.data, right.detach().numpy())]
    pairs += [(t.grad.data, r.grad.numpy()) for t, r, w in zip(tensors, references, wanted) if w]  # type: ignore[union-attr]
    for ours, theirs in pairs:
        # Sums of n products err by about sqrt(n) units of their size, not of the sum's own.
        size = float(np.abs(theirs).max(initial=0))
        tolerance = 1e-10 if dtype == "float64" else 1e-5
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * max(size, 1))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_random_options(name: str, dtype: str) -> None:
    rng = np.random.default_rng([len(name), *name.encode()])
    done = 0
    for _ in range(10 * DRAWS):
        operands, options = CASES[name](rng)
        try:
            _theirs(name, operands, options, _differentiable(name, operands))
        except (RuntimeError, ValueError):
            continue  # PyTorch finds that they do not fit
        _compare(name, operands, options, dtype)
        done += 1
        if done == DRAWS:
            return
    raise AssertionError(f"only {done} of {DRAWS} draws made sense")
