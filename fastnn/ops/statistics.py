"""Order statistics, and moments together with the mean: compositions of sorting, indexing and reductions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..dims import dims
from .elementwise import add, mul
from .extreme import Extremes, amax, amin, sort
from .index import take_along_dim
from .join import stack
from .reduce import Dim, mean, std, var
from .shape import reshape, squeeze

__all__ = ["aminmax", "median", "quantile", "std_mean", "var_mean"]


def _chosen(ordered: Any, place: Any, dim: int, keepdim: bool) -> Extremes:
    """Values and indices at a place (one for each line, with length 1 along `dim`) of a sorted tensor."""
    parts = [take_along_dim(part, Tensor(place), dim) for part in ordered]
    return Extremes(*(part if keepdim else squeeze(part, dim) for part in parts))


@dims
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element in order, of all or along a dimension; of an even number the lower of the two in the middle.

    NaN if there is one. The gradient goes to the element chosen.

    Args:
        input: values.
        dim: dimension to go along; None for all elements.
        keepdim: keep the dimension with length 1.

    Shape:
        input (*) -> (); with `dim`, (*, L, *) -> values and indices (*, *), or (*, 1, *) if `keepdim`.

    Returns:
        a Tensor; with a dimension, a named tuple `(values, indices)`.

    Raises:
        ValueError: if there are no elements.
    """
    x = reshape(input, -1) if dim is None or input.ndim == 0 else input
    axis = 0 if dim is None else dim % x.ndim
    if x.shape[axis] == 0:
        raise ValueError(f"median: expected elements, got shape {input.shape}")
    ordered: Any = sort(x, axis)
    last = np.take(ordered.values.data, [-1], axis)
    invalid = np.isnan(last) if last.dtype.kind == "f" else np.zeros(last.shape, np.bool_)
    length = x.shape[axis]
    found = _chosen(ordered, np.where(invalid, length - 1, (length - 1) // 2), axis, keepdim and input.ndim > 0)
    return found.values if dim is None else found


@dims
def quantile(input: Tensor, q: float | Sequence[float], dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Quantiles by linear interpolation between neighbours in order: of n elements, place `q (n - 1)`.

    Args:
        input: values, floating.
        q: one level from 0 to 1, or several.
        dim: dimension to go along; None for all elements.
        keepdim: keep the dimension with length 1.

    Shape:
        input (*, L, *) -> (*, *), or (*, 1, *) if `keepdim`; several levels come first, (levels, *, *).

    Raises:
        ValueError: if a level is not from 0 to 1 or there are no elements.
    """
    levels = np.atleast_1d(np.asarray(q, np.float64))
    if levels.ndim != 1 or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(f"quantile: expected levels from 0 to 1, got {q}")
    x = reshape(input, -1) if dim is None else input
    axis = 0 if dim is None else dim % x.ndim
    length = x.shape[axis]
    if length == 0:
        raise ValueError(f"quantile: expected elements, got shape {input.shape}")
    ordered: Any = sort(x, axis)
    shape = [1 if i == axis else n for i, n in enumerate(x.shape)]
    results = []
    for level in levels:
        place = float(level) * (length - 1)
        low = min(int(place), length - 1)
        high, share = min(low + 1, length - 1), place - low
        pair = [_chosen(ordered, np.full(shape, at), axis, keepdim).values for at in (low, high)]
        results.append(add(mul(pair[0], 1 - share), mul(pair[1], share)) if share else pair[0])
    if keepdim and dim is None:
        results = [reshape(each, (1,) * input.ndim) for each in results]
    return stack(results) if np.ndim(q) else results[0]


def var_mean(
    input: Tensor, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, **options: Any
) -> tuple[Tensor, Tensor]:
    """`var` and `mean` of the same elements, as a tuple; arguments as `var`."""
    return var(input, dim, unbiased, keepdim, **options), mean(input, dim, keepdim)


def std_mean(
    input: Tensor, dim: Dim = None, unbiased: bool | None = None, keepdim: bool = False, **options: Any
) -> tuple[Tensor, Tensor]:
    """`std` and `mean` of the same elements, as a tuple; arguments as `std`."""
    return std(input, dim, unbiased, keepdim, **options), mean(input, dim, keepdim)


@dims
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """`amin` and `amax` of the same elements, as a tuple; arguments as `amin`."""
    return amin(input, dim, keepdim), amax(input, dim, keepdim)
