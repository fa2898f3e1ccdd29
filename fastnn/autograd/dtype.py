"""Data types: which ones a Tensor may have, which one is the default, how two of them promote.

fastnn's dtypes are NumPy's (`fastnn.float32 is numpy.dtype("float32")`), its promotion rules are PyTorch's:
a result takes the highest *category* (bool < integer < float) among its operands, and within that category
the widest dtype among the dimensioned tensors, else among the 0-dimensional ones, else a Python scalar's.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Scalar: TypeAlias = bool | int | float
Operand: TypeAlias = npt.NDArray[Any] | bool | int | float
DType: TypeAlias = np.dtype[Any]

bool_ = np.dtype(np.bool_)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = np.dtype(np.int32)
int64 = np.dtype(np.int64)
float16 = np.dtype(np.float16)
float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)

SUPPORTED = frozenset((bool_, uint8, int8, int16, int32, int64, float16, float32, float64))
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}

_default: DType = float32


def get_default_dtype() -> DType:
    """The dtype given to Python floats and to factories such as `zeros` (float32 unless changed)."""
    return _default


def set_default_dtype(dtype: npt.DTypeLike) -> None:
    """Make `dtype` (float32 or float64) the dtype of Python floats and of factories.

    Raises:
        TypeError: if `dtype` is not a floating dtype.
    """
    global _default
    checked = as_dtype(dtype, "set_default_dtype")
    if checked.kind != "f":
        raise TypeError(f"set_default_dtype: expected a floating dtype, got {checked.name}")
    _default = checked


def as_dtype(dtype: npt.DTypeLike, where: str) -> DType:
    """`dtype` as a supported NumPy dtype.

    Raises:
        TypeError: if fastnn has no such dtype; the message names `where`, the calling function.
    """
    try:
        result = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"{where}: {dtype!r} is not a dtype") from error
    if result not in SUPPORTED:
        names = ", ".join(sorted(d.name for d in SUPPORTED))
        raise TypeError(f"{where}: dtype {result} is not supported; use one of {names}")
    return result


def scalar_dtype(value: Scalar) -> DType:
    """The dtype a Python scalar has when it must become an array: bool, int64 or the default float."""
    if isinstance(value, bool):
        return bool_
    return int64 if isinstance(value, int) else _default


def promote_types(a: npt.DTypeLike, b: npt.DTypeLike) -> DType:
    """The dtype that an operation on dimensioned tensors of dtypes `a` and `b` computes in.

    Example:
        >>> promote_types("int64", "float32")
        dtype('float32')
    """
    first, second = as_dtype(a, "promote_types"), as_dtype(b, "promote_types")
    one, two = _CATEGORY[first.kind], _CATEGORY[second.kind]
    if one != two:
        return first if one > two else second
    return np.promote_types(first, second)


def result_type(*operands: Operand) -> DType:
    """The dtype in which an elementwise operation on these arrays and Python scalars computes.

    Example:
        >>> result_type(np.zeros(3, np.int64), 2.5), result_type(np.zeros(3, np.float32), np.float64(1).reshape(()))
        (dtype('float32'), dtype('float32'))
    """
    tiers: list[DType | None] = [None, None, None]  # of dimensioned arrays, 0-d arrays, Python scalars
    for operand in operands:
        if isinstance(operand, np.ndarray):
            tier, dtype = (0 if operand.ndim else 1), operand.dtype
        else:
            tier, dtype = 2, scalar_dtype(operand)
        known = tiers[tier]
        tiers[tier] = dtype if known is None else promote_types(known, dtype)
    result: DType | None = None
    for candidate in tiers:
        if candidate is None:
            continue
        if result is None or _CATEGORY[candidate.kind] > _CATEGORY[result.kind]:
            result = candidate
    if result is None:
        raise TypeError("result_type: expected at least one operand")
    return result
