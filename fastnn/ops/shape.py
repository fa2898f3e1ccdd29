"""Operations that rearrange the elements of one tensor without changing or repeating them.

The results are views where NumPy can make them so. Joining, splitting and repeating are in `join`, borders in `pad`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from ..dims import dims as aliases
from .broadcast import unbroadcast
from .reduce import axes_of, max_rank

__all__ = [
    "broadcast_to", "diag", "expand", "expand_as", "flatten", "flip", "movedim", "permute", "reshape", "roll",
    "squeeze", "swapaxes", "swapdims", "t", "transpose", "tril", "triu", "unflatten", "unsqueeze", "view",
]  # fmt: skip

Sizes: TypeAlias = int | Sequence[int]


def sizes_of(sizes: tuple[Sizes, ...]) -> tuple[int, ...]:
    """Numbers given one by one, or as one sequence, as a tuple."""
    if len(sizes) == 1 and not isinstance(sizes[0], int | np.integer):
        return tuple(int(size) for size in sizes[0])
    return tuple(int(size) for size in sizes)  # type: ignore[arg-type]


def _axis(name: str, dim: int, ndim: int) -> int:
    """One dimension as a non-negative number."""
    rank = max_rank(ndim)
    if not -rank <= dim < rank:
        raise IndexError(f"{name}: dimension {dim} is out of range for a tensor of {ndim} dimensions")
    return dim % rank


def _reshaped(name: str, x: Array, shape: tuple[int, ...]) -> tuple[Array, Backward]:
    before = x.shape
    try:
        y = x.reshape(shape)
    except ValueError:
        raise ValueError(f"{name}: a tensor of shape {before} does not fit into shape {shape}") from None

    def backward(dy: Array, needs: Needs) -> Grads:
        return (dy.reshape(before),)

    return y, backward


@op
def reshape(input: Array, *shape: Sizes) -> tuple[Array, Backward]:
    """The same elements in another shape, in the order of the last dimension first.

    A view where the memory allows it; a channels-last activation is copied, unless its spatial size is 1.

    Args:
        input: values.
        shape: lengths of the new dimensions, one by one or as a sequence; one may be -1 to be worked out.

    Shape:
        input: any; the result has `shape`.

    Raises:
        ValueError: if the numbers of elements differ.
    """
    return _reshaped("reshape", input, sizes_of(shape))


def view(input: Tensor, *shape: Sizes) -> Tensor:
    """`reshape`. Unlike PyTorch's, it copies where the memory does not allow a view instead of raising."""
    return reshape(input, *shape)


@op
def flatten(input: Array, start_dim: int = 0, end_dim: int = -1) -> tuple[Array, Backward]:
    """The dimensions from `start_dim` to `end_dim`, both included, merged into one.

    Args:
        input: values.
        start_dim: first dimension to merge.
        end_dim: last dimension to merge.

    Shape:
        input (a, b, c, d) -> (a, b c, d) for `start_dim` 1 and `end_dim` 2.

    Raises:
        IndexError: if a dimension is out of range.
        ValueError: if `end_dim` comes before `start_dim`.
    """
    start, end = _axis("flatten", start_dim, input.ndim), _axis("flatten", end_dim, input.ndim)
    if end < start:
        raise ValueError(f"flatten: end_dim {end_dim} comes before start_dim {start_dim}")
    shape = input.shape
    merged = math.prod(shape[start : end + 1])
    return _reshaped("flatten", input, (*shape[:start], merged, *shape[end + 1 :]))


