"""Operations that join, split and repeat tensors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from .. import _C
from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from ..autograd.dtype import result_type
from ..dims import dims as aliases
from .layout import Order, memory_axes
from .shape import Sizes, _axis, sizes_of

__all__ = [
    "cat", "chunk", "concat", "concatenate", "hstack", "repeat", "split", "stack", "tile", "unbind", "vstack",
]  # fmt: skip


def _promoted(tensors: tuple[Array, ...]) -> list[Array]:
    """The tensors in the one dtype that holds them all by PyTorch's rules."""
    if all(x.dtype is tensors[0].dtype for x in tensors):
        return list(tensors)
    dtype = result_type(*tensors)
    return [x.astype(dtype, copy=False) for x in tensors]


_LARGE = 1 << 15
"""Elements of the smallest result that several threads copy; NumPy is as fast with less."""


def _joined(tensors: list[Array], axis: int) -> Array:
    """`np.concatenate`; if large, in memory of the caching allocator, and copied by several threads."""
    first = tensors[0]
    if sum(x.size for x in tensors) < _LARGE or first.dtype not in (np.float32, np.float64):
        return np.concatenate(tensors, axis=axis)
    axes = memory_axes(first)
    others = first.shape[:axis] + first.shape[axis + 1 :]
    if any(memory_axes(x) != axes or x.shape[:axis] + x.shape[axis + 1 :] != others for x in tensors[1:]):
        return np.concatenate(tensors, axis=axis)
    shape = (*first.shape[:axis], sum(x.shape[axis] for x in tensors), *first.shape[axis + 1 :])
    y: Array = Order(shape, axes).restore(_C.empty(tuple([shape[each] for each in axes]), first.dtype).reshape(-1))
    end = 0
    for x in tensors:
        start, end = end, end + x.shape[axis]
        _C.copyto(y[(slice(None),) * axis + (slice(start, end),)], x)
    return y


@op
def _cat(*tensors: Array, dim: int = 0) -> tuple[Array, Backward]:
    """The operation behind `cat`."""
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    axis = _axis("cat", dim, tensors[0].ndim)
    try:
        y = _joined(_promoted(tensors), axis)
    except ValueError:
        shapes = [x.shape for x in tensors]
        raise ValueError(f"cat: shapes {shapes} differ in another dimension than {dim}") from None
    ends = list(itertools.accumulate(x.shape[axis] for x in tensors))[:-1]

    def backward(dy: Array, needs: Needs) -> Grads:
        return np.split(dy, ends, axis)

    return y, backward


@aliases
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors one behind the other along an existing dimension.

    Args:
        tensors: at least one; their shapes agree in all dimensions but `dim`.
        dim: the dimension along which they are joined.

    Shape:
        each (*, L_i, *), L_i being `dim` -> (*, sum of L_i, *)

    Raises:
        ValueError: if there are none or the shapes do not agree.
    """
    return _cat(*tensors, dim=dim)


@op
def _stack(*tensors: Array, dim: int = 0) -> tuple[Array, Backward]:
    """The operation behind `stack`."""
    if not tensors:
        raise ValueError("stack: expected at least one tensor")
    axis = _axis("stack", dim, tensors[0].ndim + 1)
    if any(x.shape != tensors[0].shape for x in tensors):
        raise ValueError(f"stack: expected equal shapes, got {[x.shape for x in tensors]}")

    def backward(dy: Array, needs: Needs) -> Grads:
        return list(np.moveaxis(dy, axis, 0))

    return np.stack(_promoted(tensors), axis), backward


@aliases
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new dimension.

    Args:
        tensors: at least one, of equal shapes.
        dim: place of the new dimension in the result.

    Shape:
        each (*) -> (*, number of tensors, *), with the new dimension at `dim`.

    Raises:
        ValueError: if there are none or the shapes differ.
    """
    return _stack(*tensors, dim=dim)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one below the other: `cat` along the first dimension; vectors become rows."""
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in tensors], 0)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors side by side: `cat` along the second dimension, along the only one of vectors."""
    lines = [x.reshape(1) if x.ndim == 0 else x for x in tensors]
    return cat(lines, 0 if lines and lines[0].ndim == 1 else 1)


