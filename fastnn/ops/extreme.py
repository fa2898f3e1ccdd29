"""Largest and smallest elements, their places, and order: max, argmax, sort, topk."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Tensor, op, varying_op
from ..dims import dims
from .reduce import Dim, axes_of, expand_back
from .select import maximum, minimum

__all__ = ["Extremes", "amax", "amin", "argmax", "argmin", "argsort", "max", "min", "sort", "topk"]


class Extremes(NamedTuple):
    """Elements chosen along a dimension, and where they are."""

    values: Any
    indices: Any


def _need_elements(name: str, x: Array, axes: tuple[int, ...]) -> None:
    for axis in axes:
        if x.shape[axis] == 0:
            raise ValueError(f"{name}: no elements along dimension {axis} of a tensor of shape {x.shape}")


def _spread(name: str, x: Array, reduction: np.ufunc, dim: Dim, keepdim: bool) -> tuple[Array, Backward]:
    """An extreme over several dimensions; elements that tie for it share the gradient evenly."""
    axes = axes_of(name, dim, x.ndim)
    _need_elements(name, x, axes)
    y = np.asarray(reduction.reduce(x, axis=axes, keepdims=keepdim))

    def backward(dy: Array, needs: Needs) -> Grads:
        tied = x == expand_back(y, axes, keepdim)
        count = np.add.reduce(tied, axis=axes, keepdims=True, dtype=dy.dtype)
        return (np.where(tied, expand_back(dy, axes, keepdim) / count, 0),)

    return y, backward


def _pick(name: str, x: Array, largest: bool, dim: int, keepdim: bool) -> tuple[Extremes, Backward]:
    """An extreme along one dimension, with its first place, which receives the gradient."""
    (axis,) = axes_of(name, dim, x.ndim) or (0,)
    shape = x.shape
    lines = x.reshape(shape or (1,))
    _need_elements(name, lines, (axis,))
    places = np.expand_dims(lines.argmax(axis) if largest else lines.argmin(axis), axis)
    values = np.take_along_axis(lines, places, axis)
    result_shape = shape if not shape else values.shape if keepdim else shape[:axis] + shape[axis + 1 :]

    def backward(dys: tuple[Array | None, ...], needs: Needs) -> Grads:
        if dys[0] is None:
            return (None,)
        dx = np.zeros(shape or (1,), dys[0].dtype)
        np.put_along_axis(dx, places, dys[0].reshape(places.shape), axis)
        return (dx.reshape(shape),)

    return Extremes(values.reshape(result_shape), places.reshape(result_shape)), backward


@varying_op
def _max(input: Array, dim: int | None = None, keepdim: bool = False) -> tuple[Any, Backward]:
    """The operation behind `max`."""
    if dim is None:
        return _spread("max", input, np.maximum, None, False)
    return _pick("max", input, True, dim, keepdim)


@varying_op
def _min(input: Array, dim: int | None = None, keepdim: bool = False) -> tuple[Any, Backward]:
    """The operation behind `min`."""
    if dim is None:
        return _spread("min", input, np.minimum, None, False)
    return _pick("min", input, False, dim, keepdim)


@dims
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element, the largest along a dimension, or the larger of two tensors elementwise.

    Args:
        input: values.
        dim: None for the largest of all; a dimension; or a second tensor, then this is `maximum`.
        keepdim: keep the reduced dimension with length 1.

    Shape:
        input (*) -> (); with `dim`, (*, L, *) -> values and indices (*, *), or (*, 1, *) if `keepdim`.

    Returns:
        a Tensor; with a dimension, a named tuple `(values, indices)`, the indices being those of the first
        largest element. The gradient goes to that element; without a dimension, elements that tie share it.

    Raises:
        IndexError: if the dimension is out of range.
        ValueError: if there are no elements.
    """
    return maximum(input, dim) if isinstance(dim, Tensor) else _max(input, dim, keepdim)


