"""Softmax and log-softmax along any dimension, worked on as the array lies in memory."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from .. import _C
from ..autograd import Array, Backward, Grads, Needs, op
from ..dims import dims
from .layout import gapless, in_order_of, memory_axes
from .reduction import need_real

__all__ = ["axis_of", "log_softmax", "softmax", "softmin"]

Normalised: TypeAlias = tuple[Array, Backward]


def axis_of(name: str, dim: int, ndim: int) -> int:
    """One dimension as a non-negative number; 0 and -1 name that of a scalar."""
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(f"{name}: dim {dim} is out of range for {ndim} dimensions")
    return dim % max(ndim, 1)


def _softmax(name: str, log: bool, input: Array, dim: int) -> Normalised:
    """Softmax or log-softmax along a dimension, as the array lies in memory."""
    need_real(name, input)
    axis = axis_of(name, dim, input.ndim)
    x = gapless(input if input.ndim else input.reshape(1))
    axes = None if x.flags.c_contiguous else memory_axes(x)
    place = axis if axes is None else axes.index(axis)

    def lying(array: Array) -> Array:
        return array if axes is None else array.transpose(axes)

    y: Array = _C.empty_like(x)
    _C.softmax_fwd(log, lying(x), place, lying(y))
    shape = input.shape

    def backward(dy: Array, needs: Needs) -> Grads:
        dx: Array = _C.empty_like(y)
        _C.softmax_bwd(log, lying(in_order_of(dy.reshape(y.shape), y)), lying(y), place, lying(dx))
        return (dx.reshape(shape) if not shape else dx,)

    return y.reshape(shape) if not shape else y, backward


@op
@dims
def softmax(input: Array, dim: int) -> Normalised:
    """`exp(input) / sum(exp(input))` along a dimension; the maximum is taken off first, so nothing overflows.

    Args:
        input: float32 or float64.
        dim: the dimension along which the result sums to 1.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        IndexError: if `dim` is out of range.

    Example:
        >>> softmax(fastnn.tensor([1e4, 1e4]), dim=0)
        tensor([0.5000, 0.5000])
    """
    return _softmax("softmax", False, input, dim)


@op
@dims
def log_softmax(input: Array, dim: int) -> Normalised:
    """`input - log(sum(exp(input)))` along a dimension, finite for finite input. Shapes and errors as `softmax`."""
    return _softmax("log_softmax", True, input, dim)


@op
@dims
def softmin(input: Array, dim: int) -> Normalised:
    """`softmax(-input)`. Shapes and errors as `softmax`."""
    y, backward = _softmax("softmin", False, np.negative(input), dim)

    def negated(dy: Array, needs: Needs) -> Grads:
        (dx,) = backward(dy, needs)
        return (np.negative(dx),)

    return y, negated
