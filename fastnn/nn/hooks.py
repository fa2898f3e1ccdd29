"""Functions that a Module calls around its forward and in its backward pass.

A Module without hooks, the usual case, holds None instead of a `Hooks`, so that hooks cost a call nothing.
The backward hooks stand on one operation, `tap`: the identity, whose backward pass shows the gradients to
a function. A module's inputs go through one tap and its outputs through another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import ref

from ..autograd.dtype import Array
from ..autograd.op import op
from ..autograd.tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

Gradients: TypeAlias = tuple[Tensor | None, ...]
Watcher: TypeAlias = Callable[[Gradients], Gradients]

_numbers = count()


class _Table(dict[int, Any]):
    """Hooks by number, in calling order; a dict that can be weakly referenced."""

    __slots__ = ("__weakref__",)


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away again, as does leaving a `with`."""

    def __init__(self, table: _Table) -> None:
        self._table = ref(table)
        self.id = next(_numbers)

    def remove(self) -> None:
        """Unregister the hook; a second call does nothing."""
        table = self._table()
        if table is not None:
            table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Hooks:
    """The hooks of one module, by kind."""

    def __init__(self) -> None:
        self.forward_pre = _Table()
        self.forward = _Table()
        self.backward_pre = _Table()
        self.backward = _Table()

    def __bool__(self) -> bool:
        return bool(self.forward_pre or self.forward or self.backward_pre or self.backward)

    def add(self, kind: str, hook: Any, prepend: bool = False) -> RemovableHandle:
        """Register `hook` in the table named `kind`, first or last."""
        table: _Table = getattr(self, kind)
        handle = RemovableHandle(table)
        if prepend:
            others = dict(table)
            table.clear()
            table[handle.id] = hook
            table.update(others)
        else:
            table[handle.id] = hook
        return handle

    def call(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """`module.forward(*args, **kwargs)` with every hook around it."""
        for hook, with_kwargs in list(self.forward_pre.values()):
            if with_kwargs:
                changed = hook(module, args, kwargs)
                if changed is not None:
                    args, kwargs = changed
            else:
                changed = hook(module, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        watch = _BackwardHooks(module, self) if self.backward or self.backward_pre else None
        if watch is not None:
            args = watch.inputs(args)
        output = module.forward(*args, **kwargs)
        for hook, with_kwargs in list(self.forward.values()):
            changed = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
            if changed is not None:
                output = changed
        return output if watch is None else watch.outputs(output)


class _BackwardHooks:
    """The backward hooks for one call of a module: they get the output's gradients, then the input's."""

    def __init__(self, module: Module, hooks: Hooks) -> None:
        self.module = module
        self.hooks = hooks
        self.received: Gradients = ()
        self.inputs_wanted = False
        self.arguments = 0

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments, watched."""
        places = [i for i, each in enumerate(args) if isinstance(each, Tensor)]
        self.arguments = len(places)
        self.inputs_wanted = any(args[i].requires_grad for i in places)
        if not self.inputs_wanted:
            return args
        changed = list(args)
        for i, each in zip(places, tap(*[args[i] for i in places], watcher=self.on_inputs), strict=True):
            changed[i] = each
        return tuple(changed)

    def outputs(self, output: Any) -> Any:
        """The output, watched: a Tensor or a tuple of Tensors."""
        if isinstance(output, Tensor):
            return tap(output, watcher=self.on_outputs)[0]
        if isinstance(output, tuple) and all(isinstance(each, Tensor) for each in output):
            return tap(*output, watcher=self.on_outputs)
        raise TypeError(
            f"{type(self.module).__name__}: backward hooks need an output that is a Tensor or a tuple of "
            f"Tensors, got {type(output).__name__}"
        )

    def on_outputs(self, grads: Gradients) -> Gradients:
        for hook in list(self.hooks.backward_pre.values()):
            grads = _replaced("full_backward_pre_hook", grads, hook(self.module, grads))
        self.received = grads
        if not self.inputs_wanted:
            self.on_inputs((None,) * self.arguments)
        return grads

    def on_inputs(self, grads: Gradients) -> Gradients:
        for hook in list(self.hooks.backward.values()):
            grads = _replaced("full_backward_hook", grads, hook(self.module, grads, self.received))
        return grads


def _replaced(kind: str, grads: Gradients, result: Any) -> Gradients:
    """What a backward hook returned, or `grads` if it returned None."""
    if result is None:
        return grads
    changed = result if isinstance(result, tuple) else (result,)
    if len(changed) != len(grads):
        raise ValueError(f"{kind}: expected {len(grads)} gradients back, got {len(changed)}")
    return changed


@op
def tap(*tensors: Array, watcher: Watcher) -> tuple[tuple[Array, ...], Any]:
    """The identity on any number of tensors; backward, `watcher` sees the gradients and may replace them.

    Args:
        tensors: arrays of any shape.
        watcher: takes a tuple with one gradient (or None) per tensor and returns such a tuple.

    Returns:
        The tensors, as a tuple.
    """

    def backward(dy: Sequence[Array | None], needs: tuple[bool, ...]) -> list[Array | None]:
        grads = watcher(tuple([None if each is None else Tensor(each) for each in dy]))
        return [each.data if need and each is not None else None for each, need in zip(grads, needs, strict=True)]

    return tensors, backward
