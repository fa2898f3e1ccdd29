"""Reductions whose value or gradient needs a definition: ``logsumexp``, variance, norms, extrema, products.

``axis`` is an integer, a tuple, or None for all axes, as in NumPy; ``keepdims`` keeps reduced axes as 1. In
the backward functions ``dy`` may come either way.
"""

from math import prod
from typing import TypeAlias

import numpy as np

from ._typing import Array

Axis: TypeAlias = int | tuple[int, ...] | None


def _axes(ndim: int, axis: Axis) -> tuple[int, ...]:
    given = tuple(range(ndim)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple(a % ndim for a in given)


def _expand(dy: Array, shape: tuple[int, ...], axis: Axis) -> Array:
    """dy with its reduced axes put back as 1."""
    axes = _axes(len(shape), axis)
    return dy.reshape([1 if i in axes else n for i, n in enumerate(shape)])


def sum_bwd(dy: Array, shape: tuple[int, ...], axis: Axis = None) -> Array:
    """Gradient of a sum over ``axis`` of an array of ``shape``: ``dy`` for every summand.

    Example:
        >>> sum_bwd(np.array([1.0, 2.0]), (2, 3), axis=1).tolist()
        [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    """
    return np.broadcast_to(_expand(dy, shape, axis), shape).copy()


def mean_bwd(dy: Array, shape: tuple[int, ...], axis: Axis = None) -> Array:
    """Gradient of a mean: ``dy / count`` for every summand."""
    return sum_bwd(dy / prod(shape[a] for a in _axes(len(shape), axis)), shape, axis)


def prod_bwd(dy: Array, x: Array, axis: Axis = None) -> Array:
    """Gradient of a product: ``dy`` times the product of the others, which is right where factors are 0 too.

    With one zero only its own gradient is not 0, with two none is.
    """
    axes = _axes(x.ndim, axis)
    zero = x == 0
    others = np.where(zero, 1, x).prod(axis=axes, keepdims=True)
    zeros = zero.sum(axis=axes, keepdims=True)
    # A zero is not among the factors of `others`, so where x is 0 there is nothing to divide out.
    without_self = np.where(zeros - zero == 0, others / np.where(zero, 1, x), 0)
    return _expand(dy, x.shape, axis) * without_self


def var_fwd(x: Array, axis: Axis = None, correction: int = 1, keepdims: bool = False) -> Array:
    """Variance ``Σ (x - mean)² / (M - correction)`` of M values; PyTorch's default is the unbiased one.

    Args:
        x: input.
        axis: axes to reduce.
        correction: 1 for the unbiased estimate, 0 for the biased one.
        keepdims: keep reduced axes as 1.

    Shape:
        x (*) -> x without ``axis``

    Returns:
        The variance; nan or inf where M <= correction.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        centred = x - x.mean(axis=axis, keepdims=True)
        count = prod(x.shape[a] for a in _axes(x.ndim, axis))
        total = (centred * centred).sum(axis=axis, keepdims=keepdims)
        return np.asarray(total / np.asarray(max(count - correction, 0), x.dtype))


def var_bwd(dy: Array, x: Array, axis: Axis = None, correction: int = 1) -> Array:
    """Gradient of `var_fwd`: ``2 dy (x - mean) / (M - correction)``."""
    count = prod(x.shape[a] for a in _axes(x.ndim, axis))
    return _expand(dy, x.shape, axis) * 2 * (x - x.mean(axis=axis, keepdims=True)) / (count - correction)


def std_fwd(x: Array, axis: Axis = None, correction: int = 1, keepdims: bool = False) -> Array:
    """Standard deviation, the root of `var_fwd`."""
    return np.sqrt(var_fwd(x, axis, correction, keepdims))


def std_bwd(dy: Array, x: Array, axis: Axis = None, correction: int = 1) -> Array:
    """Gradient of `std_fwd`: that of the variance over ``2 std``; 0 where the deviation is 0."""
    std = std_fwd(x, axis, correction, keepdims=True)
    grown = _expand(dy, x.shape, axis)
    return var_bwd(np.divide(grown, 2 * std, out=np.zeros_like(std), where=std != 0), x, axis, correction)


def logsumexp_fwd(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """``ln Σ exp(x)``, computed as ``m + ln Σ exp(x - m)`` with m the maximum, so that nothing overflows.

    Args:
        x: input.
        axis: axes to reduce.
        keepdims: keep reduced axes as 1.

    Shape:
        x (*) -> x without ``axis``

    Returns:
        The result; -inf for a sum over nothing but -inf.

    Example:
        >>> round(float(logsumexp_fwd(np.array([1e4, 1e4])) - 1e4), 6)
        0.693147
    """
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)  # inf - inf would be nan
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return np.asarray(total if keepdims else total.squeeze(axis=_axes(x.ndim, axis)))


def logsumexp_bwd(dy: Array, x: Array, axis: Axis = None) -> Array:
    """Gradient of `logsumexp_fwd`: ``dy softmax(x)``."""
    return _expand(dy, x.shape, axis) * np.exp(x - logsumexp_fwd(x, axis, keepdims=True))


def amax_bwd(dy: Array, x: Array, axis: Axis = None) -> Array:
    """Gradient of a maximum over ``axis``: ``dy`` in equal shares to all elements that reach it."""
    reached = x == x.max(axis=axis, keepdims=True)
    return np.where(reached, _expand(dy, x.shape, axis) / reached.sum(axis=axis, keepdims=True).astype(dy.dtype), 0)


def amin_bwd(dy: Array, x: Array, axis: Axis = None) -> Array:
    """Gradient of a minimum over ``axis``: ``dy`` in equal shares to all elements that reach it."""
    return amax_bwd(dy, -x, axis)


def max_bwd(dy: Array, argmax: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Gradient of a maximum along one axis that also returned its (first) position.

    All of ``dy`` goes there.
    """
    dx = np.zeros(shape, dy.dtype)
    np.put_along_axis(dx, _expand(argmax, shape, axis), _expand(dy, shape, axis), axis)
    return dx


def norm_fwd(x: Array, p: float = 2.0, axis: Axis = None, keepdims: bool = False) -> Array:
    """The p-norm ``(Σ |x|^p)^(1/p)``; the maximum of ``|x|`` for p = inf.

    Args:
        x: input.
        p: exponent, at least 1.
        axis: axes to reduce.
        keepdims: keep reduced axes as 1.

    Shape:
        x (*) -> x without ``axis``

    Returns:
        The norm.

    Raises:
        ValueError: if p is below 1.

    Example:
        >>> norm_fwd(np.array([3.0, -4.0])).item()
        5.0
    """
    if p < 1:
        raise ValueError(f"norm_fwd: p must be at least 1, got {p}")
    if np.isinf(p):
        return np.asarray(np.abs(x).max(axis=axis, keepdims=keepdims))
    return np.asarray((np.abs(x) ** p).sum(axis=axis, keepdims=keepdims) ** (1 / p))


def norm_bwd(dy: Array, x: Array, p: float = 2.0, axis: Axis = None) -> Array:
    """Gradient of `norm_fwd`.

    ``dy sign(x) (|x| / norm)^(p-1)``, 0 where the norm is 0; for p = inf as `amax_bwd`.
    """
    if np.isinf(p):
        return amax_bwd(dy, np.abs(x), axis) * np.sign(x)
    norm = norm_fwd(x, p, axis, keepdims=True)
    ratio = np.divide(np.abs(x), norm, out=np.zeros_like(x), where=norm != 0)
    return _expand(dy, x.shape, axis) * np.sign(x) * ratio ** (p - 1)
