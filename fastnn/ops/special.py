"""Elementwise functions beyond those of `unary` and `elementwise`: error function, logit, log-sum, repairs."""

from __future__ import annotations

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Operand, Tensor, op
from .broadcast import as_float, match, shape_of, unbroadcast
from .pointwise import Activated, pointwise
from .select import clamp

__all__ = ["clamp_max", "clamp_min", "erf", "frac", "logaddexp", "logit", "nan_to_num", "sinc"]


@op
def erf(input: Array) -> Activated:
    """Error function `2 / sqrt(pi) integral_0^x exp(-t^2) dt`, elementwise.

    Args:
        input: the argument; integers are cast to the default float dtype.

    Shape:
        input: any; the result has the same.
    """
    return pointwise("erf", "erf", as_float(input))


@op
def logit(input: Array, eps: float | None = None) -> tuple[Array, Backward]:
    """`log(x / (1 - x))`, the inverse of `sigmoid`, elementwise.

    Args:
        input: probabilities x, floating.
        eps: clip x to `[eps, 1 - eps]` first; the gradient beyond is 0. By default x outside of [0, 1] gives NaN.

    Shape:
        input: any; the result has the same.
    """
    x = as_float(input)
    z = x if eps is None else np.clip(x, x.dtype.type(eps), x.dtype.type(1 - eps))
    with np.errstate(all="ignore"):
        y = np.log(z / (1 - z))

    def backward(dy: Array, needs: Needs) -> Grads:
        with np.errstate(all="ignore"):
            dx = dy / (z * (1 - z))
        return (dx if eps is None else np.where((x < eps) | (x > 1 - eps), 0, dx),)

    return y, backward


@op
def frac(input: Array) -> tuple[Array, Backward]:
    """`input - trunc(input)`, the part behind the point with the sign of `input`, elementwise.

    Args:
        input: the argument, floating.

    Shape:
        input: any; the result has the same.
    """
    return input - np.trunc(input), lambda dy, needs: (dy,)


@op
def sinc(input: Array) -> tuple[Array, Backward]:
    """`sin(pi x) / (pi x)`, 1 at 0, elementwise.

    Args:
        input: the argument; integers are cast to the default float dtype.

    Shape:
        input: any; the result has the same.
    """
    x = as_float(input)
    y = np.sinc(x).astype(x.dtype, copy=False)

    def backward(dy: Array, needs: Needs) -> Grads:
        with np.errstate(all="ignore"):
            slope = np.where(x == 0, 0, (np.cos(x * x.dtype.type(np.pi)) - y) / x)
        return (dy * slope,)

    return y, backward


@op
def logaddexp(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """`log(exp(input) + exp(other))`, elementwise and without overflow.

    Args:
        input: first operand, Tensor or number.
        other: second operand, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.
    """
    a, b = match("logaddexp", input, other, floating=True)
    y = np.logaddexp(a, b)

    def backward(dy: Array, needs: Needs) -> Grads:
        with np.errstate(all="ignore"):
            share = 1 / (1 + np.exp(np.subtract(b, a, dtype=y.dtype)))
        return (
            unbroadcast(dy * share, shape_of(a)) if needs[0] else None,
            unbroadcast(dy * (1 - share), shape_of(b)) if needs[1] else None,
        )

    return y, backward


@op
def nan_to_num(
    input: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> tuple[Array, Backward]:
    """NaN and infinities replaced by finite numbers, elementwise; their gradient is 0.

    Args:
        input: values.
        nan: what NaN becomes.
        posinf: what infinity becomes, by default the largest number of the dtype.
        neginf: what minus infinity becomes, by default the smallest number of the dtype.

    Shape:
        input: any; the result has the same.
    """
    finite = np.isfinite(input)
    return np.nan_to_num(input, nan=nan, posinf=posinf, neginf=neginf), lambda dy, needs: (np.where(finite, dy, 0),)


def clamp_min(input: Tensor, min: float | Tensor) -> Tensor:
    """No element below `min`: `clamp(input, min=min)`."""
    return clamp(input, min)


def clamp_max(input: Tensor, max: float | Tensor) -> Tensor:
    """No element above `max`: `clamp(input, max=max)`."""
    return clamp(input, None, max)
