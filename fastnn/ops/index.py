"""Operations that choose elements by place or by mask, and put them there."""

from __future__ import annotations

from collections.abc import Callable
from types import EllipsisType
from typing import Any

import numpy as np

from .. import _C
from ..autograd import Array, Backward, Deferred, Grads, Needs, Operand, Tensor, op
from ..dims import dims
from .broadcast import match, shape_of, unbroadcast
from .layout import memory_order, zeros_in_order
from .shape import _axis

__all__ = [
    "gather", "getitem", "index_put", "index_select", "masked_fill", "masked_select", "nonzero", "one_hot", "scatter",
    "scatter_add", "take_along_dim",
]  # fmt: skip


add_at: Callable[[Array, Any, Array], None] = np.add.at
"""`add_at(x, key, values)`: `x[key] += values`, with the values for one place adding up."""


def _is_basic(key: Any) -> bool:
    """Whether an index selects a view: integers, slices, None and `...` only."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        part is None or isinstance(part, slice | EllipsisType | np.integer) or type(part) is int for part in parts
    )


def _may_repeat(key: Any) -> bool:
    """Whether an index can choose an element twice: only arrays of integers can."""
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, np.ndarray) and part.dtype != np.bool_ for part in parts)


class _SliceGradient(Deferred):
    """A gradient that is zero but for what a basic index selects.

    Args:
        shape: the gradient's.
        axes: how its memory lies, as `memory_order` says.
        key: the index, with `...`.
        part: what lies there.
    """

    __slots__ = ("axes", "key", "part")

    def __init__(self, shape: tuple[int, ...], axes: tuple[int, ...] | None, key: Any, part: Array) -> None:
        super().__init__(shape, part.dtype)
        self.axes = axes
        self.key = key
        self.part = part

    def dense(self) -> Array:
        dx = zeros_in_order(self.shape, self.dtype, self.axes)
        _C.copyto(dx[self.key], self.part)
        return dx

    def add_to(self, total: Array) -> None:
        _C.addto(total[self.key], self.part)


@op
def getitem(input: Array, key: Any) -> tuple[Array, Backward]:
    """`input[key]` with NumPy's indexing: a view for integers, slices, None and `...`, a copy for arrays.

    In the backward pass the gradients of elements chosen several times add up.

    Args:
        input: values.
        key: an index, arrays in place of Tensors.

    Shape:
        input: any; the result has NumPy's for the same key.

    Raises:
        IndexError: if a place is out of range or a mask has the wrong shape.
    """
    shape, axes, basic = input.shape, memory_order(input), _is_basic(key)
    if basic:
        parts = key if isinstance(key, tuple) else (key,)
        key = parts if Ellipsis in parts else (*parts, ...)  # with `...` NumPy gives a view even of one element

    def backward(dy: Array, needs: Needs) -> Grads:
        if basic:
            return (_SliceGradient(shape, axes, key, dy),)
        dx = zeros_in_order(shape, dy.dtype, axes)
        if _may_repeat(key):
            add_at(dx, key, dy)
        else:
            dx[key] = dy
        return (dx,)

    return input[key], backward


@op
def index_put(input: Array, value: Operand, key: Any) -> tuple[Array, Backward]:
    """A copy of `input` in which `input[key]` is `value`: what `t[key] = value` records.

    Args:
        input: values.
        value: what is put there, broadcast; Tensor or number.
        key: an index, arrays in place of Tensors. Of values for one and the same place the last one counts.

    Raises:
        ValueError: if `value` does not broadcast to what the index selects.
    """
    y = input.copy()
    y[key] = value

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = None
        if needs[0]:
            dx = dy.copy()
            dx[key] = 0
        return dx, unbroadcast(_last_only(dy, key), shape_of(value)) if needs[1] else None

    return y, backward


def _last_only(dy: Array, key: Any) -> Array:
    """`dy[key]`, zero for all but the last of the values put into one place."""
    if not _may_repeat(key):
        return np.asarray(dy[key])
    number = np.arange(dy[key].size).reshape(dy[key].shape)
    winner = np.full(dy.shape, -1)
    winner[key] = number
    return np.where(winner[key] == number, dy[key], 0)


def _grid(index: Array, axis: int) -> tuple[Array, ...]:
    """The index that picks, for each element of `index`, the place it names along `axis` at its own coordinates."""
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[axis] = index
    return tuple(grid)


def _need_index(name: str, x: Array, axis: int, index: Array) -> None:
    """Check an index of `gather` and `scatter`: integers, one per dimension, within the tensor."""
    if index.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected an integer index, got {index.dtype}")
    fits = index.ndim == x.ndim and all(
        n <= m for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if i != axis
    )
    if not fits:
        raise ValueError(f"{name}: an index of shape {index.shape} does not fit a tensor of shape {x.shape}")
    if index.size and not 0 <= index.min() <= index.max() < x.shape[axis]:
        raise IndexError(f"{name}: an index is out of range for dimension {axis} of shape {x.shape}")


@op
@dims
def gather(input: Array, dim: int, index: Array) -> tuple[Array, Backward]:
    """`y[i][j][k] = input[i][index[i][j][k]][k]` for `dim` 1, and likewise for others.

    Args:
        input: values.
        dim: dimension along which `index` counts.
        index: integers.

    Shape:
        index: as many dimensions as `input`, none longer but `dim`; the result has its shape.

    Raises:
        ValueError: if the shapes do not fit.
        IndexError: if an index is out of range.
    """
    axis, shape = _axis("gather", dim, input.ndim), input.shape
    _need_index("gather", input, axis, index)
    if input.ndim == 0:
        return input.copy(), lambda dy, needs: (dy, None)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = np.zeros(shape, dy.dtype)
        add_at(dx, _grid(index, axis), dy)
        return dx, None

    return input[_grid(index, axis)], backward


@op
@dims
def scatter_add(input: Array, dim: int, index: Array, src: Array) -> tuple[Array, Backward]:
    """`input` with `src[i][j][k]` added at `[i][index[i][j][k]][k]` for `dim` 1, and likewise for others.

    Args:
        input: values.
        dim: dimension along which `index` counts.
        index: integers.
        src: what is added.

    Shape:
        index: as many dimensions as `input`, none longer but `dim`; none longer than those of `src`.

    Raises:
        ValueError: if the shapes do not fit.
        IndexError: if an index is out of range.
    """
    axis, shape = _axis("scatter_add", dim, input.ndim), src.shape
    inner = _inner("scatter_add", input, axis, index, src)
    y = input.copy()
    add_at(y, _grid(index, axis), src[inner].astype(y.dtype, copy=False))

    def backward(dy: Array, needs: Needs) -> Grads:
        ds = np.zeros(shape, dy.dtype)
        ds[inner] = dy[_grid(index, axis)]
        return dy, None, ds

    return y, backward


@op
@dims
def scatter(input: Array, dim: int, index: Array, src: Operand) -> tuple[Array, Backward]:
    """`input` with `src[i][j][k]` written to `[i][index[i][j][k]][k]` for `dim` 1, and likewise for others.

    Args:
        input: values.
        dim: dimension along which `index` counts.
        index: integers; where two name one place, the last one counts.
        src: what is written, Tensor or number.

    Shape:
        index: as many dimensions as `input`, none longer but `dim`; none longer than those of `src`.

    Raises:
        ValueError: if the shapes do not fit.
        IndexError: if an index is out of range.
    """
    axis = _axis("scatter", dim, input.ndim)
    inner = _inner("scatter", input, axis, index, src)
    key = _grid(index, axis)
    y = input.copy()
    y[key] = src[inner] if isinstance(src, np.ndarray) else src

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = dy.copy()
        dx[key] = 0
        ds = None
        if needs[2]:
            ds = np.zeros(shape_of(src), dy.dtype)
            ds[inner] = _last_only(dy, key)
        return dx, None, ds

    return y, backward


def _inner(name: str, x: Array, axis: int, index: Array, src: Operand) -> tuple[slice, ...]:
    """Check the operands of a scatter; the part of `src` that `index` covers."""
    _need_index(name, x, axis, index)
    if x.ndim == 0:
        raise ValueError(f"{name}: expected at least one dimension")
    if isinstance(src, np.ndarray) and (
        src.ndim != index.ndim or any(n > m for n, m in zip(index.shape, src.shape, strict=True))
    ):
        raise ValueError(f"{name}: an index of shape {index.shape} does not fit a source of shape {src.shape}")
    return tuple(slice(n) for n in index.shape)


@op
@dims
def index_select(input: Array, dim: int, index: Array) -> tuple[Array, Backward]:
    """The slices of `input` that a vector of places names along a dimension.

    Args:
        input: values.
        dim: dimension to choose along.
        index: integers, a vector.

    Raises:
        ValueError: if `index` is not a vector of integers.
        IndexError: if a place is out of range.
    """
    if index.ndim > 1 or index.dtype.kind not in "iu":
        raise ValueError(f"index_select: expected a vector of integers, got {index.dtype} of shape {index.shape}")
    axis, shape = _axis("index_select", dim, input.ndim), input.shape
    key = (slice(None),) * axis + (index.reshape(-1),)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = np.zeros(shape, dy.dtype)
        add_at(dx, key, dy)
        return dx, None

    return input[key], backward


@op
@dims
def take_along_dim(input: Array, indices: Array, dim: int | None = None) -> tuple[Array, Backward]:
    """The elements that `indices` name along a dimension, the other dimensions broadcasting.

    Args:
        input: values.
        indices: integers, as `argmax` and `argsort` give them.
        dim: the dimension; None to choose from the flattened tensor.

    Raises:
        ValueError: if the shapes do not broadcast.
        IndexError: if an index is out of range.
    """
    shape = input.shape
    axis = 0 if dim is None else _axis("take_along_dim", dim, input.ndim)
    x = input.reshape(-1) if dim is None else input
    places = indices.reshape(-1) if dim is None else indices
    if places.ndim != x.ndim:
        raise ValueError(f"take_along_dim: indices of shape {indices.shape} for a tensor of shape {shape}")
    wanted = list(np.broadcast_shapes((*x.shape[:axis], 1, *x.shape[axis + 1 :]), places.shape))
    wanted[axis] = places.shape[axis]
    places = np.broadcast_to(places, wanted)
    source = np.broadcast_to(x, [*wanted[:axis], x.shape[axis], *wanted[axis + 1 :]])

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = np.zeros(source.shape, dy.dtype)
        add_at(dx, _grid(places, axis), dy)
        return unbroadcast(dx, x.shape).reshape(shape), None

    return np.take_along_axis(source, places, axis), backward


@op
def masked_fill(input: Array, mask: Array, value: Operand) -> tuple[Array, Backward]:
    """`input` with `value` where `mask` is true.

    Args:
        input: values.
        mask: boolean, broadcast to the shape of `input`.
        value: a number or a Tensor with one element.

    Raises:
        TypeError: if the mask is not boolean.
        ValueError: if it does not broadcast, or `value` has several elements.
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"masked_fill: expected a boolean mask, got {mask.dtype}")
    if shape_of(value) not in ((), (1,)):
        raise ValueError(f"masked_fill: expected a value with one element, got shape {shape_of(value)}")
    x, fill = match("masked_fill", input, value)
    y = np.where(mask, fill, x)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (
            unbroadcast(np.where(mask, 0, dy), x.shape) if needs[0] else None,
            None,
            unbroadcast(np.where(mask, dy, 0), shape_of(value)) if needs[2] else None,
        )

    return y, backward


