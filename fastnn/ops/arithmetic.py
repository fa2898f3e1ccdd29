"""Arithmetic on arrays and sums of them: by our kernels where they are large, by NumPy where they are not.

The choice depends on shapes, dtypes and strides alone, and the kernels add in an order that depends on the shape
alone, so that results do not vary with the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _C
from ..autograd.dtype import Array, Operand
from .layout import from_nhwc, memory_axes, to_nhwc

__all__ = ["LARGE", "accumulate", "add", "div", "mul", "sub", "total", "unbroadcast"]

LARGE = 4096
"""Elements from which on a kernel call costs less than what it saves."""

_ndarray = np.ndarray
_sum: Callable[..., Any] = np.add.reduce  # without the cost of numpy.sum's wrappers


def _large(x: Array) -> bool:
    """Whether a kernel should and can work on `x`: many float32 or float64 elements without gaps."""
    return x.size >= LARGE and x.dtype.kind == "f" and x.dtype.itemsize >= 4 and _C.is_dense(x)


def _operation(name: str, ufunc: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """`a op b` for arrays of one dtype that broadcast, or an array and a number."""
    code = _C.BINARIES[name]

    def apply(a: Operand, b: Operand) -> Any:
        if type(a) is _ndarray:
            if a.size < LARGE or not _large(a):
                return ufunc(a, b)
            if type(b) is not _ndarray:
                y: Array = _C.empty_like(a)
                _C.binary_number(code, a, b, False, y)
                return y
            if _C.same_order(a, b):
                y = _C.empty_like(a)
                _C.binary_arrays(code, a, b, y)
                return y
            if _is_channel_vector(b, a):
                return _by_channel(code, a, b)
        elif type(b) is _ndarray and b.size >= LARGE and _large(b):
            y = _C.empty_like(b)
            _C.binary_number(code, b, a, True, y)
            return y
        return ufunc(a, b)

    return apply


def _is_channel_vector(b: Array, a: Array) -> bool:
    """Whether `b` has one value per channel of `a`, (N, C, *), which is channels-last in memory."""
    lead, channels = a.ndim - b.ndim, 1 - (a.ndim - b.ndim)
    return (
        a.ndim >= 2
        and 0 <= lead <= 1
        and b.size == a.shape[1] == b.shape[channels]
        and a.transpose(0, *range(2, a.ndim), 1).flags.c_contiguous
    )


def _by_channel(code: int, a: Array, b: Array) -> Array:
    """`a op b` with one value of `b` per channel."""
    x = to_nhwc(a)
    y: Array = _C.empty(x.shape, x.dtype)
    _C.binary_columns(code, x, np.ascontiguousarray(b.reshape(-1)), y)
    return from_nhwc(y)


add = _operation("add", np.add)
sub = _operation("sub", np.subtract)
mul = _operation("mul", np.multiply)
div = _operation("div", np.true_divide)


def accumulate(a: Array, b: Array, out: Array) -> None:
    """`out = a + b` for arrays of one shape; `out` may be either."""
    if a.size >= LARGE and a.dtype is b.dtype and _large(a) and _C.same_order(a, b) and _C.same_order(a, out):
        _C.binary_arrays(_C.BINARIES["add"], a, b, out)
    else:
        np.add(a, b, out=out)


def total(x: Array, axes: tuple[int, ...]) -> Any:
    """The sum of `x` over sorted dimensions, which the result does not have."""
    if x.size < LARGE or not axes or not _large(x):
        return _sum(x, axis=axes)
    if len(axes) == x.ndim:
        return x.dtype.type(_C.sum_all(x))
    order, count = memory_axes(x), len(axes)
    if sorted(order[:count]) == list(axes):
        kept, kernel = order[count:], _C.sum_columns
    elif sorted(order[-count:]) == list(axes):
        kept, kernel = order[:-count], _C.sum_rows
    else:
        return _sum(x, axis=axes)
    y: Array = _C.empty(tuple(x.shape[axis] for axis in kept), x.dtype)
    kernel(x.transpose(order), y)
    return y.transpose(np.argsort(kept))


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an operand of `shape` from that of the broadcast result: summed over what was repeated.

    Returns:
        an array of `shape`, `gradient` itself if it has that already.
    """
    if gradient.shape == shape:
        return gradient
    lead = gradient.ndim - len(shape)
    repeated = [i for i in range(lead, gradient.ndim) if shape[i - lead] == 1 != gradient.shape[i]]
    return np.asarray(total(gradient, (*range(lead), *repeated))).reshape(shape)
