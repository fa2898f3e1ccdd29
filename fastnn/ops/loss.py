"""Losses of a row of scores and its class: cross-entropy, negative log-likelihood, hinge. Names and semantics are
PyTorch's, with its deprecated `size_average` and `reduce` left out and what follows them by keyword.

Losses of an element and its own target are in `pointwise_loss`; all of them can be imported from here.
"""

from __future__ import annotations

import math

import numpy as np

from .. import _C
from ..autograd import Array, Grads, Needs, op
from .layout import from_rows, rows
from .likelihood_loss import gaussian_nll_loss, poisson_nll_loss
from .multilabel_loss import multilabel_margin_loss, multilabel_soft_margin_loss
from .pointwise_loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from .ranking_loss import (
    cosine_embedding_loss,
    margin_ranking_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from .reduction import Loss, check_reduction, need_real, reduced, scalar

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cross_entropy",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss",
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss",
    "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def _score_rows(name: str, x: Array) -> Array:
    """Scores as a contiguous (rows, C) matrix."""
    need_real(name, x)
    if x.ndim == 0:
        raise ValueError(f"{name}: expected input of shape (C,) or (N, C, *), got a scalar")
    if x.ndim > 2:
        return rows(x)
    if not x.flags.c_contiguous:
        x = np.ascontiguousarray(x)
    return x if x.ndim == 2 else x[None]


def _public(dx: Array, shape: tuple[int, ...]) -> Array:
    return dx.reshape(shape) if len(shape) < 3 else from_rows(dx, shape)


def _classes(name: str, x: Array, target: Array, ignored: int | None) -> Array:
    """Class indices as contiguous int64, one a row, each checked to be a class or the ignored index."""
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected class indices of an integer dtype, got {target.dtype}")
    wanted = x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()
    if target.shape != wanted:
        raise ValueError(f"{name}: expected target of shape {wanted} for input {x.shape}, got {target.shape}")
    labels = target
    if target.ndim != 1 or target.dtype != np.int64 or not target.flags.c_contiguous:
        labels = np.ascontiguousarray(target, np.int64).reshape(-1)
    classes = x.shape[1] if x.ndim > 1 else x.shape[0]
    bad = _C.first_bad_target(labels, classes, -1 if ignored is None else ignored)
    if bad >= 0 or (ignored is None and labels.size and labels.min() < 0):
        worst = labels[bad] if bad >= 0 else labels.min()
        also = "" if ignored is None else f" (or {ignored}, which is ignored)"
        raise ValueError(f"{name}: expected targets from 0 to {classes - 1}{also}, got {worst}")
    return labels


def _class_weight(name: str, x: Array, weight: Array | None) -> Array | None:
    if weight is None:
        return None
    classes = x.shape[1] if x.ndim > 1 else x.shape[0]
    if weight.shape != (classes,):
        raise ValueError(f"{name}: expected a weight for each of {classes} classes, got shape {weight.shape}")
    if weight.dtype != x.dtype:
        raise TypeError(f"{name}: expected weight of the input's dtype {x.dtype}, got {weight.dtype}")
    return np.ascontiguousarray(weight)


@op
def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    sample_weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Loss:
    """Cross-entropy of logits, softmax included: `-sum_c q_c log_softmax(input)_c`.

    For class indices `q_c = w_c ((1 - s) [c = target] + s / C)`, for distributions `q_c = w_c ((1 - s) target_c
    + s / C)`, s the label smoothing. Finite for any finite logits.

    Args:
        input: logits, float32 or float64.
        target: class indices of an integer dtype, or distributions of the input's dtype.
        weight: class weights w, 1 by default; no gradient flows to them.
        sample_weight: a factor for each row, at least 0: a row with factor 2 counts as if it were there twice. No
            gradient flows to them. PyTorch has no such argument.
        ignore_index: rows with this index do not count; for class indices only.
        reduction: "mean" divides the sum by the total weight of the targets (class indices) or the number of
            rows (distributions); "sum"; "none".
        label_smoothing: s, from 0 to 1.

    Shape:
        input: (N, C, *) or (C,). target: (N, *) or () for indices, that of `input` for distributions.
        weight: (C,). sample_weight: (N, *) or (). Result: (), or with reduction "none" (N, *) or ().

    Raises:
        ValueError: if shapes do not fit, a target is no class, or an option is out of its range.
        TypeError: if a dtype does not fit.

    Source: label smoothing from Szegedy et al., arXiv:1512.00567.

    Example:
        >>> cross_entropy(fastnn.tensor([[0.0, 0.0]]), fastnn.tensor([1]))
        tensor(0.6931)
    """
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: expected label_smoothing from 0 to 1, got {label_smoothing}")
    x = _score_rows("cross_entropy", input)
    w = _class_weight("cross_entropy", input, weight)
    soft = target.dtype.kind == "f"
    if soft:
        if target.shape != input.shape or target.dtype != input.dtype:
            raise ValueError(
                f"cross_entropy: expected distributions like the input, {input.dtype} {input.shape}, "
                f"got {target.dtype} {target.shape}"
            )
        labels = _score_rows("cross_entropy", target)
    else:
        labels = _classes("cross_entropy", input, target, ignore_index)
    shape, count = input.shape, x.shape[0]
    left: Array = _C.empty((3, count), x.dtype)  # losses, maxima of the rows, 1 / sums of exponentials
    total, counted = _C.cross_entropy_fwd(x, labels, w, ignore_index, label_smoothing, left)
    factor = _row_factors(input, sample_weight)
    if factor is not None:
        np.multiply(left[0], factor, out=left[0])
        total, counted = float(left[0].sum(dtype=np.float64)), _counted(factor, labels, w, ignore_index)
    scale = 1.0
    if reduction == "none":
        y = left[0].reshape(shape[:1] + shape[2:] if len(shape) > 1 else ())
    else:
        if reduction == "mean":
            scale = 1 / counted if counted else math.nan
        y = scalar(total * scale, x.dtype)

    def backward(dy: Array, needs: Needs) -> Grads:
        each = np.ascontiguousarray(dy).reshape(-1)
        if factor is not None:
            each = each * factor
        dx = dtarget = None
        if needs[0]:
            dx = _C.empty(x.shape, x.dtype)
            _C.cross_entropy_bwd(each, scale, x, labels, w, ignore_index, label_smoothing, left, dx)
            dx = _public(dx, shape)
        if needs[1] and soft:
            log_p = (x - left[1][:, None]) + np.log(left[2])[:, None]
            slope = log_p * (each * -scale * (1 - label_smoothing))[:, None]
            dtarget = _public(slope if w is None else slope * w, shape).astype(x.dtype, copy=False)
        return dx, dtarget, None, None

    return y, backward


def _row_factors(x: Array, sample_weight: Array | None) -> Array | None:
    """The weights of the rows, one behind the other."""
    if sample_weight is None:
        return None
    wanted = x.shape[:1] + x.shape[2:] if x.ndim > 1 else ()
    if sample_weight.shape != wanted:
        raise ValueError(
            f"cross_entropy: expected sample_weight of shape {wanted} for input {x.shape}, got {sample_weight.shape}"
        )
    if sample_weight.dtype != x.dtype:
        raise TypeError(f"cross_entropy: expected sample_weight of dtype {x.dtype}, got {sample_weight.dtype}")
    if sample_weight.size and not sample_weight.min() >= 0:
        raise ValueError(f"cross_entropy: expected sample_weight of at least 0, got {sample_weight.min()}")
    return np.ascontiguousarray(sample_weight).reshape(-1)


def _counted(factor: Array, labels: Array, weight: Array | None, ignored: int) -> float:
    """What the mean over weighted rows divides by."""
    if labels.dtype.kind == "f":
        return float(factor.sum(dtype=np.float64))
    kept = labels != ignored
    chosen = factor[kept] if weight is None else factor[kept] * weight[labels[kept]]
    return float(chosen.sum(dtype=np.float64))


@op
def nll_loss(
    input: Array, target: Array, weight: Array | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Loss:
    """Negative log-likelihood of log-probabilities: `-w_target input_target`.

    Args:
        input: log-probabilities, float32 or float64.
        target: class indices of an integer dtype.
        weight: class weights w, 1 by default; no gradient flows to them.
        ignore_index: rows with this index do not count.
        reduction: "mean" divides the sum by the total weight of the targets; "sum"; "none".

    Shape:
        input: (N, C, *) or (C,). target: (N, *) or (). weight: (C,). Result: (), or like `target`.

    Raises:
        ValueError: if shapes do not fit, a target is no class, or the reduction is unknown.
        TypeError: if a dtype does not fit.
    """
    check_reduction("nll_loss", reduction)
    x = _score_rows("nll_loss", input)
    w = _class_weight("nll_loss", input, weight)
    labels = _classes("nll_loss", input, target, ignore_index)
    shape = input.shape
    row = np.nonzero(labels != ignore_index)[0]
    column = labels[row]
    chosen = np.ones(len(row), x.dtype) if w is None else w[column]
    each = np.zeros(len(labels), x.dtype)
    each[row] = -chosen * x[row, column]
    counted = float(chosen.sum(dtype=np.float64))
    y, scale = reduced(each.reshape(target.shape), reduction, counted)
    height, dtype = x.shape, x.dtype

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = np.zeros(height, dtype)
        upstream = np.broadcast_to(dy, target.shape).reshape(-1)[row]
        dx[row, column] = upstream * chosen * dtype.type(-scale)
        return _public(dx, shape), None, None

    return y, backward


@op
def multi_margin_loss(
    input: Array,
    target: Array,
    p: int = 1,
    margin: float = 1.0,
    weight: Array | None = None,
    *,
    reduction: str = "mean",
) -> Loss:
    """Multi-class hinge (SVM) loss `w_t / C sum_{c != t} max(0, margin - input_t + input_c)^p`, t the target.

    Args:
        input: scores, float32 or float64.
        target: class indices of an integer dtype.
        p: 1 or 2.
        margin: by how much the right score should lead.
        weight: class weights w, 1 by default; no gradient flows to them.
        reduction: "mean" over the rows, "sum" or "none".

    Shape:
        input: (N, C) or (C,). target: (N,) or (). weight: (C,). Result: (), or like `target`.

    Raises:
        ValueError: if shapes do not fit, a target is no class, `p` is neither 1 nor 2, or the reduction unknown.
        TypeError: if a dtype does not fit.

    Source: Weston, Watkins, ESANN 1999.
    """
    check_reduction("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: expected p of 1 or 2, got {p}")
    if input.ndim > 2:
        raise ValueError(f"multi_margin_loss: expected input of shape (N, C) or (C,), got {input.shape}")
    x = _score_rows("multi_margin_loss", input)
    w = _class_weight("multi_margin_loss", input, weight)
    labels = _classes("multi_margin_loss", input, target, None)
    shape, row = input.shape, np.arange(len(labels))
    hinge = np.maximum(x.dtype.type(margin) - x[row, labels][:, None] + x, 0)
    hinge[row, labels] = 0
    factor = (np.ones(len(labels), x.dtype) if w is None else w[labels])[:, None] / x.dtype.type(x.shape[1])
    each = (factor * hinge**p).sum(axis=1).reshape(target.shape)
    y, scale = reduced(each, reduction, float(len(labels)))

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = factor * ((hinge > 0) if p == 1 else 2 * hinge)
        dx[row, labels] = -dx.sum(axis=1)
        upstream = np.broadcast_to(dy, target.shape).reshape(-1, 1)
        return (dx * (upstream * dx.dtype.type(scale))).reshape(shape), None, None

    return y, backward
