"""The base class of layers and networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from ..autograd.dtype import as_dtype
from ..autograd.tensor import Tensor
from .hooks import Hooks, RemovableHandle
from .parameter import Buffer, Parameter, check_device
from .state import IncompatibleKeys, load

_COLLECTIONS = (list, tuple, dict)
_Member = TypeVar("_Member", Parameter, Buffer, "Module")


def _not_implemented(self: Module, *args: Any, **kwargs: Any) -> Any:
    """Stands in for `forward` until a subclass defines it."""
    raise NotImplementedError(f"{type(self).__name__} does not define forward")


class Module:
    """Base class of everything that has parameters or state: layers, networks, losses.

    A subclass assigns its parts to attributes and defines `forward`. What the attributes hold is the whole
    of the registration: Parameters, Buffers and Modules are found by walking them in the order in which
    they were assigned, inside lists, tuples and dicts too, and get dotted names (`blocks.0.conv.weight`).
    Calling `super().__init__()` is allowed, as PyTorch's habit has it, but not needed.

    Attributes:
        training: whether the module is in training mode (see `train`); Dropout and BatchNorm ask.
        eval_only: whether `train` leaves the module in evaluation mode, as a frozen BatchNorm should be, see
            `fastnn.transfer.freeze`. It does not speak for the modules below.

    Example:
        >>> class Scale(Module):
        ...     def __init__(self, size):
        ...         self.weight = Parameter(np.ones(size, np.float32))
        ...
        ...     def forward(self, x):
        ...         return x * self.weight
        >>> [name for name, _ in Scale(3).named_parameters()]
        ['weight']
    """

    training: bool = True
    eval_only: bool = False
    _hooks: Hooks | None = None

    forward: Callable[..., Any] = _not_implemented
    """What calling the module computes; a subclass defines it as a method."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, with the hooks around it if there are any."""
        if self._hooks:
            return self._hooks.call(self, args, kwargs)
        return self.forward(*args, **kwargs)

    # -- What a module consists of ---------------------------------------------------------------------

    def _members(self, kind: type[_Member]) -> Iterator[tuple[str, _Member]]:
        """The parts of one kind that this module itself holds, with their names."""
        for name, value in vars(self).items():
            if isinstance(value, kind):
                yield name, value
            elif isinstance(value, _COLLECTIONS):
                yield from _leaves(name, value, kind)

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all modules below it, parents first, with dotted names (its own is `prefix`).

        Args:
            memo: ids of the modules not to visit again.
            prefix: put before every name.
            remove_duplicate: visit a module that stands in several places only once.
        """
        memo = set() if memo is None else memo
        if id(self) in memo:
            return
        if remove_duplicate:
            memo.add(id(self))
        yield prefix, self
        for name, child in self._members(Module):
            yield from child.named_modules(memo, _join(prefix, name), remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all modules below it, each once, parents first."""
        for _, module in self.named_modules():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, each once, with their names."""
        seen: set[int] = set()
        for name, child in self._members(Module):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly below this one, each once."""
        for _, child in self.named_children():
            yield child

    def _named(
        self, kind: type[_Member], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, _Member]]:
        """The parameters or buffers of this module and, if `recurse`, of those below it."""
        seen: set[int] = set()
        owners = self.named_modules(None, prefix, remove_duplicate) if recurse else iter([(prefix, self)])
        for path, module in owners:
            for name, member in module._members(kind):
                if not remove_duplicate or id(member) not in seen:
                    seen.add(id(member))
                    yield _join(path, name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name; one that is shared appears once, under its first name."""
        return self._named(Parameter, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter, once; what an optimiser is given."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """Every buffer with its dotted name, persistent or not."""
        return self._named(Buffer, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """Every buffer, once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name `target`; "" is this module.

        Raises:
            AttributeError: if there is none; the message lists the names there are.
        """
        names = dict(self.named_modules(remove_duplicate=False))
        if target not in names:
            raise AttributeError(f"{type(self).__name__} has no module '{target}'; it has {sorted(names)[1:]}")
        return names[target]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name `target`; AttributeError if there is none."""
        for name, parameter in self.named_parameters(remove_duplicate=False):
            if name == target:
                return parameter
        raise AttributeError(f"{type(self).__name__} has no parameter '{target}'")

    def get_buffer(self, target: str) -> Buffer:
        """The buffer with the dotted name `target`; AttributeError if there is none."""
        for name, buffer in self.named_buffers(remove_duplicate=False):
            if name == target:
                return buffer
        raise AttributeError(f"{type(self).__name__} has no buffer '{target}'")

    # -- PyTorch's words for an assignment -------------------------------------------------------------

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """`setattr(self, name, param)`, with checks; None reserves the name (a layer without bias)."""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter: expected '{name}' to be a Parameter, got {type(param).__name__}")
        self._register("register_parameter", name, param)

    def register_buffer(self, name: str, tensor: Tensor | npt.NDArray[Any] | None, persistent: bool = True) -> None:
        """Assign `tensor` to the attribute `name` as a Buffer that shares its memory."""
        if tensor is not None and not isinstance(tensor, Tensor | np.ndarray):
            raise TypeError(f"register_buffer: expected '{name}' to be a Tensor, got {type(tensor).__name__}")
        self._register("register_buffer", name, None if tensor is None else Buffer(tensor, persistent))

    def add_module(self, name: str, module: Module | None) -> None:
        """`setattr(self, name, module)`, with checks."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"add_module: expected '{name}' to be a Module, got {type(module).__name__}")
        self._register("add_module", name, module)

    register_module = add_module

    def _register(self, function: str, name: str, value: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{function}: expected a name of type str, got {type(name).__name__}")
        if not name or "." in name:
            raise ValueError(f"{function}: expected a name without dots that is not empty, got {name!r}")
        if hasattr(self, name) and vars(self).get(name, self) is not None:
            raise ValueError(f"{function}: {type(self).__name__} already has an attribute '{name}'")
        setattr(self, name, value)

    # -- Changing all of it ----------------------------------------------------------------------------

    def apply(self, fn: Callable[[Module], object]) -> Self:
        """Call `fn` on every module, children before parents, and return this module."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Put this module and those below it in training mode, or with False in evaluation mode.

        Modules whose `eval_only` is set get into evaluation mode either way.
        """
        if not isinstance(mode, bool):
            raise TypeError(f"train: expected mode to be a bool, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode and not module.eval_only
        return self

    def eval(self) -> Self:
        """Put this module and those below it in evaluation mode."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze (False) or unfreeze the parameters, in place."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of the parameters, or with `set_to_none=False` fill them with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.data[...] = 0
                parameter.grad.bump()

    def to(self, target: Any = None, dtype: npt.DTypeLike | None = None, *, device: str | None = None) -> Self:
        """Convert floating parameters, their gradients and floating buffers to another dtype, in place.

        Args:
            target: a floating dtype, or the device "cpu", which changes nothing.
            dtype: a floating dtype, for the form `to("cpu", dtype)` or as keyword.
            device: "cpu".

        Raises:
            TypeError: if the dtype is not a floating one.
            ValueError: if the device is not "cpu".
        """
        check_device("to", device)
        if isinstance(target, str) and target not in np.sctypeDict:
            check_device("to", target)
        elif target is not None:
            dtype = target
        if dtype is None:
            return self
        wanted = as_dtype(dtype, "to")
        if wanted.kind != "f":
            raise TypeError(f"to: expected a floating dtype, got {wanted.name}")
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.data.dtype.kind == "f":
                tensor.data = tensor.data.astype(wanted, copy=False)
                tensor.bump()
                if tensor.grad is not None:
                    tensor.grad = Tensor(tensor.grad.data.astype(wanted, copy=False))
        return self

    def float(self) -> Self:
        """Convert to float32, in place."""
        return self.to(np.float32)

    def double(self) -> Self:
        """Convert to float64, in place."""
        return self.to(np.float64)

    def cpu(self) -> Self:
        """This module, which is on the CPU already."""
        return self

    # -- State -----------------------------------------------------------------------------------------

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name: PyTorch's keys, shapes and order.

        Args:
            prefix: put before every name.
            keep_vars: give the Parameters and Buffers themselves instead of detached Tensors.

        Returns:
            A dict of Tensors that share memory with the module; copy them to keep them while training.
        """
        return {name: member if keep_vars else member.detach() for name, member in self._state(prefix)}

    def _state(self, prefix: str = "") -> Iterator[tuple[str, Parameter | Buffer]]:
        """What `state_dict` holds; a shared tensor under each of its names."""
        for path, module in self.named_modules(None, prefix.removesuffix("."), remove_duplicate=False):
            for name, parameter in module._members(Parameter):
                yield _join(path, name), parameter
            for name, buffer in module._members(Buffer):
                if buffer.persistent:
                    yield _join(path, name), buffer

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy values into the parameters and buffers in place, once all of them are known to fit.

        Args:
            state_dict: arrays by dotted name: Tensors, ndarrays, or whatever `numpy.asarray` takes (so the
                state dict of a PyTorch model on the CPU will do). Names that all begin with "module.", as those of
                PyTorch's DataParallel do, are read without it, unless the module has such names itself.
            strict: also raise for missing and unexpected keys, instead of returning them.

        Returns:
            The missing and the unexpected keys, as `(missing_keys, unexpected_keys)`.

        Raises:
            ValueError: naming all missing, unexpected and misshapen keys at once; nothing has changed then.
        """
        return load(type(self).__name__, dict(self._state()), state_dict, strict)

    # -- Hooks -----------------------------------------------------------------------------------------

    def _hook(self, kind: str, hook: Any, prepend: bool) -> RemovableHandle:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks.add(kind, hook, prepend)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before every forward; what it returns, if not None, replaces `args`.

        With `with_kwargs` it is `hook(module, args, kwargs)` and returns a pair `(args, kwargs)` or None.
        """
        return self._hook("forward_pre", (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after every forward; what it returns replaces the output.

        None leaves the output as it is. With `with_kwargs` it is `hook(module, args, kwargs, output)`.
        """
        return self._hook("forward", (hook, with_kwargs), prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the output have arrived.

        `grad_output` is a tuple of Tensors; a tuple that the hook returns replaces it.
        """
        return self._hook("backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the inputs are known.

        `grad_input` is a tuple with a Tensor, or None, per positional Tensor argument; a tuple that the hook
        returns replaces it. If no input needs a gradient, all of it is None.
        """
        return self._hook("backward", hook, prepend)

    # -- Text ------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands in the parentheses of the module's repr."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._members(Module)]
        if not children:
            return f"{type(self).__name__}({extra})"
        lines = ([extra] if extra else []) + children
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _leaves(name: str, value: Any, kind: type[_Member]) -> Iterator[tuple[str, _Member]]:
    """The parts of one kind in an attribute's value, looking into lists, tuples and dicts."""
    if isinstance(value, kind):
        yield name, value
    elif isinstance(value, list | tuple):
        for i, each in enumerate(value):
            yield from _leaves(f"{name}.{i}", each, kind)
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(f"{name}.{key}", each, kind)
