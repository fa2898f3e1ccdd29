"""Rows of the losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn.autograd import OPS
from fastnn.reference import loss as reference
from fastnn.reference import loss_elementwise as elementwise
from tests.cases import Array, OpCase, normal, positive

REDUCTIONS = ("none", "mean", "sum")


def _logits(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Array:
    return normal(rng, *shape, dtype=dtype) * 3


def _labels(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.integers(0, shape[1], shape[:1] + shape[2:])


def _distribution(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Array:
    t = positive(rng, *shape)
    return (t / t.sum(axis=1, keepdims=True)).astype(dtype)


def _ranked(
    op: str,
    definition: Callable[..., Array],
    suffix: str,
    shape: tuple[int, ...],
    *,
    soft: bool = False,
    weighted: bool = False,
    ignore: bool = False,
    **options: Any,
) -> OpCase:
    """A row for a loss of rows of scores and their classes."""

    def draw(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Any:
        x = _logits(rng, dtype, shape)
        t = _distribution(rng, dtype, shape) if soft else _labels(rng, shape)
        if ignore:
            t.reshape(-1)[::3] = options["ignore_index"]
        return (x, t, positive(rng, shape[1], dtype=dtype) if weighted else None), options

    def defined(x: Array, t: Array, w: Array | None = None, **options: Any) -> Array:
        return definition(x, t, weight=w, **options)

    return OpCase(
        f"{op}-{suffix}",
        op,
        lambda rng, dtype: draw(rng, dtype, shape),
        defined,
        lambda x, t, w, **options: OPS[op](x, t, weight=w, **options),
        grads=(0, 1) if soft else (0,),
        batch=(0, 1) if options.get("reduction") == "none" else (),
        large=lambda rng, dtype: draw(rng, dtype, (4000, *shape[1:])),
        kernel=op == "cross_entropy",
        rtol=2e-5,
        saved=4.0,
    )


def _by_samples(suffix: str, soft: bool, reduction: str) -> OpCase:
    """Cross-entropy with a factor for each sample, with all other options."""
    options: dict[str, Any] = {"label_smoothing": 0.1, "reduction": reduction, "ignore_index": -100 if soft else 2}
    shape = (6, 5, 2, 3)

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        t = _distribution(rng, dtype, shape) if soft else _labels(rng, shape)
        factor = rng.uniform(0, 2, (6, 2, 3)).astype(dtype)
        factor[0] = 0
        return (_logits(rng, dtype, shape), t, positive(rng, 5, dtype=dtype), factor), options

    def defined(x: Array, t: Array, w: Array, factor: Array, reduction: str, **options: Any) -> Array:
        each = factor * reference.cross_entropy_fwd(x, t, w, reduction="none", **options)
        if reduction != "mean":
            return each if reduction == "none" else np.asarray(each.sum())
        return np.asarray(each.sum() / (factor if soft else (factor * w[t])[t != 2]).sum())

    def call(*tensors: Any, **options: Any) -> Any:
        return OPS["cross_entropy"](*tensors, **options)

    name, wanted = f"cross_entropy-{suffix}-{reduction}", (0, 1) if soft else (0,)
    return OpCase(name, "cross_entropy", sample, defined, call, grads=wanted, rtol=2e-5, saved=4.0)


def _cross_entropy(suffix: str, shape: tuple[int, ...], **more: Any) -> OpCase:
    return _ranked("cross_entropy", reference.cross_entropy_fwd, suffix, shape, **more)


def _each(
    op: str, definition: Callable[..., Array], suffix: str, target: Callable[..., Array], **options: Any
) -> OpCase:
    """A row for a loss of elements and their targets."""

    def draw(rng: np.random.Generator, dtype: Any, *shape: int) -> Any:
        rate = options.get("log_input") is False
        x = (positive if rate else _probability if op == "binary_cross_entropy" else normal)(rng, *shape)
        return (x.astype(dtype), target(rng, *shape).astype(dtype)), options

    return OpCase(
        f"{op}-{suffix}",
        op,
        lambda rng, dtype: draw(rng, dtype, 3, 5, 7),
        definition,
        batch=(0, 1) if options.get("reduction") == "none" else (),
        large=lambda rng, dtype: draw(rng, dtype, 7, 16411),
        rtol=2e-5,
        saved=1.0,
    )


def _apart(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(2.6, 4.0, shape) * rng.choice([-1, 1], shape)


def _probability(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(0.1, 0.9, shape)


def _sign(rng: np.random.Generator, *shape: int) -> Array:
    return rng.choice([-1.0, 1.0], shape)


def _count(rng: np.random.Generator, *shape: int) -> Array:
    return rng.uniform(0.1, 5.0, shape)


def _gaussian(suffix: str, shape: tuple[int, ...], **options: Any) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        mean, observed = (normal(rng, 3, 4, 5, dtype=dtype) for _ in range(2))
        return (mean, observed, positive(rng, *shape, dtype=dtype)), options

    return OpCase(f"gaussian_nll_loss-{suffix}", "gaussian_nll_loss", sample, reference.gaussian_nll_fwd,
                  kernel=False, rtol=2e-5, saved=4.0)  # fmt: skip


def _multilabel(reduction: str) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        target = np.full((5, 7), -1)
        for row, count in zip(target, (0, 1, 3, 7, 2), strict=True):
            row[:count] = rng.permutation(7)[:count]
        target[4, 3] = 5  # behind the end, not looked at
        return (normal(rng, 5, 7, dtype=dtype) * 2, target), {"reduction": reduction}

    return OpCase(f"multilabel_margin_loss-{reduction}", "multilabel_margin_loss", sample,
                  reference.multilabel_margin_fwd, kernel=False, rtol=2e-5, saved=20.0)  # fmt: skip


def _pointwise_weighted(op: str, definition: Callable[..., Array], reduction: str) -> OpCase:
    """A factor for each loss; the mean of the squared and absolute error divides by their sum, Huber's does not."""

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        x, w = _apart(rng, 3, 4).astype(dtype), positive(rng, 3, 4, dtype=dtype)
        return (x, normal(rng, 3, 4, dtype=dtype) * 0.1, w), {"reduction": reduction}

    def defined(x: Array, t: Array, w: Array, reduction: str) -> Array:
        each = definition(x, t, reduction="none") * w
        count = w.size if op == "huber_loss" else w.sum()
        return each if reduction == "none" else each.sum() / (1 if reduction == "sum" else count)

    def call(x: Any, t: Any, w: Any, reduction: str) -> Any:
        return OPS[op](x, t, weight=w, reduction=reduction)

    return OpCase(f"{op}-weight-{reduction}", op, sample, defined, call, grads=(0, 1), rtol=2e-5, saved=6.0)