@dims
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element, the smallest along a dimension, or the smaller of two tensors elementwise.

    Args:
        input: values.
        dim: None for the smallest of all; a dimension; or a second tensor, then this is `minimum`.
        keepdim: keep the reduced dimension with length 1.

    Shape:
        input (*) -> (); with `dim`, (*, L, *) -> values and indices (*, *), or (*, 1, *) if `keepdim`.

    Returns:
        a Tensor; with a dimension, a named tuple `(values, indices)`, the indices being those of the first
        smallest element. The gradient goes to that element; without a dimension, elements that tie share it.

    Raises:
        IndexError: if the dimension is out of range.
        ValueError: if there are no elements.
    """
    return minimum(input, dim) if isinstance(dim, Tensor) else _min(input, dim, keepdim)


@op
@dims
def amax(input: Array, dim: Dim = None, keepdim: bool = False) -> tuple[Array, Backward]:
    """The largest element, or along dimensions; elements that tie share the gradient.

    Args:
        input: values.
        dim: dimension or dimensions to reduce, all by default.
        keepdim: keep them with length 1.

    Shape:
        input: any; the result has it without the reduced dimensions, or with 1 for each if `keepdim`.

    Raises:
        ValueError: if there are no elements.
    """
    return _spread("amax", input, np.maximum, dim, keepdim)


@op
@dims
def amin(input: Array, dim: Dim = None, keepdim: bool = False) -> tuple[Array, Backward]:
    """The smallest element, or along dimensions; elements that tie share the gradient.

    Args:
        input: values.
        dim: dimension or dimensions to reduce, all by default.
        keepdim: keep them with length 1.

    Shape:
        input: any; the result has it without the reduced dimensions, or with 1 for each if `keepdim`.

    Raises:
        ValueError: if there are no elements.
    """
    return _spread("amin", input, np.minimum, dim, keepdim)


def _place(name: str, x: Array, largest: bool, dim: int | None, keepdim: bool) -> Array:
    axes = axes_of(name, dim, x.ndim)
    _need_elements(name, x, axes)
    axis: Any = None if dim is None or not axes else axes[0]
    return np.asarray(x.argmax(axis, keepdims=keepdim) if largest else x.argmin(axis, keepdims=keepdim))


@op
@dims
def argmax(input: Array, dim: int | None = None, keepdim: bool = False) -> tuple[Array, None]:
    """The place of the first largest element, in the flattened tensor or along a dimension, in int64.

    Args:
        input: values.
        dim: dimension to search along; None for the flattened tensor.
        keepdim: keep the reduced dimension with length 1.

    Shape:
        input: any; the result has it without `dim`, or with 1 in its place if `keepdim`; () without `dim`.

    Raises:
        ValueError: if there are no elements.
    """
    return _place("argmax", input, True, dim, keepdim), None


@op
@dims
def argmin(input: Array, dim: int | None = None, keepdim: bool = False) -> tuple[Array, None]:
    """The place of the first smallest element, in the flattened tensor or along a dimension, in int64.

    Args:
        input: values.
        dim: dimension to search along; None for the flattened tensor.
        keepdim: keep the reduced dimension with length 1.

    Shape:
        input: any; the result has it without `dim`, or with 1 in its place if `keepdim`; () without `dim`.

    Raises:
        ValueError: if there are no elements.
    """
    return _place("argmin", input, False, dim, keepdim), None


def _ordered(x: Array, places: Array, axis: int) -> tuple[Extremes, Backward]:
    """The elements of `x` at `places` along a dimension; the gradient goes back there."""
    shape = x.shape

    def backward(dys: tuple[Array | None, ...], needs: Needs) -> Grads:
        if dys[0] is None:
            return (None,)
        dx = np.zeros(shape, dys[0].dtype)
        np.put_along_axis(dx, places, dys[0], axis)
        return (dx,)

    return Extremes(np.take_along_axis(x, places, axis), places), backward


def _order(x: Array, axis: int, descending: bool) -> Array:
    """The places of the elements in stable order along a dimension, NaN counting as the largest."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(backwards, axis))


@op
@dims
def sort(input: Array, dim: int = -1, descending: bool = False, stable: bool = True) -> tuple[Extremes, Backward]:
    """The elements in ascending order along a dimension, and their former places. Always stable.

    Args:
        input: values, at least one dimension.
        dim: dimension to sort along.
        descending: largest first.
        stable: accepted for PyTorch's sake; equal elements keep their order in any case.

    Shape:
        input: any; values and indices have the same.

    Returns:
        a named tuple `(values, indices)`.
    """
    (axis,) = _one_axis("sort", input, dim)
    return _ordered(input, _order(input, axis, descending), axis)


@op
@dims
def argsort(input: Array, dim: int = -1, descending: bool = False, stable: bool = True) -> tuple[Array, None]:
    """The places of the elements in ascending order along a dimension; the indices of `sort`.

    Args:
        input: values, at least one dimension.
        dim: dimension to sort along.
        descending: largest first.
        stable: accepted for PyTorch's sake; equal elements keep their order in any case.
    """
    (axis,) = _one_axis("argsort", input, dim)
    return _order(input, axis, descending), None


@op
@dims
def topk(input: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Extremes, Backward]:
    """The `k` largest (or smallest) elements along a dimension, largest (smallest) first, and their places.

    Args:
        input: values, at least one dimension.
        k: how many.
        dim: dimension to search along.
        largest: False for the smallest elements.
        sorted: accepted for PyTorch's sake; the result is sorted in any case.

    Shape:
        input (*, L, *), L being `dim` -> values and indices (*, k, *)

    Returns:
        a named tuple `(values, indices)`.

    Raises:
        ValueError: if there are fewer than `k` elements along the dimension.
    """
    (axis,) = _one_axis("topk", input, dim)
    if not 0 <= k <= input.shape[axis]:
        raise ValueError(f"topk: expected k from 0 to {input.shape[axis]}, got {k}")
    places = _order(input, axis, largest)
    return _ordered(input, np.take(places, np.arange(k), axis), axis)


def _one_axis(name: str, x: Array, dim: int) -> tuple[int, ...]:
    if x.ndim == 0:
        raise ValueError(f"{name}: expected a tensor with at least one dimension")
    return axes_of(name, dim, x.ndim)
