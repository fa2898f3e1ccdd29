"""Recording what a network computes, operation by operation.

`autograd.observe` shows every call of an operation on arrays. Here a call is noted with where its operands come
from: an input of the network, one of its parameters or buffers, or the result of an earlier call; which of them
is found by the memory that the operand lies in, so that views need no treatment of their own.
"""

from __future__ import annotations

import inspect
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autograd import Array, Tensor, observe
from ..autograd.dtype import DType
from ..nn import Module
from .graph import Sizes, Unsupported

__all__ = ["Call", "Operand", "Root", "Trace", "record"]


@dataclass(eq=False)
class Root:
    """Memory that operands lie in.

    Attributes:
        array: the whole of it while recording, so that no other array gets its memory; None afterwards.
        number: counts roots in the order in which they came up.
        tensor: the parameter or buffer that it belongs to, or None.
        call: the call that made it, or None.
        content: a checksum of what was written there, to notice changes in place; None where nobody looks.
        successor: the result that has been written over it, as `y += x` does, or None.
        used: whether a call has taken it, or the outcome holds it.
    """

    array: Array | None
    number: int
    tensor: Tensor | None = None
    call: Call | None = None
    content: int | None = None
    successor: Root | None = None
    used: bool = False
    first: int = field(init=False)
    end: int = field(init=False)
    whole: Operand = field(init=False)
    dtype: DType = field(init=False)

    def __post_init__(self) -> None:
        if self.array is not None:
            self.first, self.end = _bounds(self.array)
            self.dtype = self.array.dtype
            self.whole = _operand(self, self.array)


@dataclass(frozen=True)
class Operand:
    """An array in the memory of a root; offset and steps in elements."""

    root: Root
    shape: Sizes
    strides: Sizes
    offset: int

    def lies_like(self, other: Operand) -> bool:
        """Whether two operands have one shape and one layout in memory."""
        return (self.shape, self.strides, self.root.dtype) == (other.shape, other.strides, other.root.dtype)

    def key(self) -> tuple[Any, ...]:
        """The same for the same operand of another recording."""
        return self.root.number, self.shape, self.strides, self.offset


@dataclass(eq=False)
class Call:
    """One call of an operation.

    Attributes:
        name: the operation.
        arguments: by name, defaults filled in; operands in place of arrays, also within tuples.
        results: the arrays that it made; none if they are views of operands.
    """

    name: str
    arguments: dict[str, Any]
    results: list[Operand] = field(default_factory=list)

    def key(self) -> tuple[Any, ...]:
        """The same for the same call of another recording."""
        return self.name, _plain(self.arguments), tuple([each.key() for each in self.results])


@dataclass
class Trace:
    """All calls, in order, and the outcome, a nest of tuples, lists and dicts with operands in place of Tensors."""

    calls: list[Call]
    inputs: list[Root]
    outcome: Any = None

    def key(self) -> tuple[Any, ...]:
        """The same for a recording of the same computation."""
        return (*[call.key() for call in self.calls], _plain(self.outcome))


def record(model: Module, inputs: Sequence[Tensor]) -> tuple[Trace, Any]:
    """Call the network and note what it computes.

    Args:
        model: in evaluation mode, gradients switched off.
        inputs: its arguments.

    Returns:
        the recording, and what the network returned.

    Raises:
        Unsupported: if an array came in by another way than the inputs, the parameters and the operations.
    """
    recorder = _Recorder(model, [each.data for each in inputs])
    with observe(recorder.observer):
        result = model(*inputs)
    if recorder.failure is not None:
        raise recorder.failure
    recorder.trace.outcome = recorder.outcome(result)
    recorder.check_all_used()
    for root in recorder.roots:
        root.array = None
    return recorder.trace, result