def _soft_margin(x: Array, t: Array, reduction: str = "mean") -> Array:
    loss = np.logaddexp(0, -t * x)
    return loss if reduction == "none" else np.asarray(getattr(loss, reduction)())


def _weighted_bce(op: str, definition: Callable[..., Array], positive_weight: bool) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        x = rng.uniform(0.1, 0.9, (3, 4)).astype(dtype)
        weights = {"pos_weight": positive(rng, 4, dtype=dtype)} if positive_weight else {}
        return (x, _probability(rng, 3, 4).astype(dtype), positive(rng, 3, 1, dtype=dtype)), weights

    def defined(x: Array, t: Array, w: Array, **options: Any) -> Array:
        return definition(x, t, weight=w, **options)

    suffix = "positive-weight" if positive_weight else "weight"
    return OpCase(f"{op}-{suffix}", op, sample, defined, grads=(0, 1), rtol=2e-5, saved=6.0)


CASES = [
    *(_cross_entropy(r, (7, 10), reduction=r) for r in REDUCTIONS),
    _cross_entropy("many-classes", (5, 1000)),
    _cross_entropy("odd-classes", (33, 37), label_smoothing=0.1),
    _cross_entropy("images", (2, 5, 3, 4), ignore=True, ignore_index=2),
    _cross_entropy("images-none", (2, 5, 3, 4), reduction="none", ignore=True, ignore_index=-1, weighted=True),
    _cross_entropy("weighted", (9, 17), weighted=True),
    *(_cross_entropy(f"all-{r}", (9, 20), weighted=True, ignore=True, ignore_index=-7, label_smoothing=0.2, reduction=r)
      for r in REDUCTIONS),
    *(_cross_entropy(f"soft-{r}", (7, 19), soft=True, reduction=r) for r in REDUCTIONS),
    *(_cross_entropy(f"soft-all-{r}", (2, 5, 3, 4), soft=True, weighted=True, label_smoothing=0.1, reduction=r)
      for r in REDUCTIONS),
    *(_by_samples("soft-samples" if soft else "samples", soft, r) for soft in (False, True) for r in REDUCTIONS),
    *(_ranked("nll_loss", reference.nll_fwd, r, (7, 10), reduction=r) for r in REDUCTIONS),
    _ranked("nll_loss", reference.nll_fwd, "images", (2, 5, 3, 4), weighted=True, ignore=True, ignore_index=1),
    *(_ranked("multi_margin_loss", reference.multi_margin_fwd, r, (7, 10), reduction=r) for r in REDUCTIONS),
    _ranked("multi_margin_loss", reference.multi_margin_fwd, "squared", (6, 5), weighted=True, p=2, margin=0.7),
    *(
        _each(op, definition, r, target, reduction=r)
        for op, definition, target in (
            ("mse_loss", elementwise.mse_fwd, normal),
            ("l1_loss", elementwise.l1_fwd, _apart),
            ("smooth_l1_loss", elementwise.smooth_l1_fwd, normal),
            ("huber_loss", elementwise.huber_fwd, normal),
            ("soft_margin_loss", _soft_margin, _sign),
            ("binary_cross_entropy", elementwise.bce_fwd, _probability),
            ("binary_cross_entropy_with_logits", elementwise.bce_with_logits_fwd, _probability),
            ("kl_div", elementwise.kl_div_fwd, _probability),
        )
        for r in REDUCTIONS
    ),
    _each("smooth_l1_loss", elementwise.smooth_l1_fwd, "beta", normal, beta=0.3),
    _each("smooth_l1_loss", elementwise.smooth_l1_fwd, "beta-0", _apart, beta=0.0),
    _each("huber_loss", elementwise.huber_fwd, "delta", normal, delta=0.3),
    _each("kl_div", elementwise.kl_div_fwd, "batchmean", _probability, reduction="batchmean"),
    _each("kl_div", elementwise.kl_div_fwd, "log-target", normal, log_target=True),
    *(
        _each(op, definition, f"{suffix}-{r}", target, reduction=r, **options)
        for op, definition, suffix, target, options in (
            ("hinge_embedding_loss", reference.hinge_embedding_fwd, "plain", _sign, {}),
            ("hinge_embedding_loss", reference.hinge_embedding_fwd, "margin", _sign, {"margin": 0.3}),
            ("poisson_nll_loss", reference.poisson_nll_fwd, "log", _count, {}),
            ("poisson_nll_loss", reference.poisson_nll_fwd, "full", _count, {"full": True}),
            ("poisson_nll_loss", reference.poisson_nll_fwd, "rate", _count, {"log_input": False, "eps": 1e-3}),
        )
        for r in REDUCTIONS
    ),
    *(_gaussian(f"{name}-{r}", shape, reduction=r, full=name == "full")
      for name, shape in (("each", (3, 4, 5)), ("full", (3, 4, 1)), ("short", (3, 4)), ("broadcast", (4, 1)))
      for r in REDUCTIONS),
    *(_multilabel(r) for r in REDUCTIONS),
    *(_pointwise_weighted(op, definition, r)
      for op, definition in (("mse_loss", elementwise.mse_fwd), ("l1_loss", elementwise.l1_fwd),
                             ("huber_loss", elementwise.huber_fwd))
      for r in REDUCTIONS),
    _weighted_bce("binary_cross_entropy", elementwise.bce_fwd, False),
    _weighted_bce("binary_cross_entropy_with_logits", elementwise.bce_with_logits_fwd, False),
    _weighted_bce("binary_cross_entropy_with_logits", elementwise.bce_with_logits_fwd, True),
]  # fmt: skip
