"""Shape operations made of others: slices, turns, repeats, grids."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..autograd import Tensor
from ..dims import dims as aliases
from .index import getitem, index_select
from .join import split
from .shape import _axis, expand, flatten, flip, movedim, reshape, transpose

__all__ = [
    "diagonal", "fliplr", "flipud", "meshgrid", "moveaxis", "narrow", "ravel", "repeat_interleave", "rot90", "select",
    "tensor_split",
]  # fmt: skip

moveaxis = movedim


def ravel(input: Tensor) -> Tensor:
    """The elements as a vector: `flatten` of all dimensions, (*) -> (number of elements)."""
    return flatten(input)


def fliplr(input: Tensor) -> Tensor:
    """`flip` of the second dimension: (m, n) -> (m, n)."""
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """`flip` of the first dimension: (m, n) -> (m, n)."""
    return flip(input, 0)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The tensor turned by `k` right angles in the plane of two dimensions, from the first towards the second.

    Shape:
        input (a, b) -> (b, a) for odd `k`, (a, b) for even `k`.

    Raises:
        ValueError: if `dims` are not two different dimensions.
    """
    first, second = (_axis("rot90", dim, input.ndim) for dim in dims)
    if first == second:
        raise ValueError(f"rot90: expected two different dimensions, got {tuple(dims)}")
    if k % 4 == 0:
        return flip(input, ())
    if k % 4 == 2:
        return flip(input, first, second)
    return flip(transpose(input, first, second), first if k % 4 == 1 else second)


@aliases
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """`length` elements from `start` on along a dimension, a view.

    Shape:
        input (*, L, *), L being `dim` -> (*, length, *)

    Raises:
        ValueError: if they do not lie within the tensor.
    """
    axis = _axis("narrow", dim, input.ndim)
    size = input.shape[axis]
    begin = start + size if start < 0 else start
    if not 0 <= begin <= begin + length <= size:
        raise ValueError(
            f"narrow: {length} elements from {start} on do not lie within dimension {dim} of {input.shape}"
        )
    return getitem(input, (slice(None),) * axis + (slice(begin, begin + length),))


@aliases
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one place along a dimension, without it, a view.

    Shape:
        input (*, L, *), L being `dim` -> (*, *)

    Raises:
        IndexError: if the place is out of range.
    """
    return getitem(input, (slice(None),) * _axis("select", dim, input.ndim) + (index,))


@aliases
def repeat_interleave(input: Tensor, repeats: int | Tensor, dim: int | None = None) -> Tensor:
    """Each element repeated, the copies side by side.

    Args:
        input: values.
        repeats: how often, for all or for each element along the dimension.
        dim: the dimension; None for the flattened tensor.

    Shape:
        input (*, L, *), L being `dim` -> (*, sum of repeats, *)

    Raises:
        ValueError: if a number is negative, or there is not one for each element.
    """
    x = flatten(input) if dim is None else input
    axis = 0 if dim is None else _axis("repeat_interleave", dim, input.ndim)
    counts = np.asarray(repeats.data if isinstance(repeats, Tensor) else repeats)
    if counts.size not in (1, x.shape[axis]) or (counts.size and counts.min() < 0):
        raise ValueError(
            f"repeat_interleave: expected one number of at least 0 or {x.shape[axis]} of them, got {counts.tolist()}"
        )
    places = np.repeat(np.arange(x.shape[axis]), counts.reshape(-1))
    return index_select(x, axis, Tensor(places))


@aliases
def tensor_split(input: Tensor, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """A tensor cut along a dimension into pieces of nearly equal length, or at given places; the pieces are views.

    Shape:
        input (*, L, *), L being `dim` -> pieces (*, L_i, *) whose lengths add up to L.

    Raises:
        ValueError: if the number of pieces is not positive.
    """
    size = input.shape[_axis("tensor_split", dim, input.ndim)]
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count < 1:
            raise ValueError(f"tensor_split: expected at least one piece, got {count}")
        return split(input, [size // count + (i < size % count) for i in range(count)], dim)
    ends = [min(max(i + size if i < 0 else i, 0), size) for i in indices_or_sections]
    bounds = [0, *ends, size]
    if any(a > b for a, b in pairwise(bounds)):
        return tuple(narrow(input, dim, a, max(b - a, 0)) for a, b in pairwise(bounds))
    return split(input, [b - a for a, b in pairwise(bounds)], dim)


def meshgrid(*tensors: Tensor, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinate grids of vectors: tensor i holds vector i along dimension i, repeated along the others.

    Args:
        tensors: vectors or scalars.
        indexing: "ij", or "xy" to exchange the first two dimensions.

    Shape:
        (n1,), (n2,), ... -> (n1, n2, ...) each.

    Raises:
        ValueError: if a tensor is no vector or `indexing` is another word.
    """
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: expected indexing 'ij' or 'xy', got {indexing!r}")
    if any(x.ndim > 1 for x in tensors):
        raise ValueError(f"meshgrid: expected vectors, got shapes {[x.shape for x in tensors]}")
    count = len(tensors)
    shape = [x.numel() for x in tensors]
    grids = [expand(reshape(x, [-1 if j == i else 1 for j in range(count)]), shape) for i, x in enumerate(tensors)]
    return tuple(transpose(g, 0, 1) if indexing == "xy" and count > 1 else g for g in grids)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonals of the matrices that two dimensions hold, as a new last dimension.

    Args:
        input: values, at least two dimensions.
        offset: which diagonal, 0 being the main one, positive ones above it.
        dim1: the dimension of the rows.
        dim2: the dimension of the columns.

    Shape:
        input (m, n, *) -> (*, length of the diagonal)

    Raises:
        ValueError: if both dimensions are the same.
    """
    rows, columns = _axis("diagonal", dim1, input.ndim), _axis("diagonal", dim2, input.ndim)
    if rows == columns:
        raise ValueError(f"diagonal: expected two different dimensions, got {dim1} and {dim2}")
    turned = movedim(input, (rows, columns), (-2, -1))
    m, n = turned.shape[-2:]
    first = np.arange(max(min(m + min(offset, 0), n - max(offset, 0)), 0))
    return getitem(turned, (..., first - min(offset, 0), first + max(offset, 0)))
