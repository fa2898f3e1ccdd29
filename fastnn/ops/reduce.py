"""Reductions: sums, moments, norms, products along dimensions. Extremes are in `extreme`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..autograd import Array, Backward, Grads, Needs, op
from ..autograd.dtype import as_dtype
from ..dims import dims
from .arithmetic import sum_over
from .broadcast import as_float

__all__ = ["all", "any", "count_nonzero", "cumsum", "logsumexp", "mean", "norm", "prod", "std", "sum", "var"]

Dim: TypeAlias = int | Sequence[int] | None
_quiet = np.errstate(all="ignore")
_sum: Callable[..., Any] = np.add.reduce  # without the cost of numpy.sum's wrappers
_product: Callable[..., Any] = np.multiply.reduce
_all: Callable[..., Any] = np.logical_and.reduce
_any: Callable[..., Any] = np.logical_or.reduce


def axes_of(name: str, dim: Dim, ndim: int) -> tuple[int, ...]:
    """The dimensions to reduce, as sorted non-negative numbers: all of them if `dim` is None or empty.

    Raises:
        IndexError: if a dimension is out of range.
        ValueError: if one is named twice.
    """
    if dim is None:
        return tuple(range(ndim))
    if type(dim) is int and -ndim <= dim < ndim:
        return (dim % ndim,)
    given = (dim,) if isinstance(dim, int | np.integer) else tuple(dim)
    rank = max_rank(ndim)
    result = set()
    for axis in given:
        if not -rank <= axis < rank:
            raise IndexError(f"{name}: dimension {axis} is out of range for a tensor of {ndim} dimensions")
        result.add(int(axis) % rank)
    if len(result) != len(given):
        raise ValueError(f"{name}: a dimension is named twice in {given}")
    if ndim == 0:
        return ()
    return tuple(sorted(result)) or tuple(range(ndim))


def max_rank(ndim: int) -> int:
    """The number of dimensions that may be named: PyTorch lets 0 and -1 stand for a scalar."""
    return ndim or 1


def expand_back(reduced: Array, axes: tuple[int, ...], keepdim: bool) -> Array:
    """A reduction's result with the reduced dimensions put back as ones, so that it broadcasts."""
    return reduced if keepdim or not axes else np.expand_dims(reduced, axes)


def _count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return math.prod([shape[axis] for axis in axes])


def _need_float(name: str, x: Array) -> None:
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating tensor, got {x.dtype}; convert it with .float()")


@op
@dims
def sum(
    input: Array, dim: Dim = None, keepdim: bool = False, *, dtype: npt.DTypeLike | None = None
) -> tuple[Array, Backward]:
    """The sum of the elements, or along dimensions. Integers and booleans are summed in int64.

    Args:
        input: values.
        dim: dimension or dimensions to sum over, all by default.
        keepdim: keep them with length 1.
        dtype: dtype to cast to before summing.

    Shape:
        input: any. Result: without the dimensions `dim`, or with length 1 there.

    Raises:
        IndexError: if a dimension is out of range.
    """
    axes, shape = axes_of("sum", dim, input.ndim), input.shape
    x = input if dtype is None else input.astype(as_dtype(dtype, "sum"), copy=False)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (np.broadcast_to(expand_back(dy, axes, keepdim), shape),)

    if x.dtype.kind != "f":
        return _sum(x, axis=axes, keepdims=keepdim, dtype=np.int64), backward
    return sum_over(x, axes, keepdim), backward


@op
@dims
@_quiet
def mean(input: Array, dim: Dim = None, keepdim: bool = False) -> tuple[Array, Backward]:
    """The mean of the elements, or along dimensions; NaN over no elements.

    Args:
        input: values, floating.
        dim: dimension or dimensions to average over, all by default.
        keepdim: keep them with length 1.

    Shape:
        input: any. Result: without the dimensions `dim`, or with length 1 there.

    Raises:
        TypeError: if `input` is not floating.
        IndexError: if a dimension is out of range.
    """
    _need_float("mean", input)
    axes, shape = axes_of("mean", dim, input.ndim), input.shape
    count = input.dtype.type(_count(shape, axes))

    def backward(dy: Array, needs: Needs) -> Grads:
        return (np.broadcast_to(expand_back(dy / count, axes, keepdim), shape),)

    return sum_over(input, axes, keepdim) / count, backward


