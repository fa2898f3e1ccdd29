"""Arithmetic and sums of arrays large enough for threads: by the kernels if they can, by NumPy else.

Below `LARGE` elements NumPy on one thread is as fast. Above it the kernels win by threads and by memory of the caching
allocator. Results of arithmetic are the same bits; sums are added up in double, in blocks, which is more
accurate than NumPy's float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _C
from ..autograd.dtype import Array, Operand
from .layout import memory_axes

__all__ = ["LARGE", "accumulate", "combine", "sum_over"]

LARGE = 8192
_UFUNCS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide}
_CODES = _C.BINARIES
_ndarray = np.ndarray
_reduce: Callable[..., Any] = np.add.reduce


def combine(name: str, a: Operand, b: Operand) -> Any:
    """`a + b`, `a - b`, `a * b` or `a / b` of operands whose dtypes already agree.

    Args:
        name: "add", "sub", "mul" or "div".
        a: ndarray or Python number.
        b: the same; their shapes broadcast.

    Returns:
        what NumPy's function returns; an array without gaps keeps its memory order.
    """
    if type(a) is _ndarray:
        if a.size >= LARGE and a.dtype.char in "fd":
            y = _array_first(_CODES[name], a, b)
            if y is not None:
                return y
    elif type(b) is _ndarray and b.size >= LARGE and b.dtype.char in "fd" and _C.is_dense(b):
        z: Array = _C.empty_like(b)
        _C.binary_number(_CODES[name], b, float(a), True, z)
        return z
    return _UFUNCS[name](a, b)


def _array_first(code: int, a: Array, b: Operand) -> Array | None:
    """A large array and whatever it is combined with, None if the kernels cannot."""
    if not _C.is_dense(a):
        return None
    if type(b) is not _ndarray:
        y: Array = _C.empty_like(a)
        _C.binary_number(code, a, float(b), False, y)
        return y
    if b.dtype != a.dtype:
        return None
    if b.shape == a.shape:
        if not _C.same_order(a, b):
            return None
        y = _C.empty_like(a)
        _C.binary_arrays(code, a, b, y)
        return y
    axis = _channel_axis(a, b)
    if axis is None:
        return None
    y = _C.empty_like(a)
    axes = memory_axes(a)
    _C.binary_columns(code, a.transpose(axes), np.ascontiguousarray(b).reshape(-1), y.transpose(axes))
    return y


def _channel_axis(a: Array, b: Array) -> int | None:
    """The dimension of `a` along which `b` varies, if it is the only one and the fastest of `a` in memory."""
    if b.size < 2 or b.ndim > a.ndim:
        return None
    lead = a.ndim - b.ndim
    varying = [lead + i for i, length in enumerate(b.shape) if length > 1]
    if len(varying) != 1 or a.strides[varying[0]] != a.itemsize or a.shape[varying[0]] != b.size:
        return None
    return varying[0]


def accumulate(total: Array, a: Array) -> None:
    """`total += a` for arrays of one shape, in place."""
    fits = total.size >= LARGE and total.dtype.char in "fd" and total.dtype == a.dtype and total.flags.writeable
    if fits and _C.is_dense(total) and _C.same_order(total, a):
        _C.binary_arrays(_CODES["add"], total, a, total)
    else:
        np.add(total, a, out=total)


def sum_over(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """The sum over dimensions.

    Args:
        x: the values, of a float dtype or any other that `numpy.add.reduce` takes.
        axes: the dimensions, not negative, each once.
        keepdims: keep them with length 1.

    Returns:
        an array of the dtype of `x`, of no dimensions if all are summed over.
    """
    if x.size < LARGE or x.dtype.char not in "fd" or not axes or not _C.is_dense(x):
        return np.asarray(_reduce(x, axis=axes, keepdims=keepdims))
    if len(axes) == x.ndim:
        total = np.array(_C.sum_all(x), x.dtype)
        return total.reshape((1,) * x.ndim) if keepdims else total
    order = memory_axes(x)
    summed = frozenset(axes)
    if summed == frozenset(order[: len(axes)]):
        kept, kernel = order[len(axes) :], _C.sum_columns
    elif summed == frozenset(order[-len(axes) :]):
        kept, kernel = order[: -len(axes)], _C.sum_rows
    else:
        return np.asarray(_reduce(x, axis=axes, keepdims=keepdims))
    y: Array = _C.empty((math.prod([x.shape[axis] for axis in kept]),), x.dtype)
    kernel(x.transpose(order), y)
    result = y.reshape([x.shape[axis] for axis in kept]).transpose(np.argsort(kept))
    return np.expand_dims(result, axes) if keepdims else result
