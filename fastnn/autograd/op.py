"""The `op` decorator: how a function on arrays becomes a differentiable operation on Tensors.

An operation is one function. It gets ndarrays, checks their shapes, computes, and returns its output with a
closure that maps the gradient of the output to the gradients of the inputs:

    @op
    def square(input: Array) -> tuple[Array, Backward]:
        def backward(dy, needs):
            return (2 * input * dy,)

        return input * input, backward

Whatever the closure captures is what the tape keeps until the backward pass has run, and no more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, overload

import numpy as np

from .dtype import Array
from .engine import Backward, Node
from .methods import OPS
from .mode import MODE
from .pending import CONSUMERS, Pending, join
from .record import finish, shares, versions_of, wrap_output
from .saved import Version
from .signature import ARRAY, OPERAND, Signature
from .tensor import Tensor, wrap

_ndarray = np.ndarray
_MISSING = object()


class Slot:
    """Where the function of an operation sits, so that an observer can stand in for it; see `autograd.observe`.

    The callers below keep the function in a closure cell of theirs, not in a slot: a call costs nothing more.

    Attributes:
        function: what computes the operation on arrays at present.
        alone: whether somebody must see it compute by itself, rather than together with what follows it.
        assign: puts another one in the callers' cells.
    """

    __slots__ = ("alone", "assign", "function")

    def __init__(self, function: Callable[..., Any], assign: Callable[[Callable[..., Any]], None]) -> None:
        self.function = function
        self.alone = False
        self.assign = assign

    def put(self, function: Callable[..., Any]) -> None:
        """Let `function` compute the operation from now on."""
        self.assign(function)
        self.function = function


SLOTS: dict[str, Slot] = {}
"""The slot of every operation by name."""

Caller = tuple[Callable[..., Any], Callable[[Callable[..., Any]], None]]
"""What an operation's users call, and what puts another function in it."""


def _general(function: Callable[..., Any], signature: Signature) -> Caller:
    """The caller of an operation with any number of tensors, anywhere among its arguments."""
    name, keywords, kinds = signature.name, signature.tensor_names, signature.kinds
    positions, variadic, limit = signature.positions, signature.variadic, len(signature.kinds)
    leading, width = signature.leading and not variadic, signature.width

    def call(*args: Any, **options: Any) -> Any:
        if options and not keywords.isdisjoint(options):
            args, options = signature.positional(args, options)
        if len(args) > limit and not signature.open:
            raise TypeError(f"{name}: expected at most {limit} positional arguments, got {len(args)}")
        arrays: list[Any] = []
        wanted = False
        if leading:
            tensors = args[:width]
            for value in tensors:
                if isinstance(value, Tensor):
                    arrays.append(value._array)
                    if value.requires_grad:
                        wanted = True
                else:
                    arrays.append(signature.foreign(value, len(arrays)))
            y, backward = function(*arrays, *args[width:], **options)
            return finish(signature, tensors, y, backward, wanted)
        for kind, value in zip(repeat(ARRAY) if variadic else kinds, args):
            if not kind:
                arrays.append(value)
            elif isinstance(value, Tensor):
                arrays.append(value._array)
                if value.requires_grad:
                    wanted = True
            else:
                arrays.append(signature.foreign(value, len(arrays)))
        y, backward = function(*arrays, *args[len(arrays) :], **options)
        given = args if variadic else [args[i] for i in positions if i < len(args)]
        return finish(signature, given, y, backward, wanted)

    def assign(other: Callable[..., Any]) -> None:
        nonlocal function
        function = other

    return call, assign


def _unary(function: Callable[..., Any], signature: Signature) -> Caller:
    """`_general` for one leading tensor, with less to do per call."""
    general, assign_general = _general(function, signature)
    joins = signature.name in CONSUMERS

    def call(a: Any = _MISSING, /, *args: Any, **options: Any) -> Any:
        if joins and type(a) is Pending:
            joined = join(signature.name, (a, *args), options)
            if joined is not None:
                return joined
        if not isinstance(a, Tensor):
            return general(**options) if a is _MISSING else general(a, *args, **options)
        x = a._array
        y, backward = function(x, *args, **options)
        if type(y) is not _ndarray:
            if isinstance(y, tuple):
                return finish(signature, (a,), y, backward, a.requires_grad)
            y = np.asarray(y)
        out = wrap(y)
        if y is x or (y.base is not None and shares(y, x)):
            out._version = a._version
        if a.requires_grad and backward is not None and MODE.recording:
            versions: Sequence[Version] = ()
            if backward.__closure__:
                counter, own = a._counter[0], out._version[0]
                versions = (counter, counter[0], id(x), id(x.base)), (own, own[0], id(y), id(y.base))
            out._edge = Node(signature.name, backward, (a._edge or a,), versions, y.shape, y.dtype)
            out.requires_grad = True
        return out

    def assign(other: Callable[..., Any]) -> None:
        nonlocal function
        function = other
        assign_general(other)

    return call, assign


