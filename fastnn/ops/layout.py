"""The one place that knows how activations lie in memory.

Public shapes are PyTorch's, (N, C, *spatial); in memory the channels come last, so that a kernel sees a
contiguous (N, *spatial, C) array. An array whose strides already are channels-last converts for nothing,
anything else by one copy. Elementwise kernels do not care about the order of dimensions at all, only that
there are no gaps: `dense` gives them a flat view of any array that has none.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .. import _C
from ..autograd.dtype import Array, DType

__all__ = [
    "Order", "dense", "from_nhwc", "from_rows", "gapless", "in_nhwc", "in_order_of", "memory_axes", "memory_order",
    "rows", "to_nhwc", "zeros_in_order",
]  # fmt: skip


def _channels_last(ndim: int) -> tuple[int, ...]:
    return 0, *range(2, ndim), 1


def _channels_first(ndim: int) -> tuple[int, ...]:
    return 0, ndim - 1, *range(1, ndim - 1)


_KNOWN = 6
_LAST = [_channels_last(ndim) if ndim > 1 else () for ndim in range(_KNOWN)]
_FIRST = [_channels_first(ndim) if ndim > 1 else () for ndim in range(_KNOWN)]


def to_nhwc(x: Array) -> Array:
    """`x` with its channels last: a view if it lies so in memory, else a copy.

    Shape:
        x: (N, C, *spatial), any strides, any number of spatial dimensions.

    Returns:
        a C-contiguous array (N, *spatial, C).

    Raises:
        ValueError: if `x` has fewer than two dimensions.
    """
    if x.ndim < 2:
        raise ValueError(f"to_nhwc: expected shape (N, C, *spatial), got {x.shape}")
    last = x.transpose(_LAST[x.ndim] if x.ndim < _KNOWN else _channels_last(x.ndim))
    return last if last.flags.c_contiguous else _compact(last)


def in_nhwc(x: Array | None) -> Array | None:
    """`x` with its channels last, if it lies so in memory; else None."""
    if x is None:
        return None
    last = x.transpose(_LAST[x.ndim] if x.ndim < _KNOWN else _channels_last(x.ndim))
    return last if last.flags.c_contiguous else None


def from_nhwc(y: Array) -> Array:
    """The (N, C, *spatial) view of an (N, *spatial, C) array."""
    return y.transpose(_FIRST[y.ndim] if y.ndim < _KNOWN else _channels_first(y.ndim))


def rows(x: Array) -> Array:
    """`x` as a matrix with one column per channel: what normalisation and biases work on.

    Shape:
        x: (N, C) or (N, C, *spatial).

    Returns:
        a C-contiguous array (N * spatial, C), a view if `x` is channels-last in memory.
    """
    last = to_nhwc(x)
    return last.reshape(math.prod(last.shape[:-1]), last.shape[-1])


def from_rows(y: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `rows`: a (rows, C) matrix as an array of `shape`, (N, C, *spatial)."""
    return from_nhwc(y.reshape(shape[0], *shape[2:], shape[1]))


class Order(NamedTuple):
    """How a dense array lies in memory: its shape, and its dimensions from the slowest to the fastest.

    `axes` is None for the usual order, last dimension fastest.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...] | None

    def flat(self, x: Array) -> Array:
        """The elements of `x`, an array of this shape, in this order: a view if they lie so, else a copy."""
        if x.shape != self.shape:
            raise ValueError(f"Order.flat: expected shape {self.shape}, got {x.shape}")
        if self.axes is not None:
            x = x.transpose(self.axes)
        return x.reshape(-1) if x.flags.c_contiguous else _compact(x).reshape(-1)

    def restore(self, flat: Array) -> Array:
        """The array of this shape whose elements lie in this order in `flat`, as a view."""
        if self.axes is None:
            return flat.reshape(self.shape)
        shape, axes = self.shape, self.axes
        inverse = [0] * len(axes)
        for position, axis in enumerate(axes):
            inverse[axis] = position
        return flat.reshape([shape[axis] for axis in axes]).transpose(inverse)


def dense(x: Array) -> tuple[Array, Order]:
    """The elements of `x` as a contiguous 1-D array, and the order they are in.

    Free for an array without gaps, whatever the order of its dimensions; anything else is copied.

    Returns:
        `(flat, order)`: `order.restore(result)` gives a flat result the shape and layout of `x`, and
        `order.flat(other)` brings another array of this shape into the same order.
    """
    if x.flags.c_contiguous:
        return x.reshape(-1), Order(x.shape, None)
    axes = tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))
    turned = x.transpose(axes)
    if turned.flags.c_contiguous:
        return turned.reshape(-1), Order(x.shape, axes)
    return _compact(x).reshape(-1), Order(x.shape, None)


def gapless(x: Array) -> Array:
    """`x` itself if its elements lie side by side, whatever the order of the dimensions, else a compact copy.

    With `in_order_of` and `_C.empty_like` this is what pointwise operations need: their kernels take any
    arrays without gaps that lie in one order.
    """
    return x if x.flags.c_contiguous or _C.is_dense(x) else _compact(x)


def in_order_of(x: Array, like: Array) -> Array:
    """`x` in the memory order of `like`, a gapless array of its shape and dtype: `x` itself, or a copy."""
    if _C.same_order(x, like):
        return x
    y: Array = _C.empty_like(like)
    _C.copyto(y, x)
    return y


def memory_axes(x: Array) -> tuple[int, ...]:
    """The dimensions of a gapless array from the slowest to the fastest: transposed so, it is C-contiguous."""
    return tuple(sorted(range(x.ndim), key=lambda axis: (-x.strides[axis], x.shape[axis] != 1)))


def _compact(x: Array) -> Array:
    """A C-contiguous copy in memory of the caching allocator."""
    y: Array = _C.empty(x.shape, x.dtype)
    _C.copyto(y, x)
    return y


def memory_order(x: Array) -> tuple[int, ...] | None:
    """The dimensions of any array from the slowest to the fastest; None for the usual order, last one fastest."""
    return None if x.flags.c_contiguous else memory_axes(x)


def zeros_in_order(shape: tuple[int, ...], dtype: DType, axes: tuple[int, ...] | None) -> Array:
    """Zeros whose dimensions lie in memory in the order `axes` (`memory_order` of an array of as many)."""
    make = _C.zeros if dtype.kind == "f" else np.zeros
    if axes is None:
        y: Array = make(shape, dtype)
        return y
    return Order(shape, axes).restore(make(tuple([shape[axis] for axis in axes]), dtype).reshape(-1))
