"""Operations that join, split, repeat and pad tensors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from ..autograd.dtype import result_type
from ..dims import dims as aliases
from .index import add_at
from .shape import Sizes, _axis, sizes_of

__all__ = [
    "cat", "chunk", "concat", "concatenate", "hstack", "pad", "repeat", "split", "stack", "tile", "unbind", "vstack",
]  # fmt: skip


def _promoted(tensors: tuple[Array, ...]) -> list[Array]:
    """The tensors in the one dtype that holds them all by PyTorch's rules."""
    if all(x.dtype is tensors[0].dtype for x in tensors):
        return list(tensors)
    dtype = result_type(*tensors)
    return [x.astype(dtype, copy=False) for x in tensors]


@op
def _cat(*tensors: Array, dim: int = 0) -> tuple[Array, Backward]:
    """The operation behind `cat`."""
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    axis = _axis("cat", dim, tensors[0].ndim)
    try:
        y = np.concatenate(_promoted(tensors), axis=axis)
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


@op
def pad(input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> tuple[Array, Backward]:
    """A border put around the last dimensions.

    Args:
        input: values.
        pad: (before, after) of the last dimension, then of the one before it, and so on. Negative numbers cut off.
        mode: "constant" (a value), "reflect" (mirrored at the border element), "replicate" (the border element
            repeated) or "circular" (the other end).
        value: the constant, 0 by default.

    Shape:
        input (*, W) and pad (before, after) -> (*, before + W + after), and so on for the other dimensions.

    Raises:
        ValueError: if `pad` has an odd number of entries or more than two per dimension, the mode is unknown, or a
            mirrored or circular border is wider than the tensor.
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad: expected pairs for at most {input.ndim} dimensions, got {tuple(pad)}")
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(f"pad: expected mode constant, reflect, replicate or circular, got {mode!r}")
    borders = {input.ndim - 1 - i: (pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)}
    if mode == "constant":
        return _constant_border(input, borders, 0 if value is None else value)
    places = {axis: _border_places(input.shape, axis, widths, mode) for axis, widths in borders.items()}
    shape = input.shape
    y = input
    for axis, place in places.items():
        y = y.take(place, axis)

    def backward(dy: Array, needs: Needs) -> Grads:
        for axis, place in places.items():
            dx = np.zeros((*dy.shape[:axis], shape[axis], *dy.shape[axis + 1 :]), dy.dtype)
            add_at(dx, (slice(None),) * axis + (place,), dy)
            dy = dx
        return (dy,)

    return y, backward


def _border_places(shape: tuple[int, ...], axis: int, widths: tuple[int, int], mode: str) -> Array:
    """For each place along a padded dimension, the place in the tensor that its element comes from."""
    length, (before, after) = shape[axis], widths
    widest = {"reflect": length - 1, "replicate": math.inf if length else 0, "circular": length}[mode]
    if max(before, after) > widest:
        raise ValueError(f"pad: a {mode} border of {widths} is too wide for dimension {axis} of {shape}")
    place = np.arange(-before, length + after)
    if mode == "replicate":
        return np.clip(place, 0, length - 1)
    if mode == "circular":
        return place % length
    return np.asarray((length - 1) - np.abs((length - 1) - np.abs(place)))


def _constant_border(x: Array, borders: dict[int, tuple[int, int]], value: Any) -> tuple[Array, Backward]:
    """`x` with constant borders, or cut off where they are negative."""
    shape, inner, kept = list(x.shape), [slice(None)] * x.ndim, [slice(None)] * x.ndim
    for axis, (before, after) in borders.items():
        length = x.shape[axis]
        shape[axis] = length + before + after
        if shape[axis] < 0:
            raise ValueError(f"pad: {(before, after)} cuts more off dimension {axis} than shape {x.shape} has")
        inner[axis] = slice(max(before, 0), max(shape[axis] - max(after, 0), 0))
        kept[axis] = slice(max(-before, 0), max(length - max(-after, 0), 0))
    before_shape, outer_place, inner_place = x.shape, tuple(inner), tuple(kept)
    y = np.full_like(x, value, shape=shape)
    y[outer_place] = x[inner_place]
    cut = any(min(widths) < 0 for widths in borders.values())

    def backward(dy: Array, needs: Needs) -> Grads:
        if not cut:
            return (dy[outer_place],)
        dx = np.zeros(before_shape, dy.dtype)
        dx[inner_place] = dy[outer_place]
        return (dx,)

    return y, backward


concat = concatenate = cat