@op
def unflatten(input: Array, dim: int, sizes: Sequence[int]) -> tuple[Array, Backward]:
    """Dimension `dim` split into several.

    Args:
        input: values.
        dim: the dimension to split.
        sizes: lengths of the dimensions that replace it; one may be -1 to be worked out.

    Shape:
        input (a, b c, d) -> (a, b, c, d) for `dim` 1 and `sizes` (b, c).

    Raises:
        ValueError: if the numbers of elements differ.
    """
    axis = _axis("unflatten", dim, input.ndim)
    known = math.prod([size for size in sizes if size != -1])
    filled = [input.shape[axis] // known if size == -1 and known else size for size in sizes]
    if math.prod(filled) != input.shape[axis]:
        raise ValueError(f"unflatten: {tuple(sizes)} does not divide dimension {dim} of shape {input.shape}")
    return _reshaped("unflatten", input, (*input.shape[:axis], *filled, *input.shape[axis + 1 :]))


def _permuted(x: Array, order: tuple[int, ...]) -> tuple[Array, Backward]:
    inverse = [0] * len(order)
    for position, axis in enumerate(order):
        inverse[axis] = position

    def backward(dy: Array, needs: Needs) -> Grads:
        return (dy.transpose(inverse),)

    return x.transpose(order), backward


@op
def permute(input: Array, *dims: Sizes) -> tuple[Array, Backward]:
    """The dimensions in another order, a view.

    Args:
        input: values.
        dims: for each new dimension the old one, one by one or as a sequence.

    Shape:
        input (a, b, c) -> (c, a, b) for `dims` (2, 0, 1).

    Raises:
        ValueError: if `dims` is not a permutation of the dimensions.
    """
    given = sizes_of(dims)
    order = tuple(_axis("permute", dim, input.ndim) for dim in given)
    if sorted(order) != list(range(input.ndim)):
        raise ValueError(f"permute: {given} is not a permutation of {input.ndim} dimensions")
    return _permuted(input, order)


@op
def transpose(input: Array, dim0: int, dim1: int) -> tuple[Array, Backward]:
    """Two dimensions exchanged, a view.

    Args:
        input: values.
        dim0: the one.
        dim1: the other.

    Shape:
        input (a, b, c) -> (c, b, a) for dimensions 0 and 2.

    Raises:
        IndexError: if a dimension is out of range.
    """
    order = list(range(input.ndim))
    if order:
        one, two = _axis("transpose", dim0, input.ndim), _axis("transpose", dim1, input.ndim)
        order[one], order[two] = order[two], order[one]
    return _permuted(input, tuple(order))


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or scalar as it is.

    Shape:
        input (m, n) -> (n, m)

    Raises:
        ValueError: if there are more than two dimensions.
    """
    if input.ndim > 2:
        raise ValueError(f"t: expected at most two dimensions, got shape {input.shape}")
    return transpose(input, 0, 1) if input.ndim == 2 else input


@op
def movedim(input: Array, source: Sizes, destination: Sizes) -> tuple[Array, Backward]:
    """Dimensions moved to other places, the rest keeping their order, a view.

    Args:
        input: values.
        source: dimension or dimensions to move.
        destination: where each goes.

    Shape:
        input (a, b, c) -> (b, c, a) for `source` 0 and `destination` -1.

    Raises:
        ValueError: if the two have different lengths or name a dimension twice.
        IndexError: if a dimension is out of range.
    """
    sources = [_axis("movedim", dim, input.ndim) for dim in sizes_of((source,))]
    places = [_axis("movedim", dim, input.ndim) for dim in sizes_of((destination,))]
    if len(sources) != len(places) or len(set(sources)) < len(sources) or len(set(places)) < len(places):
        raise ValueError(f"movedim: source {source} and destination {destination} do not pair up")
    order = [axis for axis in range(input.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return _permuted(input, tuple(order))


@op
@aliases
def squeeze(input: Array, dim: int | Sequence[int] | None = None) -> tuple[Array, Backward]:
    """Dimensions of length 1 removed, a view.

    Args:
        input: values.
        dim: dimension or dimensions to remove if their length is 1; all such by default.

    Shape:
        input (a, 1, b) -> (a, b)

    Raises:
        IndexError: if a dimension is out of range.
    """
    axes = range(input.ndim) if dim is None else axes_of("squeeze", dim, input.ndim)
    shape = tuple(n for axis, n in enumerate(input.shape) if n != 1 or axis not in axes)
    return _reshaped("squeeze", input, shape)


@op
@aliases
def unsqueeze(input: Array, dim: int) -> tuple[Array, Backward]:
    """A dimension of length 1 put in before dimension `dim`, a view.

    Args:
        input: values.
        dim: place of the new dimension in the result; negative ones count from its end.

    Shape:
        input (a, b) -> (a, 1, b) for `dim` 1.

    Raises:
        IndexError: if the place is out of range.
    """
    place = _axis("unsqueeze", dim, input.ndim + 1)
    return _reshaped("unsqueeze", input, (*input.shape[:place], 1, *input.shape[place:]))


@op
def expand(input: Array, *sizes: Sizes) -> tuple[Array, Backward]:
    """Dimensions of length 1 repeated to other lengths, a read-only view.

    Args:
        input: values.
        sizes: the new shape, one by one or as a sequence; -1 keeps a length; dimensions may be added in front.

    Shape:
        input (\\*, 1, \\*) -> (\\*, size, \\*); the result has the shape `sizes`.

    Raises:
        ValueError: if the shape cannot be expanded to `sizes`.
    """
    given, before = sizes_of(sizes), input.shape
    lead = len(given) - len(before)
    shape = tuple(before[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(given))
    try:
        y = np.broadcast_to(input, shape)
    except ValueError:
        raise ValueError(f"expand: a tensor of shape {before} does not expand to {given}") from None

    def backward(dy: Array, needs: Needs) -> Grads:
        return (unbroadcast(dy, before),)

    return y, backward


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """`expand` to `shape`, NumPy's name."""
    return expand(input, shape)


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`expand` to the shape of `other`."""
    return expand(input, other.shape)


@op
def flip(input: Array, *dims: Sizes) -> tuple[Array, Backward]:
    """The order of the elements reversed along dimensions, a view.

    Args:
        input: values.
        dims: the dimensions, one by one or as a sequence.

    Shape:
        input: any; the result has the same.

    Raises:
        IndexError: if a dimension is out of range.
    """
    axes = tuple(_axis("flip", dim, input.ndim) for dim in sizes_of(dims))

    def backward(dy: Array, needs: Needs) -> Grads:
        return (np.flip(dy, axes),)

    return np.flip(input, axes), backward


@op
@aliases
def roll(input: Array, shifts: Sizes, dims: Sizes | None = None) -> tuple[Array, Backward]:
    """The elements moved on along dimensions, those that leave at the end coming in at the start.

    Args:
        input: values.
        shifts: by how much, a number or one for each of `dims`.
        dims: dimension or dimensions; None to roll the flattened tensor.

    Raises:
        ValueError: if there are not as many shifts as dimensions.
    """
    steps = sizes_of((shifts,))
    axes = None if dims is None else tuple(_axis("roll", dim, input.ndim) for dim in sizes_of((dims,)))
    if len(steps) != (1 if axes is None else len(axes)):
        raise ValueError(f"roll: shifts {shifts} and dims {dims} do not pair up")

    def turned(x: Array, direction: int) -> Array:
        moves = [direction * step for step in steps]
        return np.roll(x, moves[0]) if axes is None else np.roll(x, moves, axes)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (turned(dy, -1),)

    return turned(input, 1), backward


@op
def tril(input: Array, diagonal: int = 0) -> tuple[Array, Backward]:
    """The lower triangle of matrices, zeros above it.

    Args:
        input: values.
        diagonal: the last diagonal kept, 0 being the main one, positive ones above it.

    Shape:
        input: (*, rows, columns); the result has the same.
    """
    _need_matrix("tril", input)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (np.tril(dy, diagonal),)

    return np.tril(input, diagonal), backward


@op
def triu(input: Array, diagonal: int = 0) -> tuple[Array, Backward]:
    """The upper triangle of matrices, zeros below it.

    Args:
        input: values.
        diagonal: the first diagonal kept, 0 being the main one, positive ones above it.

    Shape:
        input: (*, rows, columns); the result has the same.
    """
    _need_matrix("triu", input)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (np.triu(dy, diagonal),)

    return np.triu(input, diagonal), backward


def _need_matrix(name: str, x: Array) -> None:
    if x.ndim < 2:
        raise ValueError(f"{name}: expected at least two dimensions, got shape {x.shape}")


@op
def diag(input: Array, diagonal: int = 0) -> tuple[Array, Backward]:
    """The matrix with a vector on its diagonal, or the diagonal of a matrix.

    Args:
        input: a vector or a matrix.
        diagonal: which diagonal, 0 being the main one, positive ones above it.

    Shape:
        input (n,) -> (n + |diagonal|, n + |diagonal|); input (m, n) -> its diagonal as a vector.

    Raises:
        ValueError: if `input` is neither.
    """
    if input.ndim not in (1, 2):
        raise ValueError(f"diag: expected a vector or a matrix, got shape {input.shape}")
    shape = input.shape

    def backward(dy: Array, needs: Needs) -> Grads:
        if len(shape) == 1:
            return (np.diagonal(dy, diagonal),)
        dx = np.zeros(shape, dy.dtype)
        rows = np.arange(len(dy)) + max(-diagonal, 0)
        dx[rows, rows + diagonal] = dy
        return (dx,)

    return np.diag(input, diagonal).copy(), backward


swapaxes = swapdims = transpose
