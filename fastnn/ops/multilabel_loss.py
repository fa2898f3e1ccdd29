"""Losses of samples that belong to several classes at once."""

from __future__ import annotations

import numpy as np

from ..autograd import Array, Grads, Needs, Tensor, op
from .pointwise_loss import binary_cross_entropy_with_logits
from .reduce import mean
from .reduce import sum as total
from .reduction import Loss, check_reduction, need_real, reduced

__all__ = ["multilabel_margin_loss", "multilabel_soft_margin_loss"]


@op
def multilabel_margin_loss(input: Array, target: Array, *, reduction: str = "mean") -> Loss:
    """Hinge loss between every right and every wrong class, `1/C sum_{i right, j wrong} max(0, 1 - (x_i - x_j))`.

    Args:
        input: scores x, float32 or float64.
        target: the right classes of each sample, integers, ended by -1 where there are fewer than C.
        reduction: "mean" over the samples, "sum" or "none".

    Shape:
        input: (N, C) or (C,). target: the same. Result: (), or with reduction "none" (N,) or ().

    Raises:
        ValueError: if shapes differ, a target is no class, or the reduction is unknown.
        TypeError: if `input` is not float32 or float64, or `target` does not hold integers.

    Source: Crammer, Singer, "A family of additive online algorithms for category ranking", JMLR 3, 2003.
    """
    name = "multilabel_margin_loss"
    check_reduction(name, reduction)
    need_real(name, input)
    if input.ndim not in (1, 2) or target.shape != input.shape:
        raise ValueError(f"{name}: expected input and target (N, C) or (C,), got {input.shape} and {target.shape}")
    if target.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected targets of an integer dtype, got {target.dtype}")
    x, labels = (np.ascontiguousarray(a).reshape(-1, input.shape[-1]) for a in (input, target))
    rows, classes = x.shape
    listed = np.logical_and.accumulate(labels >= 0, axis=1)
    if np.any(labels[listed] >= classes) or np.any(labels < -1):
        raise ValueError(
            f"{name}: expected targets from 0 to {classes - 1}, then -1, got {labels.min()} to {labels.max()}"
        )
    right = np.zeros((rows, classes), np.bool_)
    row, place = np.nonzero(listed)
    right[row, labels[row, place]] = True
    count = np.zeros((rows, classes), x.dtype)  # how often each class is listed: each counts
    np.add.at(count, (row, labels[row, place]), 1)
    hinge = 1 - x[:, :, None] + x[:, None, :]  # (rows, right class, wrong class)
    pairs = count[:, :, None] * (~right)[:, None, :] / x.dtype.type(max(classes, 1))
    each = (np.maximum(hinge, 0) * pairs).sum(axis=(1, 2)).reshape(input.shape[:-1])
    y, scale = reduced(each, reduction, float(rows))
    active = np.where(hinge > 0, pairs, 0)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = active.sum(axis=1) - active.sum(axis=2)
        dx *= np.broadcast_to(dy, input.shape[:-1]).reshape(-1, 1) * x.dtype.type(scale)
        return dx.reshape(input.shape), None

    return y, backward


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of every class, averaged over the classes: `binary_cross_entropy_with_logits` along rows.

    Args:
        input: logits, float32 or float64.
        target: 1 for the classes that a sample belongs to, else 0.
        weight: a factor for each class; no gradient flows to them.
        reduction: "mean" over the samples, "sum" or "none".

    Shape:
        input (*, C), target (*, C), weight (C,) -> (), or with reduction "none" (*).

    Raises:
        ValueError: if shapes do not fit or the reduction is unknown.
    """
    check_reduction("multilabel_soft_margin_loss", reduction)
    each = mean(binary_cross_entropy_with_logits(input, target, weight, reduction="none"), -1)
    return each if reduction == "none" else mean(each) if reduction == "mean" else total(each)
