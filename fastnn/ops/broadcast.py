"""Broadcasting and type promotion of elementwise operations, forwards and backwards."""

from __future__ import annotations

import numpy as np

from ..autograd.dtype import Array, DType, Operand, get_default_dtype, result_type

_ndarray = np.ndarray


def shapes_broadcast(name: str, a: Array, b: Array) -> tuple[int, ...]:
    """The shape two arrays broadcast to.

    Raises:
        ValueError: if they do not; the message names the operation and both shapes.
    """
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(f"{name}: shapes {a.shape} and {b.shape} do not broadcast") from None


def match(name: str, a: Operand, b: Operand, floating: bool = False) -> tuple[Operand, Operand]:
    """Two operands made ready for a NumPy ufunc: shapes checked, dtypes promoted as PyTorch does.

    A Python scalar stays one where NumPy then computes in the array's dtype.

    Args:
        name: the operation, for messages.
        a, b: ndarrays or Python scalars, at least one of them an ndarray.
        floating: compute in the default float dtype where both are integers or booleans.

    Raises:
        ValueError: if the shapes do not broadcast.
        TypeError: if both are Python scalars.
    """
    if type(a) is _ndarray:
        if type(b) is _ndarray:
            if a.shape != b.shape:
                shapes_broadcast(name, a, b)
            if a.dtype is b.dtype and not (floating and a.dtype.kind != "f"):
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


def _cast(operand: Operand, dtype: DType) -> Operand:
    if isinstance(operand, np.ndarray):
        return operand if operand.dtype is dtype else operand.astype(dtype)
    return np.asarray(operand, dtype) if dtype.kind == "f" else operand


def unbroadcast(gradient: Array, operand: Operand) -> Array:
    """The gradient of an operand from that of the broadcast result: summed over the repeated dimensions.

    Args:
        gradient: gradient of the result.
        operand: the operation's operand as the tape knows it, for its shape and dtype.

    Returns:
        an array of the operand's shape and dtype, `gradient` itself where it has them already.
    """
    if not isinstance(operand, np.ndarray):
        raise TypeError("unbroadcast: a Python scalar has no gradient")
    return reduce_to(gradient, operand.shape, operand.dtype)


def reduce_to(gradient: Array, shape: tuple[int, ...], dtype: DType) -> Array:
    """`gradient` summed down to `shape`, from which it was broadcast, and cast to `dtype`."""
    if gradient.shape != shape:
        lead = gradient.ndim - len(shape)
        axes = tuple(range(lead)) + tuple(
            lead + i for i, length in enumerate(shape) if length == 1 and gradient.shape[lead + i] != 1
        )
        gradient = gradient.sum(axis=axes, keepdims=True).reshape(shape)
    return gradient if gradient.dtype is dtype else gradient.astype(dtype)
