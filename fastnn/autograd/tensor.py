"""The Tensor: an ndarray with a place on the tape."""

from __future__ import annotations

import weakref
from sys import getrefcount
from typing import Any

import numpy as np
import numpy.typing as npt

from .conversion import TensorConversions
from .display import tensor_text
from .dtype import SUPPORTED, Array, DType
from .engine import Handle, Hook, Node, Output, apply_hooks, backward_pass
from .methods import OPS
from .reuse import Memory, Slots, sole_owner


class Tensor(TensorConversions):
    """An n-dimensional array that remembers how it was computed.

    `fastnn.tensor` makes one from Python numbers; the constructor wraps an array without copying it.

    Args:
        data: a NumPy array of a supported dtype (not copied), or anything `numpy.asarray` takes.
        requires_grad: whether to compute gradients with respect to this tensor; floating dtypes only.

    Attributes:
        data: the values, an ndarray. Its strides may be channels-last.
        grad: for a leaf, the gradient accumulated by `backward`, or None.
        requires_grad: whether gradients flow to this tensor.

    Raises:
        TypeError: if the dtype is not supported, or not a floating one with `requires_grad`.

    Example:
        >>> x = Tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "_edge", "_hooks", "_pending", "_version", "data", "grad", "requires_grad")
    __array_priority__ = 1000  # so that ndarray + Tensor comes to Tensor.__radd__

    data: Array
    grad: Tensor | None
    requires_grad: bool
    _edge: Node | Output | None
    # [[n]], n being how often the memory was changed in place. The Tensors on one memory share the outer list;
    # they and the nodes that saved the memory share the inner one.
    _version: list[list[int]]
    _hooks: dict[int, Hook] | None
    # What `pending` keeps here; unset otherwise.
    _pending: Any
    # The slots of `data` and `_version` under other names, for operations: they only read, and so need not disturb
    # what waits to read the same memory; see `pending`.
    _array: Array
    _counter: list[list[int]]

    def __init__(self, data: npt.ArrayLike, requires_grad: bool = False) -> None:
        array = np.asarray(data)
        if array.dtype not in SUPPORTED:
            raise TypeError(f"Tensor: dtype {array.dtype} is not supported")
        self.data = array
        self.grad = None
        self.requires_grad = False
        self._edge = None
        self._version = data._version if isinstance(data, Tensor) else [[0]]
        self._hooks = None
        if requires_grad:
            self.requires_grad_()

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        return self._array.shape

    @property
    def dtype(self) -> DType:
        """The NumPy dtype of the elements."""
        return self._array.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def device(self) -> str:
        """Where the tensor is: always "cpu"."""
        return "cpu"

    @property
    def nbytes(self) -> int:
        """The bytes that the elements take."""
        return self._array.nbytes

    @property
    def itemsize(self) -> int:
        """The bytes that one element takes."""
        return self._array.itemsize

    @property
    def T(self) -> Tensor:
        """The tensor with its dimensions reversed, a view."""
        return OPS["permute"](self, tuple(range(self._array.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The tensor with its last two dimensions exchanged, a view."""
        return OPS["transpose"](self, -2, -1)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of dimension `dim`."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self) -> int:
        """The number of dimensions."""
        return self.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    def element_size(self) -> int:
        """The bytes that one element takes."""
        return self._array.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """The steps between neighbours along each dimension, or along `dim`, counted in elements."""
        steps = tuple(step // self._array.itemsize for step in self._array.strides)
        return steps if dim is None else steps[dim]

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in the order of the last dimension first."""
        return self._array.flags.c_contiguous

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating one."""
        return self.dtype.kind == "f"

    def data_ptr(self) -> int:
        """The address of the first element."""
        return self.data.ctypes.data

    # Gradients

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
        """Switch `requires_grad` of a leaf, and return the tensor.

        Raises:
            TypeError: if the dtype is not a floating one.
            RuntimeError: if `requires_grad` is False and the tensor is the result of a recorded operation.
        """
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(f"requires_grad_: only floating tensors have gradients, got {self.data.dtype}")
        if not requires_grad and self._edge is not None:
            raise RuntimeError("requires_grad_: only a leaf can stop requiring a gradient; use detach()")
        self.requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """The same memory as a leaf that requires no gradient."""
        result = wrap(self.data)
        result._version = self._version
        return result

    def detach_(self) -> Tensor:
        """Forget how this tensor was computed: it becomes a leaf that requires no gradient."""
        self._edge = None
        self.requires_grad = False
        return self

    def backward(
        self, gradient: npt.ArrayLike | None = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Compute the gradients of this tensor with respect to the leaves and add them to their `.grad`.

        Args:
            gradient: gradient of some scalar with respect to this tensor; 1 by default, for a scalar.
            retain_graph: keep what the operations saved, so that backward can run through them again.
            create_graph: must be False; gradients are not differentiable (see `fastnn.autograd.hvp`).

        Shape:
            gradient: that of this tensor.

        Raises:
            RuntimeError: if no gradient is required, if `gradient` is missing for a tensor with several
                elements, if the graph was freed by an earlier pass, or if a saved array was changed in place.
            ValueError: if `gradient` has another shape.
        """
        backward_pass([root("backward", self, gradient, create_graph)], retain_graph)

    def register_hook(self, hook: Hook) -> Handle:
        """Call `hook(grad)` with this tensor's complete gradient in every backward pass.

        Args:
            hook: takes the gradient as a Tensor; may return another one of the same shape to replace it.

        Returns:
            a handle, whose `remove()` takes the hook off.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor does not require a gradient")
        edge = self._edge
        if edge is None:
            self._hooks = {} if self._hooks is None else self._hooks
            return Handle(self._hooks, hook)
        node, index = (edge, 0) if isinstance(edge, Node) else edge
        node.hooks = {} if node.hooks is None else node.hooks
        return Handle(node.hooks.setdefault(index, {}), hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor in `.grad` although it is not a leaf."""
        if self._edge is not None:
            alive = weakref.ref(self)

            def keep(grad: Tensor) -> None:
                tensor = alive()
                if tensor is not None:
                    tensor.grad = wrap(grad.data.copy() if tensor.grad is None else tensor.grad.data + grad.data)

            self.register_hook(keep)

    def _receive(self, slots: Slots) -> None:
        """Take the complete gradient of a backward pass, in `slots[0]`, into `.grad`, laid out as `data` is."""
        if self._hooks:
            slots[0] = apply_hooks(self._hooks, slots[0], "leaf")  # type: ignore[arg-type]
        gradient = slots[0]
        if gradient is None:
            return
        if self.grad is not None:
            Memory.accumulate(self.grad.data, gradient)
            self.grad.bump()
            return
        data = self.data
        fits = gradient.strides == data.strides and gradient.dtype is data.dtype
        del gradient
        if fits and sole_owner(slots, 0):
            self.grad = wrap(slots[0])  # type: ignore[arg-type]
        else:
            own = np.empty_like(data)
            np.copyto(own, slots[0])  # type: ignore[arg-type]
            self.grad = wrap(own)

    def bump(self) -> None:
        """Note that `data` was changed in place, so that a backward pass that saved it raises."""
        self._version[0][0] += 1

    @property
    def has_views(self) -> bool:
        """Whether another living Tensor shares this one's memory."""
        return getrefcount(self._version) > 2  # this Tensor's reference and the argument

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        import copy  # it looks for Jython when it is imported, which takes longer than all of this module

        if self._edge is not None:
            raise RuntimeError("deepcopy: only leaves can be copied; use detach() or clone()")
        result = _rebuild(type(self), copy.deepcopy(self.data, memo), self.requires_grad, {})
        memo[id(self)] = result
        result.grad = copy.deepcopy(self.grad, memo)
        result.__setstate__(copy.deepcopy(getattr(self, "__dict__", {}), memo))
        return result

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.data, self.requires_grad, getattr(self, "__dict__", {}))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the attributes that an instance of a subclass has in its `__dict__`."""
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return tensor_text(self)


for _name, _slot in (("_array", "data"), ("_counter", "_version")):
    setattr(Tensor, _name, vars(Tensor)[_slot])

_new = object.__new__


def wrap(data: Array) -> Tensor:
    """A Tensor around an array known to be of a supported dtype: the constructor without its checks."""
    tensor: Tensor = _new(Tensor)
    tensor.data = data
    tensor.grad = None
    tensor.requires_grad = False
    tensor._edge = None
    tensor._version = [[0]]
    tensor._hooks = None
    return tensor


def _rebuild(kind: type[Tensor], data: Array, requires_grad: bool, state: dict[str, Any]) -> Tensor:
    """A leaf of class `kind` from what pickling and copying keep of it."""
    tensor = kind.__new__(kind)
    Tensor.__init__(tensor, data, requires_grad)
    tensor.__setstate__(state)
    return tensor


def root(
    name: str, tensor: Tensor, gradient: npt.ArrayLike | None, create_graph: bool
) -> tuple[Node | Output | Tensor, Array]:
    """Where a backward pass from `tensor` starts, and the gradient it starts with.

    Raises:
        RuntimeError: if the tensor requires no gradient, or has several elements and `gradient` is None.
        ValueError: if `gradient` has another shape than the tensor.
    """
    if create_graph:
        raise NotImplementedError(
            f"{name}: create_graph=True is not supported, gradients are not differentiable; "
            "see fastnn.autograd.hvp and hessian for second derivatives"
        )
    if not tensor.requires_grad:
        raise RuntimeError(f"{name}: the tensor does not require a gradient and has no operation behind it")
    data = tensor.data
    if gradient is None:
        if data.size != 1:
            raise RuntimeError(f"{name}: a gradient must be given for a tensor of shape {data.shape}")
        seed = np.ones(data.shape, data.dtype)
    else:
        seed = np.asarray(gradient, data.dtype)
        if seed.shape != data.shape:
            raise ValueError(f"{name}: expected a gradient of shape {data.shape}, got {seed.shape}")
    return (tensor if tensor._edge is None else tensor._edge), seed