@op
def masked_select(input: Array, mask: Array) -> tuple[Array, Backward]:
    """The elements of `input` where `mask` is true, as a vector.

    Args:
        input: values.
        mask: boolean, broadcast with `input`.

    Raises:
        TypeError: if the mask is not boolean.
        ValueError: if the shapes do not broadcast.
    """
    if mask.dtype != np.bool_:
        raise TypeError(f"masked_select: expected a boolean mask, got {mask.dtype}")
    x, chosen = np.broadcast_arrays(input, mask)
    shape = input.shape

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = np.zeros(chosen.shape, dy.dtype)
        dx[chosen] = dy
        return unbroadcast(dx, shape), None

    return x[chosen], backward


@op
def _nonzero(input: Array) -> tuple[Array, None]:
    """The operation behind `nonzero`."""
    return np.argwhere(input), None


def nonzero(input: Tensor, as_tuple: bool = False) -> Any:
    """The places of the nonzero elements.

    Args:
        input: values.
        as_tuple: give one vector per dimension, as an index, instead of one matrix.

    Shape:
        input: any -> (count, dimensions), or for `as_tuple` (count,) for each dimension.

    Returns:
        an int64 Tensor, or a tuple of them.
    """
    places = _nonzero(input)
    return tuple(places[:, i] for i in range(input.ndim)) if as_tuple else places


@op
def one_hot(input: Array, num_classes: int = -1) -> tuple[Array, None]:
    """Vectors that are 1 at the place a class index names, else 0, in int64.

    Args:
        input: class indices, integers.
        num_classes: number of classes; -1 for one more than the largest index.

    Shape:
        input: (*). Result: (*, num_classes).

    Raises:
        TypeError: if `input` does not hold integers.
        ValueError: if an index is negative or not below `num_classes`.
    """
    if input.dtype.kind not in "iu":
        raise TypeError(f"one_hot: expected integers, got {input.dtype}")
    top = int(input.max()) + 1 if input.size else 0
    count = top if num_classes == -1 else num_classes
    if top > count or (input.size and input.min() < 0):
        raise ValueError(f"one_hot: expected indices from 0 to {count - 1}, got {input.min()} to {top - 1}")
    if count < 1:
        raise ValueError("one_hot: the number of classes cannot be worked out from an empty tensor")
    return (input[..., None] == np.arange(count)).astype(np.int64), None
