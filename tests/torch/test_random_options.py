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


def _linear(rng: Rng) -> Drawn:
    inside, outside = _sizes(rng, 1, 40, 2)
    lead = _sizes(rng, 1, 6, int(rng.integers(1, 4)))
    bias = _normal(rng, outside) if rng.random() < 0.6 else None
    return [_normal(rng, *lead, inside), _normal(rng, outside, inside), bias], {}


def _affine(rng: Rng, *shape: int) -> list[Any]:
    """A weight and a bias, or neither."""
    return [rng.uniform(0.5, 1.5, shape), _normal(rng, *shape)] if rng.random() < 0.7 else [None, None]


def _layer_norm(rng: Rng) -> Drawn:
    shape = _sizes(rng, 2, 9, int(rng.integers(2, 5)))
    inner = shape[int(rng.integers(1, len(shape))) :]
    return [_normal(rng, *shape), inner, *_affine(rng, *inner)], {"eps": float(rng.choice([1e-5, 1e-2]))}


def _group_norm(rng: Rng) -> Drawn:
    groups = int(rng.integers(1, 5))
    channels = groups * int(rng.integers(1, 9))
    x = _normal(rng, int(rng.integers(1, 5)), channels, *_sizes(rng, 3, 8, int(rng.integers(1, 4))))
    return [x, groups, *_affine(rng, channels)], {"eps": float(rng.choice([1e-5, 1e-2]))}


def _batch_norm(rng: Rng) -> Drawn:
    channels, training = int(rng.integers(1, 40)), bool(rng.random() < 0.6)
    x = _normal(rng, int(rng.integers(4, 9)), channels, *_sizes(rng, 2, 8, int(rng.integers(0, 4))))
    running = [None, None] if training else [_normal(rng, channels), rng.uniform(0.5, 2, channels)]
    return [x, *running, *_affine(rng, channels), training], {"eps": float(rng.choice([1e-5, 1e-2]))}


def _instance_norm(rng: Rng) -> Drawn:
    channels = int(rng.integers(1, 20))
    x = _normal(rng, int(rng.integers(1, 5)), channels, *_sizes(rng, 3, 8, int(rng.integers(1, 4))))
    return [x, None, None, *_affine(rng, channels)], {"eps": float(rng.choice([1e-5, 1e-2]))}


def _adaptive(axes: int) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        x = _images(rng, axes, int(rng.integers(1, 20)), 3)
        return [x], {"output_size": _sizes(rng, 1, 9, axes) if rng.random() < 0.7 else int(rng.integers(1, 6))}

    return draw


def _pointwise(**fixed: Callable[[Rng], Any]) -> Callable[[Rng], Drawn]:
    """An activation: numbers of all sizes, away from 0 and whole numbers, where there are kinks."""

    def draw(rng: Rng) -> Drawn:
        x = _normal(rng, *_sizes(rng, 1, 12, int(rng.integers(1, 5)))) * rng.choice([0.3, 3.0, 30.0])
        return [np.where(np.abs(x - np.round(x)) < 1e-3, x + 0.01, x)], {k: v(rng) for k, v in fixed.items()}

    return draw


def _along(rng: Rng) -> Drawn:
    shape = _sizes(rng, 1, 12, int(rng.integers(1, 5)))
    return [_normal(rng, *shape) * 5], {"dim": int(rng.integers(-len(shape), len(shape)))}


def _glu(rng: Rng) -> Drawn:
    shape = [2 * n for n in _sizes(rng, 1, 7, int(rng.integers(1, 4)))]
    return [_normal(rng, *shape)], {"dim": int(rng.integers(-len(shape), len(shape)))}


def _prelu(rng: Rng) -> Drawn:
    channels = int(rng.integers(1, 20))
    x = _normal(rng, 3, channels, *_sizes(rng, 1, 6, int(rng.integers(0, 3))))
    return [x, _normal(rng, channels if rng.random() < 0.7 else 1)], {}


def _binary(rng: Rng) -> Drawn:
    n, d = _sizes(rng, 1, 9, 2)
    options = _reduction(rng)
    if rng.random() < 0.5:
        options["weight"] = rng.uniform(0.3, 2, d)
    return [_share(rng, n, d), _share(rng, n, d)], options


def _multilabel(rng: Rng) -> Drawn:
    n, classes = _sizes(rng, 2, 9, 2)
    target = np.full((n, classes), -1)
    for row in target:
        count = int(rng.integers(0, classes + 1))
        row[:count] = rng.permutation(classes)[:count]
    return [_normal(rng, n, classes), target], _reduction(rng)


def _multilabel_soft(rng: Rng) -> Drawn:
    n, classes = _sizes(rng, 2, 9, 2)
    return [_normal(rng, n, classes) * 3, rng.integers(0, 2, (n, classes)).astype(float)], _reduction(rng)


def _gaussian(rng: Rng) -> Drawn:
    shape = _sizes(rng, 2, 7, int(rng.integers(1, 4)))
    wide = shape if rng.random() < 0.5 else (*shape[:-1], 1)
    options = {**_reduction(rng), "full": bool(rng.random() < 0.5)}
    return [_normal(rng, *shape), _normal(rng, *shape), rng.uniform(0.1, 3, wide)], options


def _positive(rng: Rng) -> float:
    return float(rng.uniform(0.2, 3))


CASES: dict[str, Callable[[Rng], Drawn]] = {
    "linear": _linear,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    **{f"adaptive_{kind}_pool{n}d": _adaptive(n) for kind in ("avg", "max") for n in (1, 2, 3)},
    **{
        name: _pointwise()
        for name in (
            "relu",
            "relu6",
            "selu",
            "gelu",
            "silu",
            "mish",
            "sigmoid",
            "tanh",
            "logsigmoid",
            "softsign",
            "tanhshrink",
            "hardswish",
        )
    },
    "leaky_relu": _pointwise(negative_slope=_positive),
    "elu": _pointwise(alpha=_positive),
    "hardtanh": _pointwise(min_val=lambda rng: -_positive(rng), max_val=_positive),
    "hardshrink": _pointwise(lambd=_positive),
    "softshrink": _pointwise(lambd=_positive),
    "threshold": _pointwise(threshold=_positive, value=_positive),
    "softplus": _pointwise(beta=_positive, threshold=lambda rng: 20.0),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), _along),
    "glu": _glu,
    "prelu": _prelu,
    "binary_cross_entropy": _binary,
    "multilabel_margin_loss": _multilabel,
    "multilabel_soft_margin_loss": _multilabel_soft,
    "gaussian_nll_loss": _gaussian,
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
    if name == "batch_norm":
        floats[1] = floats[2] = False
    return floats


def _theirs(name: str, operands: list[Any], options: dict[str, Any], wanted: list[bool]) -> tuple[Any, list[Any]]:
    tensors = [torch.tensor(x, requires_grad=w) if isinstance(x, np.ndarray) else x for x, w in zip(operands, wanted)]
    given = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    return getattr(TF, name)(*tensors, **given), tensors


def _compare(name: str, operands: list[Any], options: dict[str, Any], dtype: str) -> None:
    operands = [_converted(x, dtype) for x in operands]
    options = {k: _converted(v, dtype) for k, v in options.items()}
    wanted = _differentiable(name, operands)
    right, references = _theirs(name, operands, options, wanted)
    tensors = [fastnn.Tensor(x, w) if isinstance(x, np.ndarray) else x for x, w in zip(operands, wanted)]
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
