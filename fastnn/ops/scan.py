"""Running products and extremes along a dimension; running sums are `cumsum` in `reduce`."""

from __future__ import annotations

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, op
from ..dims import dims
from .extreme import Extremes
from .reduce import axes_of

__all__ = ["cummax", "cummin", "cumprod"]


def _line_axis(name: str, x: Array, dim: int) -> int:
    if x.ndim == 0:
        raise ValueError(f"{name}: expected a tensor with at least one dimension")
    return axes_of(name, dim, x.ndim)[0]


@op
@dims
def cumprod(input: Array, dim: int) -> tuple[Array, Backward]:
    """The products of the first 1, 2, 3 ... elements along a dimension. Integers are multiplied in int64.

    The gradient uses no division, so it is exact where elements are zero: with `p_i` the product of the elements before
    i, it is `p_i s_i`, where `s_i = dy_i + x_(i+1) s_(i+1)`.

    Args:
        input: values.
        dim: dimension to multiply along.

    Shape:
        input: any of at least one dimension; the result has the same.
    """
    axis = _line_axis("cumprod", input, dim)
    kind = np.int64 if input.dtype.kind != "f" else input.dtype

    def backward(dy: Array, needs: Needs) -> Grads:
        x, given = np.moveaxis(input, axis, 0), np.moveaxis(dy, axis, 0)
        dx = np.empty(x.shape, dy.dtype)
        sum_after = np.zeros(x.shape[1:], dy.dtype)
        for i in reversed(range(len(x))):
            sum_after = given[i] + (x[i + 1] * sum_after if i + 1 < len(x) else 0)
            dx[i] = sum_after
        before = np.ones(x.shape[1:], dy.dtype)
        for i in range(len(x)):
            dx[i] *= before
            before = before * x[i]
        return (np.moveaxis(dx, 0, axis),)

    return np.cumprod(input, axis=axis, dtype=kind), backward


def _running(name: str, x: Array, dim: int, extreme: np.ufunc) -> tuple[Extremes, Backward]:
    """The extremes of the first 1, 2, 3 ... elements, and the last places where they are."""
    axis = _line_axis(name, x, dim)
    values = extreme.accumulate(x, axis=axis)
    counts = np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    reached = (x == values) | (np.isnan(x) if x.dtype.kind == "f" else False)
    places = np.maximum.accumulate(np.where(reached, counts, 0), axis=axis)

    def backward(dys: tuple[Array | None, ...], needs: Needs) -> Grads:
        if dys[0] is None:
            return (None,)
        dx = np.zeros(values.shape, dys[0].dtype)
        grid = list(np.ogrid[tuple(slice(n) for n in values.shape)])
        grid[axis] = places
        np.add.at(dx, tuple(grid), dys[0])
        return (dx,)

    return Extremes(values, places), backward


@op
@dims
def cummax(input: Array, dim: int) -> tuple[Extremes, Backward]:
    """The largest of the first 1, 2, 3 ... elements along a dimension, and where it is; of equals the last counts.

    Args:
        input: values.
        dim: dimension to go along.

    Shape:
        input: any of at least one dimension; values and indices have the same.

    Returns:
        a named tuple `(values, indices)`.
    """
    return _running("cummax", input, dim, np.maximum)


@op
@dims
def cummin(input: Array, dim: int) -> tuple[Extremes, Backward]:
    """The smallest of the first 1, 2, 3 ... elements along a dimension, and where it is; of equals the last counts.

    Args:
        input: values.
        dim: dimension to go along.

    Shape:
        input: any of at least one dimension; values and indices have the same.

    Returns:
        a named tuple `(values, indices)`.
    """
    return _running("cummin", input, dim, np.minimum)
