"""Putting an operation on the tape: its outputs as Tensors, its node, and the versions of the arrays it saved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from .dtype import Array
from .engine import Backward, Edge, Node, Output, Saved
from .mode import MODE
from .signature import Signature
from .tensor import Tensor, wrap

_ndarray = np.ndarray
_PLAIN = frozenset((bool, int, float, str, type(None)))
_SEQUENCES = (tuple, list)


def captured(closure: Sequence[Any], nested: bool = True) -> list[Array]:
    """The arrays in a closure's cells: by themselves, in tuples and lists, in functions that it calls."""
    found: list[Array] = []
    for cell in closure:
        try:
            content = cell.cell_contents
        except ValueError:  # the variable is set later, or was deleted
            continue
        kind = type(content)
        if kind is _ndarray:
            found.append(content)
        elif kind in _PLAIN:
            continue
        elif isinstance(content, _SEQUENCES):
            found.extend([each for each in content if type(each) is _ndarray])
        elif nested and kind is FunctionType and content.__closure__:
            found.extend(captured(content.__closure__, False))
    return found


def versions_of(tensors: Iterable[Any]) -> dict[int, tuple[list[int], int]]:
    """Version counters and their values now, by the id of the array and that of its base; first come, first served."""
    known: dict[int, tuple[list[int], int]] = {}
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            array, counter = tensor._array, tensor._counter[0]
            version = counter, counter[0]
            known.setdefault(id(array), version)
            base = array.base
            if base is not None:
                known.setdefault(id(base), version)
    return known


def saved_versions(closure: Sequence[Any], known: dict[int, tuple[list[int], int]]) -> Saved | None:
    """The versions of the memory that a closure captured: of arrays, views of them, and what they are views of."""
    saved: Saved = []
    for array in captured(closure):
        version = known.get(id(array)) or known.get(id(array.base))
        if version is not None:
            saved.append(version)
    return saved or None


def shares(array: Array, data: Array) -> bool:
    """Whether an array is the memory of `data` or a view of it, or the other way round."""
    base = array.base
    return array is data or data.base is array or (base is not None and (base is data or base is data.base))


def record(signature: Signature, tensors: Sequence[Any], backward: Backward, outputs: Tensor | list[Tensor]) -> None:
    """Put the operation on the tape."""
    edges: list[Edge] = [
        tensor._edge or tensor if isinstance(tensor, Tensor) and tensor.requires_grad else None for tensor in tensors
    ]
    if len(edges) < signature.width:
        edges.extend([None] * (signature.width - len(edges)))
    closure = backward.__closure__
    if isinstance(outputs, Tensor):
        saved = saved_versions(closure, versions_of((*tensors, outputs))) if closure else None
        outputs._edge = Node(signature.name, backward, edges, saved, outputs.data.shape, outputs.data.dtype)
        outputs.requires_grad = True
        return
    saved = saved_versions(closure, versions_of((*tensors, *outputs))) if closure else None
    shapes = [output.data.shape for output in outputs]
    node = Node(signature.name, backward, edges, saved, shapes, [output.data.dtype for output in outputs])
    for index, output in enumerate(outputs):
        if output.data.dtype.kind == "f":
            output._edge = Output(node, index)
            output.requires_grad = True


def wrap_output(y: Any, tensors: Sequence[Any]) -> Tensor:
    """An operation's output as a Tensor; one that is a view of an input shares its version counter."""
    y = y if type(y) is _ndarray else np.asarray(y)
    out = wrap(y)
    for tensor in tensors:
        if isinstance(tensor, Tensor) and (y is tensor._array or (y.base is not None and shares(y, tensor._array))):
            out._version = tensor._version
            break
    return out


def finish(signature: Signature, tensors: Sequence[Any], y: Any, backward: Backward | None, wanted: bool) -> Any:
    """What an operation returns to its caller: its outputs as Tensors, on the tape if they are to be."""
    if isinstance(y, tuple):
        outputs = [wrap_output(each, tensors) for each in y]
        if wanted and backward is not None and MODE.recording:
            record(signature, tensors, backward, outputs)
        return y._make(outputs) if hasattr(y, "_make") else tuple(outputs)
    out = wrap_output(y, tensors)
    if wanted and backward is not None and MODE.recording:
        record(signature, tensors, backward, out)
    return out
