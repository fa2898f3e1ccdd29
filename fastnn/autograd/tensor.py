"""The Tensor: an ndarray with a place on the tape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .dtype import SUPPORTED, Array, DType
from .engine import Edge, Hook, Node, Output, Slots, _sole_owner, apply_hooks, backward_pass
from .methods import OPS

VERSION, VIEWS = 0, 1
"""Places in a version counter: changes in place so far; tensors that were made as views of the memory."""


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    Args:
        data: a NumPy array (not copied) of a supported dtype, or anything `numpy.asarray` takes.
        requires_grad: whether to compute gradients with respect to this tensor; floating dtypes only.

    Attributes:
        data: the values, an ndarray. Its strides may be channels-last.
        grad: for a leaf, the gradient accumulated by `backward`, or None.
        requires_grad: whether gradients flow to this tensor.
    """

    __slots__ = ("__weakref__", "_edge", "_hooks", "_version", "data", "grad", "requires_grad")
    __array_priority__ = 1000  # so that ndarray + Tensor comes to Tensor.__radd__

    data: Array
    grad: Tensor | None
    requires_grad: bool
    _edge: Node | Output | None
    _version: list[int]
    _hooks: dict[int, Hook] | None

    def __init__(self, data: npt.ArrayLike, requires_grad: bool = False) -> None:
        array = np.asarray(data)
        if array.dtype not in SUPPORTED:
            raise TypeError(f"Tensor: dtype {array.dtype} is not supported")
        self.data = array
        self.grad = None
        self.requires_grad = False
        self._edge = None
        self._version = [0, 0]
        self._hooks = None
        if requires_grad:
            self.requires_grad_()

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        return self.data.shape

    @property
    def dtype(self) -> DType:
        """The NumPy dtype of the elements."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.data.ndim

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made this tensor."""
        return self._edge is None

    @property
    def grad_fn(self) -> Node | None:
        """The recorded operation that made this tensor, None for a leaf."""
        edge = self._edge
        return edge.node if isinstance(edge, Output) else edge

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch `requires_grad` of a leaf, and return the tensor."""
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(f"requires_grad_: only floating tensors have gradients, not {self.data.dtype}")
        if not requires_grad and self._edge is not None:
            raise RuntimeError("requires_grad_: only leaves can stop requiring a gradient; use detach()")
        self.requires_grad = requires_grad
        return self

    def bump(self) -> None:
        """Note that `data` was changed in place, so that a backward pass that saved it raises."""
        self._version[VERSION] += 1

    def backward(
        self, gradient: Tensor | Array | None = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Compute the gradients of this tensor with respect to the leaves, adding them to their `.grad`."""
        if create_graph:
            raise NotImplementedError("backward: create_graph=True is not supported")
        if not self.requires_grad:
            raise RuntimeError("backward: this tensor does not require a gradient")
        if gradient is None:
            if self.data.size != 1:
                raise RuntimeError(f"backward: a gradient is needed for shape {self.shape}")
            seed = np.ones(self.data.shape, self.data.dtype)
        else:
            seed = np.asarray(gradient, self.data.dtype)
        edge: Edge = self if self._edge is None else self._edge
        backward_pass([(edge, seed)], retain_graph)

    def _receive(self, slots: Slots) -> None:
        """Take the complete gradient of one backward pass, in `slots[0]`, into `.grad`."""
        if self._hooks:
            slots[0] = apply_hooks(self._hooks, slots[0], "leaf")  # type: ignore[arg-type]
        if self.grad is None:
            grad = slots[0]
            del slots[:]
            self.grad = wrap(np.array(grad))
        else:
            self.grad.data += slots[0]

    def numpy(self) -> Array:
        return self.data

    def item(self) -> Any:
        return self.data.item()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.asarray(self.data, dtype)

    def __add__(self, other: Any) -> Tensor:
        return OPS["add"](self, other)

    def __mul__(self, other: Any) -> Tensor:
        return OPS["mul"](self, other)


_new = object.__new__


def wrap(data: Array) -> Tensor:
    """A Tensor around an array known to be of a supported dtype: the constructor without its checks."""
    tensor: Tensor = _new(Tensor)
    tensor.data = data
    tensor.grad = None
    tensor.requires_grad = False
    tensor._edge = None
    tensor._version = [0, 0]
    tensor._hooks = None
    return tensor
