"""Losses of an element and its own target: regression, binary and divergence losses.

Value and derivative are entries of a table in C (csrc/losses.def); a sum or mean is formed in the same sweep, without
an array of single losses. Input and target have one shape: unlike PyTorch, which warns and broadcasts, a difference
raises, because it is nearly always a mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from .. import _C
from ..autograd import Array, Grads, Needs, op
from .layout import gapless, in_order_of
from .reduction import Loss, check_reduction, need_real, reduced, scalar

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "hinge_embedding_loss", "huber_loss", "kl_div",
    "l1_loss", "mse_loss", "pointwise_loss", "smooth_l1_loss", "soft_margin_loss",
]  # fmt: skip

_Slope: TypeAlias = Callable[[Array, Array], Array]


def _pair(name: str, input: Array, target: Array) -> tuple[Array, Array]:
    """Input and target checked, without gaps, and in one memory order."""
    need_real(name, input)
    if target.shape != input.shape:
        raise ValueError(f"{name}: expected target of the input's shape {input.shape}, got {target.shape}")
    if target.dtype != input.dtype:
        if target.dtype.kind == "f":
            raise TypeError(f"{name}: expected target of the input's dtype {input.dtype}, got {target.dtype}")
        target = target.astype(input.dtype)
    x = gapless(input)
    return x, in_order_of(target, x)


def pointwise_loss(
    name: str,
    entry: str,
    input: Array,
    target: Array,
    reduction: str,
    a: float = 0.0,
    weight: Array | None = None,
    target_slope: _Slope | None = None,
    count: float | None = None,
) -> Loss:
    """The loss `entry` of the table with its parameter, weighted and reduced.

    Args:
        name: the operation, for messages.
        entry: name in the table.
        input: x.
        target: t.
        reduction: checked by the caller.
        a: the entry's parameter.
        weight: factors of the single losses, broadcast against them.
        target_slope: derivative in t as a function of (x, t); by default minus that in x.
        count: what the mean divides by, by default the number of elements.
    """
    x, t = _pair(name, input, target)
    code = _C.POINTWISE_LOSSES[entry]
    divisor = float(x.size if count is None else count)
    if weight is None and reduction != "none":
        scale = 1.0 if reduction == "sum" else 1 / divisor if divisor else math.nan
        y = scalar(_C.pointwise_loss_sum(code, x, t, a) * scale, x.dtype)
    else:
        each: Array = _C.empty_like(x)
        _C.pointwise_loss_fwd(code, x, t, each, a)
        y, scale = reduced(each if weight is None else _weighted(name, each, weight), reduction, divisor)
    single = reduction == "none"

    def backward(dy: Array, needs: Needs) -> Grads:
        def weighted(slope: Array) -> Array:
            if weight is not None:
                np.multiply(slope, weight, out=slope)
            return slope

        dx: Array = _C.empty_like(x)
        if single:
            _C.pointwise_loss_bwd(code, in_order_of(dy, x), 1.0, x, t, dx, a)
        else:
            _C.pointwise_loss_bwd(code, None, float(dy) * scale, x, t, dx, a)
        dx = weighted(dx)
        dt = None
        if needs[1]:
            if target_slope is None:
                dt = np.negative(dx)
            else:
                dt = weighted(target_slope(x, t) * (dy if single else dx.dtype.type(float(dy) * scale)))
        return dx, dt

    return y, backward


def _weighted(name: str, each: Array, weight: Array) -> Array:
    try:
        return np.multiply(each, weight, out=each)
    except ValueError:
        raise ValueError(f"{name}: weight of shape {weight.shape} does not broadcast to {each.shape}") from None


def _with_weight(
    name: str, entry: str, input: Array, target: Array, reduction: str, weight: Array | None, a: float = 0.0
) -> Loss:
    """`pointwise_loss` with weights of the input's shape, by whose sum the mean divides unless it is Huber's."""
    count = None
    if weight is not None:
        if weight.shape != input.shape:
            raise ValueError(f"{name}: expected weight of the input's shape {input.shape}, got {weight.shape}")
        count = None if entry == "huber" else float(weight.sum(dtype=np.float64))
    y, backward = pointwise_loss(name, entry, input, target, reduction, a, weight, count=count)
    return y, lambda dy, needs: (*backward(dy, needs), None)


@op
def mse_loss(input: Array, target: Array, reduction: str = "mean", weight: Array | None = None) -> Loss:
    """Squared error `(input - target)^2`.

    Args:
        input: prediction, float32 or float64.
        target: what it should be.
        reduction: "mean" over all elements, "sum" or "none".
        weight: factors of the single losses, of the input's shape; "mean" then divides by their sum. No gradient flows
            to them.

    Shape:
        input, target: any one shape. Result: (), or with reduction "none" that shape.

    Raises:
        ValueError: if the shapes differ or the reduction is unknown.
        TypeError: if `input` is not float32 or float64, or `target` is of another float dtype.

    Example:
        >>> mse_loss(fastnn.tensor([1.0, 3.0]), fastnn.tensor([0.0, 0.0]))
        tensor(5.)
    """
    check_reduction("mse_loss", reduction)
    return _with_weight("mse_loss", "mse", input, target, reduction, weight)


@op
def l1_loss(input: Array, target: Array, reduction: str = "mean", weight: Array | None = None) -> Loss:
    """Absolute error `|input - target|`; its derivative at 0 is 0. Arguments, shapes and errors as `mse_loss`."""
    check_reduction("l1_loss", reduction)
    return _with_weight("l1_loss", "l1", input, target, reduction, weight)


@op
def smooth_l1_loss(input: Array, target: Array, *, reduction: str = "mean", beta: float = 1.0) -> Loss:
    """`d^2 / (2 beta)` where `|d| < beta`, else `|d| - beta / 2`, with `d = input - target`.

    Arguments, shapes and errors as `mse_loss`, and:

    Args:
        beta: where the parabola ends; 0 gives `l1_loss`.

    Raises:
        ValueError: if `beta` is negative.

    Source: Girshick, arXiv:1504.08083.
    """
    check_reduction("smooth_l1_loss", reduction)
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: expected beta of at least 0, got {beta}")
    return pointwise_loss("smooth_l1_loss", "smooth_l1" if beta else "l1", input, target, reduction, beta)


@op
def huber_loss(
    input: Array, target: Array, reduction: str = "mean", delta: float = 1.0, weight: Array | None = None
) -> Loss:
    """`d^2 / 2` where `|d| <= delta`, else `delta (|d| - delta / 2)`, with `d = input - target`.

    Arguments, shapes and errors as `mse_loss`, and:

    Args:
        delta: where the parabola ends, above 0.
        weight: factors of the single losses; "mean" divides by their number all the same, as in PyTorch.

    Raises:
        ValueError: if `delta` is not positive.

    Source: Huber, Annals of Mathematical Statistics 35, 1964.
    """
    check_reduction("huber_loss", reduction)
    if delta <= 0:
        raise ValueError(f"huber_loss: expected delta above 0, got {delta}")
    return _with_weight("huber_loss", "huber", input, target, reduction, weight, delta)


@op
def hinge_embedding_loss(input: Array, target: Array, margin: float = 1.0, *, reduction: str = "mean") -> Loss:
    """`input` for targets of 1, `max(0, margin - input)` for targets of -1; the input is a distance.

    Arguments, shapes and errors as `mse_loss`, and:

    Args:
        input: distances of pairs.
        target: 1 for pairs that belong together, -1 for others.
        margin: how far apart those should be.

    Source: Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006.
    """

    def slope(x: Array, t: Array) -> Array:
        return np.zeros_like(x)

    name = "hinge_embedding_loss"
    check_reduction(name, reduction)
    return pointwise_loss(name, "hinge_embedding", input, target, reduction, margin, target_slope=slope)


@op
def soft_margin_loss(input: Array, target: Array, *, reduction: str = "mean") -> Loss:
    """Logistic loss `log(1 + exp(-target * input))` for targets of -1 or 1, without overflow.

    Arguments, shapes and errors as `mse_loss`.
    """

    def slope(x: Array, t: Array) -> Array:
        return -x * _sigmoid(-t * x)

    check_reduction("soft_margin_loss", reduction)
    return pointwise_loss("soft_margin_loss", "soft_margin", input, target, reduction, target_slope=slope)


@op
def kl_div(input: Array, target: Array, *, reduction: str = "mean", log_target: bool = False) -> Loss:
    """Kullback-Leibler divergence `target (log target - input)` of probabilities from log-probabilities.

    Arguments, shapes and errors as `mse_loss`, and:

    Args:
        input: log-probabilities.
        target: probabilities, or their logarithms with `log_target`; 0 log 0 counts as 0.
        reduction: also "batchmean": the sum divided by the length of the first dimension, which is the
            divergence's usual definition, while "mean" divides by the number of elements.
        log_target: whether `target` holds logarithms.
    """

    def slope(x: Array, t: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.exp(t) * (t - x + 1) if log_target else np.log(t) - x + 1

    check_reduction("kl_div", reduction, ("none", "mean", "sum", "batchmean"))
    by_rows = reduction == "batchmean"
    count = input.shape[0] if by_rows and input.ndim else None
    return pointwise_loss(
        "kl_div", "kl_div_log" if log_target else "kl_div", input, target, "mean" if by_rows else reduction,
        target_slope=slope, count=count,
    )  # fmt: skip


@op
def binary_cross_entropy(input: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean") -> Loss:
    """`-(t log x + (1 - t) log(1 - x))` of probabilities x; logarithms count as at least -100.

    Arguments, shapes and errors as `mse_loss`, and:

    Args:
        input: probabilities x.
        target: probabilities t.
        weight: factors of the single losses, broadcast against them; no gradient flows to them.

    Raises:
        ValueError: if an element of `input` is outside [0, 1].
    """

    def slope(x: Array, t: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.maximum(np.log1p(-x), -100) - np.maximum(np.log(x), -100)

    check_reduction("binary_cross_entropy", reduction)
    need_real("binary_cross_entropy", input)
    if input.size and not (np.min(input) >= 0 and np.max(input) <= 1):
        raise ValueError(
            f"binary_cross_entropy: expected probabilities, got values from {np.min(input)} to {np.max(input)}"
        )
    y, backward = pointwise_loss(
        "binary_cross_entropy", "bce", input, target, reduction, weight=weight, target_slope=slope
    )
    return y, lambda dy, needs: (*backward(dy, needs), None)


@op
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> Loss:
    """`binary_cross_entropy` of `sigmoid(input)`, finite for any finite logits.

    With a positive weight p it is `(1 - t) x + (1 + (p - 1) t) log(1 + exp(-x))`. Arguments, shapes and errors
    as `mse_loss`, and:

    Args:
        input: logits x.
        target: probabilities t.
        weight: factors of the single losses, broadcast against them; no gradient flows to them.
        pos_weight: weight p of the positive part, broadcast against it; no gradient flows to it.
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction)
    if pos_weight is not None:
        return _with_positive_weight(name, input, target, weight, reduction, pos_weight)
    y, backward = pointwise_loss(
        name, "bce_with_logits", input, target, reduction, weight=weight, target_slope=lambda x, t: -x
    )
    return y, lambda dy, needs: (*backward(dy, needs), None, None)


def _sigmoid(x: Array) -> Array:
    y: Array = _C.empty_like(x)
    _C.activation_fwd(_C.ACTIVATIONS["sigmoid"], x, y)
    return y


def _with_positive_weight(
    name: str, input: Array, target: Array, weight: Array | None, reduction: str, pos_weight: Array
) -> Loss:
    x, t = _pair(name, input, target)
    try:
        p = np.broadcast_to(pos_weight, x.shape)
    except ValueError:
        raise ValueError(f"{name}: pos_weight of shape {pos_weight.shape} does not broadcast to {x.shape}") from None
    positive = np.logaddexp(0, -x)  # -log sigmoid(x)
    each = (1 - t) * (x + positive) + p * t * positive
    y, scale = reduced(each if weight is None else _weighted(name, each, weight), reduction, float(x.size))

    def backward(dy: Array, needs: Needs) -> Grads:
        upstream = dy * x.dtype.type(scale) if weight is None else dy * (x.dtype.type(scale) * weight)
        s = _sigmoid(x)
        dx = upstream * ((1 - t) * s - p * t * (1 - s))
        dt = upstream * (p * positive - (x + positive)) if needs[1] else None
        return dx.astype(x.dtype, copy=False), dt, None, None

    return y, backward