def _binary(function: Callable[..., Any], signature: Signature) -> Caller:
    """`_general` for two leading tensors, with less to do per call."""
    general, assign_general = _general(function, signature)
    scalar = signature.kinds[1] == OPERAND
    joins = signature.name in CONSUMERS

    def call(a: Any = _MISSING, b: Any = _MISSING, /, *args: Any, **options: Any) -> Any:
        if joins and (type(a) is Pending or type(b) is Pending):
            joined = join(signature.name, (a, b, *args), options)
            if joined is not None:
                return joined
        if not isinstance(a, Tensor) or b is _MISSING:
            given = [each for each in (a, b) if each is not _MISSING]
            return general(*given, *args, **options)
        x, z = a._array, b
        wanted = a.requires_grad
        if isinstance(b, Tensor):
            z = b._array
            if b.requires_grad:
                wanted = True
        elif not (scalar and (type(b) is float or type(b) is int)):
            return general(a, b, *args, **options)
        y, backward = function(x, z, *args, **options)
        if type(y) is not _ndarray:
            if isinstance(y, tuple):
                return finish(signature, (a, b), y, backward, wanted)
            y = np.asarray(y)
        out = wrap(y) if y.base is None and y is not x and y is not z else wrap_output(y, (a, b))
        if wanted and backward is not None and MODE.recording:
            first = a._edge or a if a.requires_grad else None
            second = b._edge or b if z is not b and b.requires_grad else None
            versions = versions_of((a, b, out)) if backward.__closure__ else ()
            out._edge = Node(signature.name, backward, (first, second), versions, y.shape, y.dtype)
            out.requires_grad = True
        return out

    def assign(other: Callable[..., Any]) -> None:
        nonlocal function
        function = other
        assign_general(other)

    return call, assign


@overload
def op(function: Callable[..., tuple[Array, Backward | None]]) -> Callable[..., Tensor]: ...


@overload
def op(
    function: Callable[..., tuple[tuple[Array, ...], Backward | None]],
) -> Callable[..., tuple[Tensor, ...]]: ...


def op(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function on arrays a differentiable operation on Tensors, and register its name in `OPS`.

    The function's tensor parameters are those annotated `Array` (an ndarray; `Array | None` if optional) or
    `Operand` (an ndarray or a Python number); unannotated leading parameters without default count as
    arrays; `*tensors: Array` takes any number. All others are options, passed on as they are. It returns
    `(y, backward)`, or `(y, None)` if the output has no gradient. `y` may be a tuple (or a named tuple) of
    arrays. `backward(dy, needs)` returns one gradient or None per tensor parameter, in order; `needs` says
    which are wanted. With several outputs its first argument is a tuple with one gradient, or None where
    none arrived, per output.

    The closure may return `dy` itself or a view of it, but must write neither into `dy` nor into an array
    that it captured, unless it is marked by `reusing` and its `Reuse` allows that.

    Example:
        >>> @op
        ... def cube(x):
        ...     def backward(dy, needs):
        ...         return (3 * x * x * dy,)
        ...
        ...     return x**3, backward
        >>> x = Tensor(np.array([2.0]), requires_grad=True)
        >>> cube(x).backward()
        >>> x.grad
        tensor([12.], dtype=float64)
        >>> _ = OPS.pop("cube")
    """
    signature = Signature(function)
    if signature.variadic or not signature.leading or signature.width > 2:
        call, assign = _general(function, signature)
    elif signature.width == 2:
        call, assign = _binary(function, signature)
    else:
        call, assign = _unary(function, signature)
    functools.update_wrapper(call, function)
    OPS[signature.name] = call
    SLOTS[signature.name] = Slot(function, assign)
    return call


def varying_op(function: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """`op` for an operation that has one output or several, depending on an option: only its type is another."""
    operation: Callable[..., Any] = op(function)
    return operation
