"""Tensors out of nothing, out of Python numbers, out of other libraries' arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..autograd import Array, Tensor
from ..autograd.dtype import DType, Scalar, as_dtype, get_default_dtype, scalar_dtype
from .shape import Sizes, sizes_of

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full", "full_like",
    "linspace", "ones", "ones_like", "tensor", "zeros", "zeros_like",
]  # fmt: skip


def made(name: str, data: Array, requires_grad: bool, device: str | None) -> Tensor:
    """The result of a factory, once its device has been checked."""
    if device is not None and str(device) != "cpu":
        raise ValueError(f"{name}: expected device None or 'cpu', got {device!r}")
    return Tensor(data, requires_grad)


def wanted_dtype(name: str, dtype: npt.DTypeLike | None) -> DType:
    """The dtype asked for, or the default one."""
    return get_default_dtype() if dtype is None else as_dtype(dtype, name)


def _converted(name: str, obj: Any, dtype: npt.DTypeLike | None) -> Array:
    """`obj` as an array in native byte order, Python floats in the default dtype; shares memory if it can."""
    first = obj
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if isinstance(obj, list | tuple) and isinstance(first, Tensor):
        obj = [each.data if isinstance(each, Tensor) else each for each in obj]
    array = np.asarray(obj)
    if dtype is None:
        typed = isinstance(first, Tensor | np.ndarray | np.generic) or hasattr(first, "__array__")
        if not typed and (array.dtype.kind == "f" or array.size == 0):
            dtype = get_default_dtype()
        else:
            dtype = array.dtype.newbyteorder("=")
    return array.astype(as_dtype(dtype, name), copy=False)


def tensor(
    data: Any, dtype: npt.DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf tensor with a copy of `data`.

    Args:
        data: a number, nested sequences of numbers, an array, or a Tensor.
        dtype: dtype of the result. By default Python floats become the default float dtype (float32), Python
            integers int64, and arrays keep theirs.
        device: None or "cpu".
        requires_grad: whether to compute gradients with respect to it.

    Raises:
        TypeError: if the dtype is not supported.

    Example:
        >>> tensor([[1.0, 2.0], [3.0, 4.5]])
        tensor([[1.0000, 2.0000],
                [3.0000, 4.5000]])
    """
    return made("tensor", np.array(_converted("tensor", data, dtype), order="K"), requires_grad, device)


def as_tensor(data: Any, dtype: npt.DTypeLike | None = None, device: str | None = None) -> Tensor:
    """`data` as a Tensor, sharing its memory where it is an array of the right dtype, itself if it is a Tensor."""
    if isinstance(data, Tensor):
        return data if dtype is None else data.type(dtype)
    return made("as_tensor", _converted("as_tensor", data, dtype), False, device)


asarray = as_tensor


def from_numpy(array: Array) -> Tensor:
    """A Tensor that shares the memory of a NumPy array.

    Raises:
        TypeError: if it is not an array, or of a dtype that is not supported.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an ndarray, got {type(array).__name__}")
    return Tensor(array)


def from_dlpack(array: Any) -> Tensor:
    """A Tensor that shares the memory of another library's CPU tensor.

    Args:
        array: an object with `__dlpack__` and `__dlpack_device__`, such as a `torch.Tensor`.

    Raises:
        TypeError: if the dtype is not supported.
        BufferError: if its library cannot share the memory.
    """
    return Tensor(np.from_dlpack(array))


def zeros(
    *size: Sizes, dtype: npt.DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of zeros; `size` one by one or as a sequence, the default float dtype by default."""
    return made("zeros", np.zeros(sizes_of(size), wanted_dtype("zeros", dtype)), requires_grad, device)


def ones(
    *size: Sizes, dtype: npt.DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of ones; `size` one by one or as a sequence, the default float dtype by default."""
    return made("ones", np.ones(sizes_of(size), wanted_dtype("ones", dtype)), requires_grad, device)


def empty(
    *size: Sizes, dtype: npt.DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor whose elements are whatever was in memory; `size` one by one or as a sequence."""
    return made("empty", np.empty(sizes_of(size), wanted_dtype("empty", dtype)), requires_grad, device)


def full(
    size: Sizes,
    fill_value: Scalar,
    *,
    dtype: npt.DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with every element `fill_value`; its dtype by default is that of the value."""
    kind = scalar_dtype(fill_value) if dtype is None else as_dtype(dtype, "full")
    return made("full", np.full(sizes_of((size,)), fill_value, kind), requires_grad, device)


def zeros_like(input: Tensor, *, dtype: npt.DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros with the shape, layout and dtype of another."""
    return Tensor(np.zeros_like(input.data, dtype), requires_grad)


def ones_like(input: Tensor, *, dtype: npt.DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones with the shape, layout and dtype of another."""
    return Tensor(np.ones_like(input.data, dtype), requires_grad)


def empty_like(input: Tensor, *, dtype: npt.DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """An uninitialised tensor with the shape, layout and dtype of another."""
    return Tensor(np.empty_like(input.data, dtype), requires_grad)


def full_like(
    input: Tensor, fill_value: Scalar, *, dtype: npt.DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor with every element `fill_value` and the shape, layout and dtype of another."""
    return Tensor(np.full_like(input.data, fill_value, dtype), requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: npt.DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers from `start` in steps of `step`, up to but excluding `end`.

    Args:
        start: the first number; with one argument this is the end, and the start is 0.
        end: where to stop.
        step: positive or negative.
        dtype: by default int64 if all three are integers, else the default float dtype.
        device: None or "cpu".
        requires_grad: whether to compute gradients with respect to it.

    Raises:
        ValueError: if `step` is 0 or leads away from `end`.
    """
    first, last = (0, start) if end is None else (start, end)
    if step == 0 or (last - first) * step < 0:
        raise ValueError(f"arange: a step of {step} does not lead from {first} to {last}")
    integers = all(isinstance(bound, int) for bound in (first, last, step))
    kind = as_dtype(dtype, "arange") if dtype is not None else np.dtype(np.int64) if integers else get_default_dtype()
    count = math.ceil((last - first) / step)
    steps: Array = np.arange(count)
    values = first + step * steps
    return made("arange", values.astype(kind), requires_grad, device)


def linspace(
    start: float,
    end: float,
    steps: int,
    *,
    dtype: npt.DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included."""
    values = np.linspace(start, end, steps, dtype=wanted_dtype("linspace", dtype))
    return made("linspace", values, requires_grad, device)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: npt.DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """The matrix of `n` rows and `m` (by default `n`) columns with ones on the diagonal."""
    return made("eye", np.eye(n, m, dtype=wanted_dtype("eye", dtype)), requires_grad, device)
