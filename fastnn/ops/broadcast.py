"""Broadcasting and type promotion of elementwise operations, forwards and backwards."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.dtype import Array, DType, Operand, get_default_dtype, result_type
from .arithmetic import sum_over

__all__ = ["as_float", "match", "same_shape", "shape_of", "unbroadcast"]

_ndarray = np.ndarray


def shape_of(operand: Operand) -> tuple[int, ...]:
    """The shape of an array, () for a Python number."""
    return operand.shape if isinstance(operand, _ndarray) else ()


def same_shape(a: Operand, b: Operand) -> bool:
    """Whether nothing is repeated when two operands are combined: their shapes agree, or one is a number."""
    return type(a) is not _ndarray or type(b) is not _ndarray or a.shape == b.shape


def match(name: str, a: Operand, b: Operand, floating: bool = False) -> tuple[Any, Any]:
    """Two operands made ready for a NumPy ufunc: shapes checked, dtypes promoted as PyTorch does.

    A Python number stays one, so that NumPy computes in the array's dtype.

    Args:
        name: the operation, for messages.
        a: ndarray or Python number.
        b: the same; one of the two is an ndarray.
        floating: compute in the default float dtype where both are integers or booleans.

    Raises:
        ValueError: if the shapes do not broadcast; the message names both.
        TypeError: if both are Python numbers.
    """
    if type(a) is _ndarray:
        if type(b) is _ndarray:
            if a.shape != b.shape:
                _check_shapes(name, a, b)
            if a.dtype is b.dtype and (not floating or a.dtype.kind == "f"):
                return a, b
        elif a.dtype.kind == "f":
            return a, b
    elif type(b) is not _ndarray:
        raise TypeError(f"{name}: expected a Tensor, got {type(a).__name__} and {type(b).__name__}")
    elif b.dtype.kind == "f":
        return a, b
    dtype = result_type(a, b)
    if floating and dtype.kind != "f":
        dtype = get_default_dtype()
    return _cast(a, dtype), _cast(b, dtype)


def _check_shapes(name: str, a: Array, b: Array) -> None:
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(f"{name}: shapes {a.shape} and {b.shape} do not broadcast") from None


def _cast(operand: Operand, dtype: DType) -> Operand:
    return operand.astype(dtype, copy=False) if isinstance(operand, _ndarray) else operand


def as_float(x: Array) -> Array:
    """`x`, integers and booleans cast to the default float dtype."""
    return x if x.dtype.kind == "f" else x.astype(get_default_dtype())


def unbroadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of an operand of `shape` from that of the broadcast result: summed over what was repeated.

    Returns:
        an array of `shape`, `gradient` itself if it has that already.
    """
    if gradient.shape == shape:
        return gradient
    lead = gradient.ndim - len(shape)
    repeated = [i for i in range(lead, gradient.ndim) if shape[i - lead] == 1 != gradient.shape[i]]
    return sum_over(gradient, (*range(lead), *repeated)).reshape(shape)