class _Recorder:
    """Notes the calls of one thread."""

    def __init__(self, model: Module, inputs: Sequence[Array]) -> None:
        self.thread = threading.get_ident()
        self.roots: list[Root] = []
        self.trace = Trace([], [self._root(array) for array in inputs])
        for root in self.roots:
            root.content = _checksum(root.array)
        for tensor in (*model.parameters(), *model.buffers()):
            self._root(tensor.data, tensor=tensor)
        self.failure: Unsupported | None = None

    def observer(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """What stands in for an operation's function."""

        def noted(*args: Any, **options: Any) -> Any:
            if threading.get_ident() != self.thread or self.failure is not None:
                return function(*args, **options)
            try:
                call = Call(name, self._arguments(name, function, args, options))
            except Unsupported as failure:
                self.failure = failure
                return function(*args, **options)
            result = function(*args, **options)
            with self._catching():
                self._finish(call, result[0])
            return result

        return noted

    @contextmanager
    def _catching(self) -> Iterator[None]:
        """Keep an exception for later: the network goes on computing."""
        try:
            yield
        except Unsupported as failure:
            self.failure = failure

    def _arguments(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
    ) -> dict[str, Any]:
        bound = inspect.signature(function).bind(*args, **options)
        bound.apply_defaults()
        return {key: self._operand_of(name, value) for key, value in bound.arguments.items()}

    def _operand_of(self, name: str, value: Any) -> Any:
        """An argument, with operands in place of the arrays in it."""
        if isinstance(value, np.ndarray):
            operand = self.find(value)
            if operand is None:
                raise Unsupported(f"an operand of '{name}' is neither an input, a parameter nor a computed value")
            operand.root.used = True
            return operand
        if isinstance(value, tuple | list):
            return tuple([self._operand_of(name, each) for each in value])
        return value

    def _finish(self, call: Call, y: Any) -> None:
        """Note what a call made; a call that only gives views of its operands computes nothing."""
        arrays = y if isinstance(y, tuple) else (y,)
        if any(array.size == 0 for array in arrays):
            raise Unsupported(f"'{call.name}' gives an empty array")
        if all(self.find(array, quick=True) is not None for array in arrays):
            return
        for array in arrays:
            root = self._root(array, call=call)
            root.content = _checksum(array)
            call.results.append(root.whole)
        self.trace.calls.append(call)

    def _root(self, array: Array, tensor: Tensor | None = None, call: Call | None = None) -> Root:
        root = Root(array, len(self.roots), tensor, call)
        self.roots.append(root)
        return root

    def find(self, array: Array, quick: bool = False) -> Operand | None:
        """The operand that an array is, None if its memory is unknown.

        Raises:
            Unsupported: if its memory was changed in place by something other than an operation's result. With
                `quick` that is not looked at.
        """
        first, end = _bounds(array)
        for root in reversed(self.roots):
            if root.first <= first and end <= root.end and first < end:
                operand = _operand(root, array)
                return operand if quick else self._present(operand)
        return None

    def _present(self, operand: Operand) -> Operand:
        """The operand, or the one that an operation in place has since put into its memory."""
        root = operand.root
        now = root.successor or root
        if root.content is not None and _checksum(root.array) != now.content:
            now = self._successor(root, now)
            now.used = True
            root.successor = now
        return operand if now is root else Operand(now, operand.shape, operand.strides, operand.offset)

    def _successor(self, root: Root, now: Root) -> Root:
        """The result that is in the memory of `root` in place of `now`: nobody has used it, for `y += x` drops it."""
        content = _checksum(root.array)
        for other in reversed(self.roots[now.number + 1 :]):
            if not other.used and other.content == content and other.whole.lies_like(root.whole):
                return other
        source = f"the result of '{root.call.name}'" if root.call else "an input"
        raise Unsupported(f"{source} was changed in place")

    def outcome(self, value: Any) -> Any:
        """What the network returned, with operands in place of Tensors."""
        if isinstance(value, Tensor):
            operand = self.find(value.data)
            if operand is None:
                raise Unsupported("an output is neither an input, a parameter nor a computed value")
            operand.root.used = True
            return operand
        if type(value) in (tuple, list):
            return type(value)([self.outcome(each) for each in value])
        if type(value) is dict:
            return {key: self.outcome(each) for key, each in value.items()}
        raise Unsupported(f"the network returns {type(value).__name__}, not a Tensor or a tuple, list or dict of them")

    def check_all_used(self) -> None:
        """Raise if a computed value is not used: the network may have looked at it to decide what to do."""
        for call in self.trace.calls:
            if not any(each.root.used for each in call.results):
                raise Unsupported(f"the result of '{call.name}' is not used, or decides what the network does")


def _bounds(array: Array) -> tuple[int, int]:
    """First address of an array's elements, and the one after the last."""
    address: int = array.__array_interface__["data"][0]
    reaches = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    if array.size == 0:
        return address, address
    return address + sum(min(r, 0) for r in reaches), address + sum(max(r, 0) for r in reaches) + array.itemsize


def _operand(root: Root, array: Array) -> Operand:
    item = root.dtype.itemsize
    first, _ = _bounds(array)
    if array.dtype != root.dtype or min(array.strides, default=0) < 0 or any(s % item for s in array.strides):
        raise Unsupported("a view that runs backwards, or of another dtype")
    steps = tuple(step // item for step in array.strides)
    return Operand(root, array.shape, steps, (first - root.first) // item)


def _checksum(array: Array | None) -> int:
    """Of the bytes of an array, in the order in which they lie."""
    if array is None:
        return 0
    axes = sorted(range(array.ndim), key=lambda i: -array.strides[i])
    return zlib.crc32(np.ascontiguousarray(array.transpose(axes)).data)


def _plain(value: Any) -> Any:
    """Arguments or an outcome in a form that can be compared."""
    if isinstance(value, Operand):
        return value.key()
    if isinstance(value, tuple | list):
        return tuple([_plain(each) for each in value])
    if isinstance(value, dict):
        return tuple([(key, _plain(each)) for key, each in value.items()])
    return repr(value)