@op
@aliases
def split(input: Array, split_size_or_sections: Sizes, dim: int = 0) -> tuple[tuple[Array, ...], Backward]:
    """A tensor cut into pieces along a dimension; the pieces are views.

    Args:
        input: values.
        split_size_or_sections: the length of each piece, the last one being shorter if need be, or a sequence of
            lengths that add up to the dimension's.
        dim: dimension to cut along.

    Shape:
        input (*, L, *), L being `dim` -> pieces (*, L_i, *) whose lengths add up to L.

    Returns:
        a tuple of Tensors.

    Raises:
        ValueError: if the lengths do not add up.
    """
    axis = _axis("split", dim, input.ndim)
    total = input.shape[axis]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and total):
            raise ValueError(f"split: expected a positive length, got {size}")
        lengths = [min(size, total - start) for start in range(0, total, size or 1)] or [0]
    else:
        lengths = list(split_size_or_sections)
        if any(n < 0 for n in lengths) or math.fsum(lengths) != total:
            raise ValueError(f"split: lengths {lengths} do not add up to {total}, dimension {dim} of {input.shape}")
    shape = input.shape

    def backward(dys: tuple[Array | None, ...], needs: Needs) -> Grads:
        dtype = next(dy.dtype for dy in dys if dy is not None)
        dx = np.zeros(shape, dtype)
        start = 0
        for length, dy in zip(lengths, dys, strict=True):
            if dy is not None:
                dx[(slice(None),) * axis + (slice(start, start + length),)] = dy
            start += length
        return (dx,)

    return tuple(np.split(input, list(itertools.accumulate(lengths))[:-1], axis)), backward


@aliases
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """A tensor cut into at most `chunks` pieces of equal length along a dimension, the last one may be shorter.

    Shape:
        input (*, L, *), L being `dim` -> pieces (*, ceil(L / chunks), *)

    Raises:
        ValueError: if `chunks` is not positive.
    """
    if chunks < 1:
        raise ValueError(f"chunk: expected at least one chunk, got {chunks}")
    return split(input, max(1, math.ceil(input.shape[dim] / chunks)), dim)


@op
@aliases
def unbind(input: Array, dim: int = 0) -> tuple[tuple[Array, ...], Backward]:
    """The slices of a tensor along a dimension, as a tuple of views without it.

    Args:
        input: values, at least one dimension.
        dim: the dimension to take apart.

    Shape:
        input (*, L, *), L being `dim` -> L tensors (*, *)
    """
    if input.ndim == 0:
        raise ValueError("unbind: expected at least one dimension")
    axis, shape = _axis("unbind", dim, input.ndim), input.shape

    def backward(dys: tuple[Array | None, ...], needs: Needs) -> Grads:
        dx = np.zeros(shape, next(dy.dtype for dy in dys if dy is not None))
        for target, dy in zip(np.moveaxis(dx, axis, 0), dys, strict=True):
            if dy is not None:
                target[...] = dy
        return (dx,)

    turned = np.moveaxis(input, axis, 0)
    return tuple(turned[i, ...] for i in range(shape[axis])), backward


@op
def repeat(input: Array, *sizes: Sizes) -> tuple[Array, Backward]:
    """The tensor repeated along each dimension, as tiles.

    Args:
        input: values.
        sizes: how often along each dimension, one by one or as a sequence; at least as many as there are
            dimensions, further ones come in front.

    Shape:
        input (d1, ..., dn) and sizes (s1, ..., sn) -> (s1 d1, ..., sn dn)

    Raises:
        ValueError: if there are fewer numbers than dimensions.
    """
    counts, shape = sizes_of(sizes), input.shape
    lead = len(counts) - len(shape)
    if lead < 0:
        raise ValueError(f"repeat: expected at least {len(shape)} numbers for shape {shape}, got {counts}")
    padded = (1,) * lead + shape

    def backward(dy: Array, needs: Needs) -> Grads:
        tiles = dy.reshape([n for pair in zip(counts, padded, strict=True) for n in pair])
        return (np.add.reduce(tiles, axis=tuple(range(0, 2 * len(counts), 2))).reshape(shape),)

    return np.tile(input, counts), backward


def tile(input: Tensor, *dims: Sizes) -> Tensor:
    """`repeat` that takes fewer numbers than dimensions too; those in front then are 1."""
    counts = sizes_of(dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


concat = concatenate = cat
