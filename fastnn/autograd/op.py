"""The `op` decorator: how a function on arrays becomes a differentiable operation on Tensors.

An operation is one function. It gets ndarrays, checks their shapes, computes, and returns its output with a
closure that maps the gradient of the output to the gradients of the inputs:

    @op
    def mul(input: Operand, other: Operand):
        a, b = match("mul", input, other)

        def backward(dy, needs):
            return unbroadcast(dy * b, a) if needs[0] else None, ...

        return a * b, backward

Whatever the closure captures is what the tape keeps until the backward pass has run, and no more.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from .dtype import SUPPORTED, Array, Operand, scalar_dtype
from .engine import Backward, Edge, Node, Output, Saved
from .methods import OPS
from .mode import MODE
from .tensor import VIEWS, Tensor, wrap

_ndarray = np.ndarray
_OPTION, _ARRAY, _OPERAND = range(3)


class _Signature:
    """Which parameters of an operation are tensors: worked out once, when the operation is defined.

    A parameter is a tensor if it is annotated `Array`, `Operand` or `np.ndarray` (`| None` allowed), or if
    it has neither annotation nor default and no option comes before it. `*tensors` makes the operation
    variadic.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self.name = function.__name__
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.names = [p.name for p in positional]
        self.defaults = [p.default for p in positional]
        self.kinds: list[int] = []
        leading = True
        for p in positional:
            kind = _kind(p.annotation, leading and p.default is p.empty)
            leading = leading and kind != _OPTION
            self.kinds.append(kind)
        self.positions = [i for i, kind in enumerate(self.kinds) if kind != _OPTION]
        self.tensor_names = frozenset(self.names[i] for i in self.positions)
        if not self.variadic and not self.positions:
            raise TypeError(f"op '{self.name}': no parameter is a tensor; annotate the tensors as Array")

    def positional(self, args: Sequence[Any], options: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Move tensors that were passed by keyword, and what stands before them, among the positional ones."""
        moved, rest = list(args), dict(options)
        last = max(i for i in self.positions if self.names[i] in rest)
        for i in range(len(moved), last + 1):
            if self.names[i] in rest:
                moved.append(rest.pop(self.names[i]))
            elif self.defaults[i] is inspect.Parameter.empty:
                raise TypeError(f"{self.name}: missing argument '{self.names[i]}'")
            else:
                moved.append(self.defaults[i])
        return moved, rest


def _kind(annotation: Any, bare_is_tensor: bool) -> int:
    """What a parameter's annotation says it is."""
    if annotation is inspect.Parameter.empty:
        return _ARRAY if bare_is_tensor else _OPTION
    if not isinstance(annotation, str):
        if annotation == Operand:
            return _OPERAND
        annotation = getattr(annotation, "__name__", None) or str(annotation)
    parts = {part.strip().split("[")[0].split(".")[-1] for part in annotation.split("|")}
    if "Operand" in parts:
        return _OPERAND
    return _ARRAY if parts & {"Array", "ndarray", "NDArray"} else _OPTION


def _foreign(value: Any, kind: int, name: str, parameter: str) -> Any:
    """An argument that is neither Tensor nor plain ndarray, made fit for an operation or refused."""
    if isinstance(value, np.generic):
        value = value.item() if kind == _OPERAND else np.asarray(value)
    if isinstance(value, np.ndarray):
        if value.dtype not in SUPPORTED:
            raise TypeError(f"{name}: dtype {value.dtype} of '{parameter}' is not supported")
        return np.asarray(value)
    if kind == _OPERAND and isinstance(value, bool | int | float):
        return value
    if value is None:
        return None
    wanted = "a Tensor, an ndarray or a number" if kind == _OPERAND else "a Tensor or an ndarray"
    raise TypeError(f"{name}: expected '{parameter}' to be {wanted}, got {type(value).__name__}")


def _saved(backward: Backward, tensors: Sequence[Any], output: Tensor | None) -> Saved | None:
    """Version counters of the Tensors whose memory the closure captured, as they stand now."""
    cells = backward.__closure__  # type: ignore[attr-defined]
    if cells is None:
        return None
    saved: Saved | None = None
    for cell in cells:
        content = cell.cell_contents
        kind = type(content)
        if kind is _ndarray:
            captured: Sequence[Any] = (content,)
        elif kind is tuple or kind is list:
            captured = content
        else:
            continue
        for array in captured:
            if type(array) is not _ndarray:
                continue
            for tensor in (*tensors, output):
                if isinstance(tensor, Tensor) and _same_memory(array, tensor.data):
                    if saved is None:
                        saved = []
                    saved.append((tensor._version, tensor._version[0]))
                    break
    return saved


def _same_memory(array: Array, data: Array) -> bool:
    """Whether one is, or is a view of, the memory of the other."""
    base = array.base
    return array is data or (base is not None and (base is data or base is data.base)) or data.base is array


def _wrap_output(y: Array, tensors: Sequence[Any]) -> Tensor:
    """A Tensor of an operation's output; one that is a view of an input shares its version counter."""
    if type(y) is not _ndarray:
        y = np.asarray(y)
    out = wrap(y)
    base = y.base
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            data = tensor.data
            if y is data or (base is not None and (base is data or base is data.base)):
                out._version = tensor._version
                out._version[VIEWS] += 1
                break
    return out


def _record(
    signature: _Signature, tensors: Sequence[Any], backward: Backward, outputs: Tensor | list[Tensor]
) -> None:
    """Put the operation on the tape."""
    edges: list[Edge] = [
        (t if t._edge is None else t._edge) if isinstance(t, Tensor) and t.requires_grad else None
        for t in tensors
    ]
    if not signature.variadic:
        edges.extend([None] * (len(signature.positions) - len(edges)))
    if type(outputs) is list:
        node = Node(signature.name, backward, edges, None, [t.data.shape for t in outputs])
        saved = [entry for t in outputs for entry in _saved(backward, tensors, t) or ()]
        node.saved = saved or None
        for index, t in enumerate(outputs):
            if t.data.dtype.kind == "f":
                t._edge = Output(node, index)
                t.requires_grad = True
    else:
        out: Tensor = outputs  # type: ignore[assignment]
        saved_one = _saved(backward, tensors, out)
        out._edge = Node(signature.name, backward, edges, saved_one, out.data.shape)
        out.requires_grad = True


@overload
def op(function: Callable[..., tuple[Array, Backward | None]]) -> Callable[..., Tensor]: ...


@overload
def op(
    function: Callable[..., tuple[tuple[Array, ...], Backward | None]],
) -> Callable[..., tuple[Tensor, ...]]: ...


@overload
def op(
    function: Callable[..., tuple[Array | tuple[Array, ...], Backward | None]],
) -> Callable[..., Any]: ...


def op(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function on arrays a differentiable operation on Tensors, and register its name in `OPS`.

    The function's tensor parameters are those annotated `Array` (an ndarray; `Array | None` if optional) or
    `Operand` (an ndarray or a Python number); unannotated leading parameters without default count as
    arrays; `*tensors: Array` takes any number. All others are options, passed on as they are. It returns
    `(y, backward)`, or `(y, None)` if the output has no gradient. `y` may be a tuple (or a named tuple) of
    arrays. `backward(dy, needs)` returns one gradient or None per tensor parameter, in order; `needs` says
    which are wanted. With several outputs its first argument is a tuple with one gradient, or None where
    none arrived, per output.

    A closure may return `dy` itself or a view of it, but must not write into `dy`, nor into a captured array.

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
    signature = _Signature(function)
    name, kinds, keywords = signature.name, tuple(signature.kinds), signature.tensor_names
    positions, variadic = tuple(signature.positions), signature.variadic
    simple = positions == tuple(range(len(positions))) and not variadic

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if options and not keywords.isdisjoint(options):
            args, options = signature.positional(args, options)  # type: ignore[assignment]
        arrays = []
        wanted = False
        for i, value in enumerate(args):
            if isinstance(value, Tensor):
                arrays.append(value.data)
                if value.requires_grad:
                    wanted = True
            elif variadic:
                arrays.append(_foreign(value, _ARRAY, name, f"tensors[{i}]"))
            elif i < len(kinds) and kinds[i]:
                arrays.append(_foreign(value, kinds[i], name, signature.names[i]))
            else:
                arrays.append(value)
        y, backward = function(*arrays, **options)
        tensors = args
        if not simple and not variadic:
            tensors = tuple([args[i] for i in positions if i < len(args)])
        if isinstance(y, tuple):
            outputs = [_wrap_output(each, tensors) for each in y]
            if wanted and backward is not None and MODE.recording:
                _record(signature, tensors, backward, outputs)
            return y._make(outputs) if hasattr(y, "_make") else tuple(outputs)
        out = _wrap_output(y, tensors)
        if wanted and backward is not None and MODE.recording:
            _record(signature, tensors[: len(positions)] if simple else tensors, backward, out)
        return out

    OPS[name] = call
    return call
