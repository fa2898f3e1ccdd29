"""Slices added, copied or filled in by a vector of places; distinct values and their counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from ..dims import dims
from .index import add_at, index_put, masked_fill
from .shape import _axis

__all__ = ["bincount", "index_add", "index_copy", "index_fill", "unique"]


def _checked_index(name: str, x: Array, axis: int, index: Array) -> Array:
    if index.ndim > 1 or index.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected a vector of integers, got {index.dtype} of shape {index.shape}")
    places = index.reshape(-1)
    if places.size and not 0 <= places.min() <= places.max() < x.shape[axis]:
        raise IndexError(f"{name}: an index is out of range for dimension {axis} of shape {x.shape}")
    return places


@op
@dims
def index_add(input: Array, dim: int, index: Array, source: Array, *, alpha: float = 1) -> tuple[Array, Backward]:
    """`input` with slice i of `source`, times `alpha`, added to the slice `index[i]` along a dimension.

    Args:
        input: values.
        dim: the dimension.
        index: integers, a vector; places may repeat.
        source: what is added, of the input's dtype.
        alpha: factor of `source`.

    Shape:
        source: that of `input`, with the length of `index` in dimension `dim`.

    Raises:
        ValueError: if the shapes do not fit.
        IndexError: if a place is out of range.
    """
    axis = _axis("index_add", dim, input.ndim)
    places = _checked_index("index_add", input, axis, index)
    if source.shape != (*input.shape[:axis], places.size, *input.shape[axis + 1 :]):
        raise ValueError(f"index_add: source {source.shape} and index {index.shape} do not fit input {input.shape}")
    key = (slice(None),) * axis + (places,)
    y = input.copy()
    add_at(y, key, (source if alpha == 1 else source * source.dtype.type(alpha)).astype(y.dtype, copy=False))

    def backward(dy: Array, needs: Needs) -> Grads:
        return dy, None, dy[key] if alpha == 1 else dy[key] * dy.dtype.type(alpha)

    return y, backward


@dims
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with the slices that a vector of places names along a dimension replaced by those of `source`.

    Shape:
        source: that of `input`, with the length of `index` in dimension `dim`.

    Raises:
        ValueError: if the shapes do not fit.
        IndexError: if a place is out of range.
    """
    axis = _axis("index_copy", dim, input.ndim)
    places = _checked_index("index_copy", input.data, axis, index.data)
    if source.shape != (*input.shape[:axis], places.size, *input.shape[axis + 1 :]):
        raise ValueError(f"index_copy: source {source.shape} and index {index.shape} do not fit input {input.shape}")
    return index_put(input, source, (slice(None),) * axis + (places,))


@dims
def index_fill(input: Tensor, dim: int, index: Tensor, value: float) -> Tensor:
    """`input` with the slices that a vector of places names along a dimension filled with a number.

    Shape:
        input: any of at least one dimension; the result has the same.

    Raises:
        ValueError: if `index` is not a vector of integers.
        IndexError: if a place is out of range.
    """
    axis = _axis("index_fill", dim, input.ndim)
    mask = np.zeros(input.shape[axis], np.bool_)
    mask[_checked_index("index_fill", input.data, axis, index.data)] = True
    shape = [-1 if i == axis else 1 for i in range(input.ndim)]
    return masked_fill(input, Tensor(mask.reshape(shape)), value)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of the numbers 0, 1, 2 ... occurs in a vector, or the sum of the weights where it does.

    Shape:
        input (n,), weights (n,) -> (max(largest number + 1, minlength),)

    Raises:
        ValueError: if `input` is no vector of numbers of at least 0, or the weights do not fit.
    """
    x = input.data
    if x.ndim != 1 or x.dtype.kind not in "iu" or (x.size and x.min() < 0) or minlength < 0:
        raise ValueError(f"bincount: expected a vector of integers of at least 0, got {x.dtype} of shape {x.shape}")
    if weights is None:
        return Tensor(np.bincount(x, minlength=minlength).astype(np.int64, copy=False))
    if weights.shape != x.shape:
        raise ValueError(f"bincount: expected weights of shape {x.shape}, got {weights.shape}")
    kind = weights.dtype if weights.dtype.kind == "f" else np.dtype(np.float64)
    return Tensor(np.bincount(x, weights.data, minlength).astype(kind))


@dims
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, or the distinct slices along a dimension, in ascending order.

    Args:
        input: values.
        sorted: accepted for PyTorch's sake; the result is sorted in any case.
        return_inverse: also give, for each element, the place of its value in the result.
        return_counts: also give how often each occurs.
        dim: the dimension; None for the elements.

    Shape:
        input (*) -> (number of distinct elements,)

    Returns:
        a Tensor, or a tuple with what was asked for; without gradient.
    """
    distinct: Any = np.unique
    found = distinct(input.data, return_inverse=return_inverse, return_counts=return_counts, axis=dim, equal_nan=False)
    return tuple(map(Tensor, found)) if isinstance(found, tuple) else Tensor(found)