def _moments(
    name: str, x: Array, dim: Dim, unbiased: bool | None, correction: float | None
) -> tuple[Array, tuple[int, ...], Array, float]:
    """The variance with its dimensions kept, those dimensions, the mean likewise, and the divisor N - correction."""
    _need_float(name, x)
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}: got both unbiased and correction")
    if correction is None:
        correction = 1.0 if unbiased is None else float(unbiased)
    axes = axes_of(name, dim, x.ndim)
    count = _count(x.shape, axes)
    center = _sum(x, axis=axes, keepdims=True) / x.dtype.type(count)
    distance = x - center
    divisor = max(count - correction, 0.0)
    variance = _sum(distance * distance, axis=axes, keepdims=True) / x.dtype.type(divisor)
    return variance, axes, center, divisor


@op
@dims
@_quiet
def var(
    input: Array,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Array, Backward]:
    """The variance of the elements, or along dimensions: `sum((x - mean)**2) / (N - correction)`.

    Args:
        input: values, floating.
        dim: dimension or dimensions to reduce, all by default.
        unbiased: True for a correction of 1 (the default), False for 0.
        keepdim: keep the reduced dimensions with length 1.
        correction: what is subtracted from the number of elements, instead of `unbiased`.

    Shape:
        input: any. Result: without the dimensions `dim`, or with length 1 there.

    Raises:
        TypeError: if `input` is not floating, or both `unbiased` and `correction` are given.
        IndexError: if a dimension is out of range.
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    variance, axes, center, divisor = _moments("var", input, dim, unbiased, correction)

    def backward(dy: Array, needs: Needs) -> Grads:
        slope = expand_back(dy, axes, keepdim) * dy.dtype.type(2 / divisor if divisor else math.nan)
        return ((input - center) * slope,)

    return variance if keepdim else variance.reshape(_without(input.shape, axes)), backward


@op
@dims
@_quiet
def std(
    input: Array,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Array, Backward]:
    """The standard deviation, the square root of `var`; the gradient where it is 0 is 0.

    Args:
        input: values, floating.
        dim: dimension or dimensions to reduce, all by default.
        unbiased: True for a correction of 1 (the default), False for 0.
        keepdim: keep the reduced dimensions with length 1.
        correction: what is subtracted from the number of elements, instead of `unbiased`.

    Shape:
        input: any. Result: without the dimensions `dim`, or with length 1 there.

    Raises:
        TypeError: if `input` is not floating, or both `unbiased` and `correction` are given.
        IndexError: if a dimension is out of range.
    """
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    variance, axes, center, divisor = _moments("std", input, dim, unbiased, correction)
    deviation = np.sqrt(variance)

    def backward(dy: Array, needs: Needs) -> Grads:
        slope = expand_back(dy, axes, keepdim) / (deviation * dy.dtype.type(divisor))
        return ((input - center) * np.where(deviation == 0, 0, slope),)

    return deviation if keepdim else deviation.reshape(_without(input.shape, axes)), backward


def _without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for axis, length in enumerate(shape) if axis not in axes)


@op
@dims
def prod(input: Array, dim: Dim = None, keepdim: bool = False) -> tuple[Array, Backward]:
    """The product of the elements, or along dimensions. Integers and booleans are multiplied in int64.

    The derivative is the product of the other elements, exact where some are zero.

    Args:
        input: values.
        dim: dimension or dimensions to multiply over, all by default.
        keepdim: keep them with length 1.

    Shape:
        input: any. Result: without the dimensions `dim`, or with length 1 there.
    """
    axes = axes_of("prod", dim, input.ndim)
    kind = np.int64 if input.dtype.kind != "f" else input.dtype

    def backward(dy: Array, needs: Needs) -> Grads:
        kept = [axis for axis in range(input.ndim) if axis not in axes]
        turned = input.transpose(*kept, *axes)
        line = turned.reshape(*turned.shape[: len(kept)], _count(input.shape, axes))
        before, after = np.ones_like(line), np.ones_like(line)
        np.cumprod(line[..., :-1], axis=-1, out=before[..., 1:])
        np.cumprod(line[..., :0:-1], axis=-1, out=after[..., -2::-1])
        others = (before * after).reshape(turned.shape).transpose(np.argsort([*kept, *axes]))
        return (others * expand_back(dy, axes, keepdim),)

    return _product(input, axis=axes, keepdims=keepdim, dtype=kind), backward


@op
@dims
@_quiet
def logsumexp(input: Array, dim: Dim = None, keepdim: bool = False) -> tuple[Array, Backward]:
    """`log(sum(exp(input)))` along dimensions, without overflow.

    Args:
        input: values; integers are cast to the default float dtype.
        dim: dimension or dimensions to reduce, all by default.
        keepdim: keep them with length 1.

    Shape:
        input: any. Result: without the dimensions `dim`, or with length 1 there.
    """
    x = as_float(input)
    axes = axes_of("logsumexp", dim, x.ndim)
    top = np.maximum.reduce(x, axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    y = np.log(_sum(np.exp(x - top), axis=axes, keepdims=True)) + top

    def backward(dy: Array, needs: Needs) -> Grads:
        return (np.exp(x - y) * expand_back(dy, axes, keepdim),)

    return y if keepdim else y.reshape(_without(x.shape, axes)), backward


@op
@dims
@_quiet
def norm(input: Array, p: float | str | None = "fro", dim: Dim = None, keepdim: bool = False) -> tuple[Array, Backward]:
    """The p-norm `sum(|x|**p) ** (1/p)` of all elements, or along dimensions, seen as one vector.

    Args:
        input: values, floating.
        p: the exponent; "fro" and None mean 2, infinity the largest |x|, minus infinity the smallest, 0 counts
            the nonzero elements.
        dim: dimension or dimensions to reduce, all by default.
        keepdim: keep them with length 1.

    Shape:
        input: any. Result: without the dimensions `dim`, or with length 1 there.

    Raises:
        TypeError: if `input` is not floating.
        ValueError: if `p` is not a number or "fro".
    """
    _need_float("norm", input)
    if p not in ("fro", None) and not isinstance(p, int | float):
        raise ValueError(f"norm: expected p to be a number or 'fro', got {p!r}")
    power = 2.0 if p in ("fro", None) else float(p)
    axes = axes_of("norm", dim, input.ndim)
    size = np.abs(input)
    options: dict[str, Any] = {"axis": axes, "keepdims": True}
    if math.isinf(power):
        y = np.maximum.reduce(size, **options) if power > 0 else np.minimum.reduce(size, **options)
    elif power == 0:
        y = _sum((size != 0).astype(input.dtype), **options)
    elif power == 2:
        y = np.sqrt(_sum(input * input, **options))
    else:
        y = np.power(_sum(np.power(size, power), **options), 1 / power)

    def backward(dy: Array, needs: Needs) -> Grads:
        outer = expand_back(dy, axes, keepdim)
        if power == 0:
            return (np.zeros_like(input),)
        if math.isinf(power):
            chosen = np.abs(input) == y
            return (np.sign(input) * chosen * (outer / _sum(chosen, **options)),)
        if power == 2:
            return (input * np.where(y == 0, 0, outer / y),)
        ratio = np.where(y == 0, 0, np.abs(input) / y)
        slope = np.where((ratio == 0) & (power < 1), 0, np.power(ratio, power - 1))
        return (np.sign(input) * slope * outer,)

    return y if keepdim else y.reshape(_without(input.shape, axes)), backward


@op
@dims
def cumsum(input: Array, dim: int) -> tuple[Array, Backward]:
    """The sums of the first 1, 2, 3 ... elements along a dimension. Integers are summed in int64.

    Args:
        input: values.
        dim: dimension to sum along.

    Shape:
        input: any; the result has the same.
    """
    (axis,) = axes_of("cumsum", dim, input.ndim) or (None,)
    kind = np.int64 if input.dtype.kind != "f" else input.dtype

    def backward(dy: Array, needs: Needs) -> Grads:
        if axis is None:
            return (dy,)
        return (np.flip(np.cumsum(np.flip(dy, axis), axis=axis), axis),)

    return np.cumsum(input, axis=axis, dtype=kind).reshape(input.shape), backward


@op
@dims
def all(input: Array, dim: Dim = None, keepdim: bool = False) -> tuple[Array, None]:
    """Whether all elements are nonzero, or all along dimensions; true of none.

    Args:
        input: values.
        dim: dimension or dimensions to reduce, all by default.
        keepdim: keep them with length 1.

    Shape:
        input: any; the result has it without the reduced dimensions, or with 1 for each if `keepdim`.
    """
    return _all(input, axis=axes_of("all", dim, input.ndim), keepdims=keepdim), None


@op
@dims
def any(input: Array, dim: Dim = None, keepdim: bool = False) -> tuple[Array, None]:
    """Whether any element is nonzero, or any along dimensions; false of none.

    Args:
        input: values.
        dim: dimension or dimensions to reduce, all by default.
        keepdim: keep them with length 1.

    Shape:
        input: any; the result has it without the reduced dimensions, or with 1 for each if `keepdim`.
    """
    return _any(input, axis=axes_of("any", dim, input.ndim), keepdims=keepdim), None


@op
@dims
def count_nonzero(input: Array, dim: Dim = None) -> tuple[Array, None]:
    """The number of nonzero elements, or along dimensions, in int64.

    Args:
        input: values.
        dim: dimension or dimensions to count over, all by default.

    Shape:
        input: any; the result has it without the dimensions counted over.
    """
    return _sum(input != 0, axis=axes_of("count_nonzero", dim, input.ndim), dtype=np.int64), None
