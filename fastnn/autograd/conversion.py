"""What a Tensor turns into: other dtypes, Python numbers, NumPy arrays, DLPack capsules, itself changed."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .dtype import Array, DType, as_dtype
from .inplace import assign, plain_index, set_item, update
from .methods import OPS
from .operators import TensorOperators

if TYPE_CHECKING:
    from .tensor import Tensor


class TensorConversions(TensorOperators):
    """Base of `Tensor` that carries conversions, indexing and the methods that change it in place."""

    __slots__ = ()

    data: Array
    requires_grad: builtins.bool

    def numpy(self) -> Array:
        """The array itself, sharing memory.

        Raises:
            RuntimeError: if the tensor requires a gradient; use `detach().numpy()` or `.data`.
        """
        if self.requires_grad:
            raise RuntimeError("numpy: the tensor requires a gradient; use tensor.detach().numpy()")
        return self.data

    def item(self) -> Any:
        """The only element as a Python number."""
        if self.data.size != 1:
            raise ValueError(f"item: expected one element, got shape {self.data.shape}")
        return self.data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.data.tolist()

    def cpu(self) -> Tensor:
        """The tensor itself: there is no other device."""
        return self  # type: ignore[return-value]

    def _as(self, dtype: DType) -> Tensor:
        return self if self.data.dtype is dtype else OPS["to"](self, dtype)  # type: ignore[return-value]

    def float(self) -> Tensor:
        """The tensor as float32."""
        return self._as(np.dtype(np.float32))

    def double(self) -> Tensor:
        """The tensor as float64."""
        return self._as(np.dtype(np.float64))

    def long(self) -> Tensor:
        """The tensor as int64."""
        return self._as(np.dtype(np.int64))

    def int(self) -> Tensor:
        """The tensor as int32."""
        return self._as(np.dtype(np.int32))

    def bool(self) -> Tensor:
        """The tensor as bool."""
        return self._as(np.dtype(np.bool_))

    def type(self, dtype: npt.DTypeLike) -> Tensor:
        """The tensor as `dtype`."""
        return self._as(as_dtype(dtype, "type"))

    def astype(self, dtype: npt.DTypeLike) -> Tensor:
        """The tensor as `dtype`, NumPy's name for `to`."""
        return self._as(as_dtype(dtype, "astype"))

    def type_as(self, other: Tensor) -> Tensor:
        """The tensor in the dtype of `other`."""
        return self._as(other.data.dtype)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: builtins.bool | None = None) -> Array:
        return np.array(self.data, dtype, copy=copy)

    def __dlpack__(self, **options: Any) -> Any:
        """A DLPack capsule of the memory, as NumPy makes it; other libraries call this."""
        if self.requires_grad:
            raise BufferError("__dlpack__: the tensor requires a gradient; export tensor.detach()")
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[Any, Any]:
        return self.data.__dlpack_device__()

    def __len__(self) -> builtins.int:
        if self.data.ndim == 0:
            raise TypeError("len: a 0-dimensional tensor has no length")
        return int(self.data.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if self.data.ndim == 0:
            raise TypeError("iter: a 0-dimensional tensor cannot be iterated over")
        return (self[i] for i in range(self.data.shape[0]))

    def __bool__(self) -> builtins.bool:
        if self.data.size != 1:
            raise ValueError(f"bool: shape {self.data.shape} has no truth value; use any() or all()")
        return bool(self.data.item())

    def __float__(self) -> builtins.float:
        return float(self.item())

    def __int__(self) -> builtins.int:
        return int(self.item())

    def __index__(self) -> builtins.int:
        if self.data.dtype.kind not in "iub" or self.data.size != 1:
            raise TypeError("index: only an integer tensor with one element can be an index")
        return int(self.data.item())

    def __contains__(self, element: Any) -> builtins.bool:
        return bool((self.data == np.asarray(element)).any())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if self.data.ndim == 0 and spec else format(repr(self), spec)

    # Indexing and changes in place; see `inplace` for what they do when they are recorded

    def __getitem__(self, key: Any) -> Tensor:
        return OPS["getitem"](self, plain_index(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        set_item(self, plain_index(key), value)  # type: ignore[arg-type]

    def __iadd__(self, other: Any) -> Tensor:
        return update("add", self, other)  # type: ignore[arg-type]

    def __isub__(self, other: Any) -> Tensor:
        return update("sub", self, other)  # type: ignore[arg-type]

    def __imul__(self, other: Any) -> Tensor:
        return update("mul", self, other)  # type: ignore[arg-type]

    def __itruediv__(self, other: Any) -> Tensor:
        return update("div", self, other)  # type: ignore[arg-type]

    def __ifloordiv__(self, other: Any) -> Tensor:
        return update("floor_divide", self, other)  # type: ignore[arg-type]

    def __imod__(self, other: Any) -> Tensor:
        return update("remainder", self, other)  # type: ignore[arg-type]

    def __ipow__(self, other: Any) -> Tensor:
        return update("pow", self, other)  # type: ignore[arg-type]

    def __iand__(self, other: Any) -> Tensor:
        return update("bitwise_and", self, other)  # type: ignore[arg-type]

    def __ior__(self, other: Any) -> Tensor:
        return update("bitwise_or", self, other)  # type: ignore[arg-type]

    def __ixor__(self, other: Any) -> Tensor:
        return update("bitwise_xor", self, other)  # type: ignore[arg-type]

    def add_(self, other: Any, *, alpha: builtins.float = 1) -> Tensor:
        """Add `alpha * other` in place."""
        return update("add", self, other, alpha=alpha)  # type: ignore[arg-type]

    def sub_(self, other: Any, *, alpha: builtins.float = 1) -> Tensor:
        """Subtract `alpha * other` in place."""
        return update("sub", self, other, alpha=alpha)  # type: ignore[arg-type]

    def mul_(self, other: Any) -> Tensor:
        """Multiply by `other` in place."""
        return update("mul", self, other)  # type: ignore[arg-type]

    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Tensor:
        """Divide by `other` in place."""
        return update("div", self, other, rounding_mode=rounding_mode)  # type: ignore[arg-type]

    def clamp_(self, min: Any = None, max: Any = None) -> Tensor:
        """Limit the elements to [min, max] in place."""
        return update("clamp", self, min, max)  # type: ignore[arg-type]

    def neg_(self) -> Tensor:
        """Negate in place."""
        return update("neg", self)  # type: ignore[arg-type]

    def masked_fill_(self, mask: Any, value: Any) -> Tensor:
        """Set the elements where `mask` is true to `value`, in place."""
        return update("masked_fill", self, mask, value)  # type: ignore[arg-type]

    def zero_(self) -> Tensor:
        """Set every element to 0."""
        return assign(self, 0, "zero_")  # type: ignore[arg-type]

    def fill_(self, value: Any) -> Tensor:
        """Set every element to `value`."""
        return assign(self, value, "fill_")  # type: ignore[arg-type]

    def copy_(self, source: Any) -> Tensor:
        """Take the values of `source`, broadcast and cast to this tensor's dtype."""
        return assign(self, source)  # type: ignore[arg-type]
