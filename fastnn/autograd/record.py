"""Putting an operation on the tape: its outputs as Tensors, its node, and the versions of the tensors involved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .dtype import Array
from .engine import Backward, Edge, Node, Output
from .mode import MODE
from .saved import Version
from .signature import Signature
from .tensor import Tensor, wrap

_ndarray = np.ndarray


def versions_of(tensors: Iterable[Any]) -> list[Version]:
    """The versions of those that are Tensors, as they stand now."""
    versions: list[Version] = []
    for tensor in tensors:
        if isinstance(tensor, Tensor):
            array, counter = tensor._array, tensor._counter[0]
            versions.append((counter, counter[0], id(array), id(array.base)))
    return versions


def shares(array: Array, data: Array) -> bool:
    """Whether an array is the memory of `data` or a view of it, or the other way round."""
    base = array.base
    return array is data or data.base is array or (base is not None and (base is data or base is data.base))


def wrap_output(y: Any, tensors: Sequence[Any]) -> Tensor:
    """An operation's output as a Tensor; one that is a view of an input shares its version counter."""
    y = y if type(y) is _ndarray else np.asarray(y)
    out = wrap(y)
    for tensor in tensors:
        if isinstance(tensor, Tensor) and (y is tensor._array or (y.base is not None and shares(y, tensor._array))):
            out._version = tensor._version
            break
    return out


def _record_several(
    signature: Signature, tensors: Sequence[Any], backward: Backward, outputs: Sequence[Tensor]
) -> None:
    """Put an operation with several outputs on the tape."""
    edges: list[Edge] = [
        tensor._edge or tensor if isinstance(tensor, Tensor) and tensor.requires_grad else None for tensor in tensors
    ]
    if len(edges) < signature.width:
        edges.extend([None] * (signature.width - len(edges)))
    arrays = [output._array for output in outputs]
    versions = versions_of((*tensors, *outputs))
    node = Node(signature.name, backward, edges, versions, [y.shape for y in arrays], [y.dtype for y in arrays])
    for index, output in enumerate(outputs):
        if arrays[index].dtype.kind == "f":
            output._edge = Output(node, index)
            output.requires_grad = True


def finish(signature: Signature, tensors: Sequence[Any], y: Any, backward: Backward | None, wanted: bool) -> Any:
    """What an operation returns to its caller: its outputs as Tensors, on the tape if they are to be."""
    recorded = wanted and backward is not None and MODE.recording
    if isinstance(y, tuple):
        outputs = [wrap_output(each, tensors) for each in y]
        if recorded:
            _record_several(signature, tensors, backward, outputs)  # type: ignore[arg-type]
        return y._make(outputs) if hasattr(y, "_make") else tuple(outputs)
    if not recorded:
        return wrap_output(y, tensors)
    return _record(signature, tensors, y if type(y) is _ndarray else np.asarray(y), backward)  # type: ignore[arg-type]


def _record(signature: Signature, tensors: Sequence[Any], y: Array, backward: Backward) -> Tensor:
    """An operation's output as a Tensor on the tape: `wrap_output`, `versions_of` and the edges in one loop."""
    out, base = wrap(y), y.base
    edges: list[Edge] = []
    versions: list[Version] = []
    viewed = False
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            edges.append(None)
            continue
        array = tensor._array
        below, counter = array.base, tensor._counter[0]
        if not viewed and (y is array or (base is not None and (base is array or base is below or below is y))):
            out._version = tensor._version
            viewed = True
        versions.append((counter, counter[0], id(array), id(below)))
        edges.append(tensor._edge or tensor if tensor.requires_grad else None)
    if len(edges) < signature.width:
        edges.extend([None] * (signature.width - len(edges)))
    counter = out._version[0]
    versions.append((counter, counter[0], id(y), id(base)))
    out._edge = Node(signature.name, backward, edges, versions, y.shape, y.dtype)
    out.requires_grad = True
    return out
