"""Python's operators on Tensors. Each one is an operation, looked up by name when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .methods import OPS, TensorMethods

if TYPE_CHECKING:
    from .tensor import Tensor

_COMPARABLE = (TensorMethods, np.ndarray, np.generic, int, float)


class TensorOperators(TensorMethods):
    """Base of `Tensor` that carries the operators without side effects."""

    __slots__ = ()

    def __add__(self, other: Any) -> Tensor:
        return OPS["add"](self, other)

    def __radd__(self, other: Any) -> Tensor:
        return OPS["add"](self, other)

    def __sub__(self, other: Any) -> Tensor:
        return OPS["sub"](self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return OPS["sub"](other, self)

    def __mul__(self, other: Any) -> Tensor:
        return OPS["mul"](self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return OPS["mul"](self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return OPS["div"](self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return OPS["div"](other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return OPS["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return OPS["floor_divide"](other, self)

    def __mod__(self, other: Any) -> Tensor:
        return OPS["remainder"](self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return OPS["remainder"](other, self)

    def __pow__(self, other: Any) -> Tensor:
        return OPS["pow"](self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return OPS["pow"](other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return OPS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return OPS["matmul"](other, self)

    def __neg__(self) -> Tensor:
        return OPS["neg"](self)

    def __pos__(self) -> Tensor:
        return self  # type: ignore[return-value]

    def __abs__(self) -> Tensor:
        return OPS["abs"](self)

    def __invert__(self) -> Tensor:
        return OPS["bitwise_not"](self)

    def __and__(self, other: Any) -> Tensor:
        return OPS["bitwise_and"](self, other)

    def __rand__(self, other: Any) -> Tensor:
        return OPS["bitwise_and"](self, other)

    def __or__(self, other: Any) -> Tensor:
        return OPS["bitwise_or"](self, other)

    def __ror__(self, other: Any) -> Tensor:
        return OPS["bitwise_or"](self, other)

    def __xor__(self, other: Any) -> Tensor:
        return OPS["bitwise_xor"](self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return OPS["bitwise_xor"](self, other)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]
        return OPS["eq"](self, other) if isinstance(other, _COMPARABLE) else NotImplemented

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]
        return OPS["ne"](self, other) if isinstance(other, _COMPARABLE) else NotImplemented

    def __lt__(self, other: Any) -> Tensor:
        return OPS["lt"](self, other)

    def __le__(self, other: Any) -> Tensor:
        return OPS["le"](self, other)

    def __gt__(self, other: Any) -> Tensor:
        return OPS["gt"](self, other)

    def __ge__(self, other: Any) -> Tensor:
        return OPS["ge"](self, other)

    def __hash__(self) -> int:
        """By identity, so that Tensors can be dictionary keys although `==` is elementwise."""
        return id(self)
