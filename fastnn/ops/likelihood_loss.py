"""Negative log-likelihoods of a distribution whose parameters a network predicts: Poisson's and the normal one."""

from __future__ import annotations

import math

import numpy as np

from ..autograd import Array, Grads, Needs, Operand, op
from .broadcast import shape_of, unbroadcast
from .pointwise_loss import pointwise_loss
from .reduction import Loss, check_reduction, need_real, reduced

__all__ = ["gaussian_nll_loss", "poisson_nll_loss"]


def _stirling(t: Array) -> Array:
    """Stirling's approximation of log t! where t is above 1, else 0."""
    large = np.maximum(t, 1)
    return np.where(t > 1, large * np.log(large) - large + np.log(2 * math.pi * large) / 2, 0)


def _stirling_slope(t: Array) -> Array:
    large = np.maximum(t, 1)
    return np.where(t > 1, np.log(large) + 1 / (2 * large), 0)


@op
def poisson_nll_loss(
    input: Array,
    target: Array,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Loss:
    """Negative log-likelihood of counts under Poisson's law, `exp(x) - t x` up to terms without x.

    Args:
        input: the logarithm x of the rate, or with `log_input=False` the rate: `x - t log(x + eps)`.
        target: counts t.
        log_input: whether the input is a logarithm.
        full: add Stirling's approximation `t log t - t + log(2 pi t) / 2` of log t! where t is above 1.
        eps: keeps the logarithm of a rate of 0 finite.
        reduction: "mean" over all elements, "sum" or "none".

    Shape:
        input, target: any one shape. Result: (), or with reduction "none" that shape.

    Raises:
        ValueError: if the shapes differ or the reduction is unknown.
        TypeError: if `input` is not float32 or float64, or `target` is of another float dtype.
    """
    name = "poisson_nll_loss"
    check_reduction(name, reduction)

    def slope(x: Array, t: Array) -> Array:
        first = -x if log_input else -np.log(x + x.dtype.type(eps))
        return first + _stirling_slope(t) if full else first

    entry = "poisson_nll_log" if log_input else "poisson_nll"
    y, backward = pointwise_loss(name, entry, input, target, reduction, eps, target_slope=slope)
    if full:
        more, _ = reduced(_stirling(target.astype(y.dtype, copy=False)), reduction, float(target.size))
        y = y + more
    return y, backward


@op
def gaussian_nll_loss(
    input: Array, target: Array, var: Operand, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Loss:
    """Negative log-likelihood under a normal law, `(log v + (input - target)^2 / v) / 2`, v = max(var, eps).

    Args:
        input: the predicted mean, float32 or float64.
        target: what was observed.
        var: the predicted variance, not negative, a Tensor or a number; where it is below `eps` its gradient is as if
            it were `eps`.
        full: add the constant `log(2 pi) / 2`.
        eps: the least variance, above 0.
        reduction: "mean" over all elements, "sum" or "none".

    Shape:
        input, target: any one shape. var: the same, one that broadcasts to it, or it without the last dimension, for
        one variance along it. Result: (), or with reduction "none" the input's shape.

    Raises:
        ValueError: if the shapes do not fit, a variance is negative, `eps` is not positive, or the reduction unknown.
        TypeError: if `input` is not float32 or float64, or the others are of another dtype.

    Source: Nix, Weigend, "Estimating the mean and variance of the target probability distribution", ICNN 1994.
    """
    name = "gaussian_nll_loss"
    check_reduction(name, reduction)
    need_real(name, input)
    if target.shape != input.shape:
        raise ValueError(f"{name}: expected target of the input's shape {input.shape}, got {target.shape}")
    given = np.asarray(var, None if isinstance(var, np.ndarray) else input.dtype)
    if given.dtype != input.dtype or target.dtype != input.dtype:
        raise TypeError(f"{name}: expected target and var of dtype {input.dtype}, got {target.dtype} and {given.dtype}")
    spread = given[..., None] if given.shape == input.shape[:-1] and given.ndim else given
    if spread.ndim > input.ndim or any(n not in (1, m) for n, m in zip(spread.shape[::-1], input.shape[::-1])):
        raise ValueError(f"{name}: expected var of a shape that broadcasts to {input.shape}, got {given.shape}")
    if not eps > 0 or (given.size and not given.min() >= 0):
        raise ValueError(f"{name}: expected eps above 0 and variances of at least 0, got eps {eps}")
    kind, shape, wide = input.dtype.type, shape_of(var), spread.shape
    v = np.maximum(spread, kind(eps))
    distance = input - target
    each = (np.log(v) + distance * distance / v) * kind(0.5)
    y, scale = reduced(each + kind(math.log(2 * math.pi) / 2) if full else each, reduction, float(input.size))

    def backward(dy: Array, needs: Needs) -> Grads:
        upstream = dy * kind(scale)
        dx = distance / v * upstream
        dv = None
        if needs[2]:
            dv = (1 / v - distance * distance / (v * v)) * (upstream * kind(0.5))
            dv = unbroadcast(dv, wide).reshape(shape)
        return dx, -dx if needs[1] else None, dv

    return y, backward
