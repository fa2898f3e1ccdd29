"""`compile`: a network that is called for its results only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from .. import _C
from ..autograd import Array, Tensor
from ..nn import Module
from ..nn.mode import evaluation_mode
from ..ops.conv import conv_algorithm
from .build import Layout, build, lay_out
from .fuse import fuse
from .graph import BatchNorm, Conv, Graph, Unsupported
from .lower import lower
from .trace import Operand, Trace, record

__all__ = ["Compiled", "compile"]

Key: TypeAlias = tuple[Any, ...]

_SHAPES_KEPT = 8
"""Programs that a compiled network keeps, each with filters of its own; the one made first goes first."""
_AGREEMENT = {"f": 1e-3, "d": 1e-9}
_AGREEMENT_BF16 = 0.1
"""Largest relative difference (L2) of a program's first result from the network's; rounding stays far below it."""


def compile(model: Module, *example: Tensor) -> Compiled:
    """The network in evaluation mode as a function that computes faster and records no gradients.

    For each shape of its inputs the network is called once while its operations are recorded. From then on a program in
    C computes the same: batch norm folded into the filters before it, activations and sums in the epilogue of the
    convolution, filters transformed beforehand, memory shared between layers. Filters are prepared anew when a
    parameter or a buffer has changed. Results differ from the network's by rounding where batch norm was folded.

    A network whose recording does not tell all, because it uses an operation that there is no step for or decides by
    the values that it computes, is called as it is; `Compiled.reason` says why.

    Args:
        model: the network, in any mode; it is computed in evaluation mode.
        example: inputs to compile for at once; without, the first call does that.

    Returns:
        A function of the network's inputs that gives new Tensors at each call.

    Example:
        >>> from fastnn import inference, models
        >>> net = inference.compile(models.create("digits", 10, 1, 8))
        >>> net(fastnn.zeros(1, 1, 8, 8)).shape
        (1, 10)
    """
    compiled = Compiled(model)
    if example:
        compiled.reason(*example)
    return compiled


class Compiled:
    """A network compiled by `compile`. Calls may come from several threads.

    Args:
        model: the network.
    """

    def __init__(self, model: Module) -> None:
        self.model = model
        self._lock = threading.Lock()
        self._entries: dict[Key, _Replay | str] = {}
        self._members = _members(model)

    def __call__(self, *inputs: Any) -> Any:
        """What the network gives in evaluation mode, without gradients."""
        entry = self._entry(inputs)
        if isinstance(entry, _Replay):
            return entry([each.data for each in inputs])
        with evaluation_mode(self.model):
            return self.model(*inputs)

    def reason(self, *inputs: Any) -> str | None:
        """Why the network is called as it is for inputs like these; None if a program computes it."""
        entry = self._entry(inputs)
        return entry if isinstance(entry, str) else None

    def steps(self, *inputs: Any) -> list[str]:
        """The steps of the program for inputs like these, in words; none if there is no program."""
        entry = self._entry(inputs)
        return [] if isinstance(entry, str) else entry.describe()

    def _entry(self, inputs: Sequence[Any]) -> _Replay | str:
        try:
            key = (_C.level(), conv_algorithm(), *[_key(each.data) for each in inputs])
        except AttributeError:
            return "an input is not a Tensor"
        if not _C.same_members(self._members):
            with self._lock:
                self._entries, self._members = {}, _members(self.model)
        entry = self._entries.get(key)
        if entry is None:
            with self._lock:
                entry = self._entries.get(key)
                if entry is None:
                    entry = _replay(self.model, inputs)
                    while len(self._entries) >= _SHAPES_KEPT:
                        del self._entries[next(iter(self._entries))]
                    self._entries[key] = entry
        return entry


def _key(array: Array) -> Key:
    return array.shape, array.strides, array.dtype.char


Members: TypeAlias = list[tuple[dict[str, Any], str, Any]]


def _members(model: Module) -> Members:
    """Every module, parameter and buffer with the attribute that it is."""
    return [
        (vars(module), name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, Module | Tensor)
    ]


def _replay(model: Module, inputs: Sequence[Tensor]) -> _Replay | str:
    """A program for inputs like these, or why there is none."""
    if not inputs or any(module._hooks for module in model.modules()):
        return "modules have hooks" if inputs else "no inputs"
    if not all(_C.is_dense(each.data) and each.data.size for each in inputs):
        return "an input is empty or has gaps in memory"
    if len({each.data.dtype for each in inputs}) > 1 or inputs[0].data.dtype.char not in "fd":
        return f"inputs of {', '.join([str(each.data.dtype) for each in inputs])}, not all float32 or all float64"
    try:
        with evaluation_mode(model):
            trace, result = record(model, inputs)
            key = _key_for_other_values(model, inputs)
        if trace.key() != key:
            return "what the network does depends on the values that it computes"
        graph = lower(trace)
    except Unsupported as failure:
        return str(failure)
    fuse(graph)
    _C.allocator_trim()  # while recording every result was kept
    replay = _Replay(graph, trace)
    return replay if replay.agrees(inputs, result) else "the program's result differs from the network's"


def _key_for_other_values(model: Module, inputs: Sequence[Tensor]) -> Key | None:
    """The key of a recording with other values in the inputs, None if the network does not take them."""
    try:
        return record(model, [_different(each) for each in inputs])[0].key()
    except Unsupported:
        raise
    except Exception:  # the network's own, about values that nobody gave it
        return None


def _different(input: Tensor) -> Tensor:
    """Other values that lie as the input does."""
    data = input.data
    other: Array = np.ndarray(data.shape, data.dtype, np.empty(data.size, data.dtype), 0, data.strides)
    np.negative(data[::-1] if data.ndim else data, out=other)
    return Tensor(other)


State: TypeAlias = list[tuple[Tensor, Array, int]]


class _Replay:
    """A program and what it takes to run it: arrays for its results, and weights that are up to date."""

    def __init__(self, graph: Graph, trace: Trace) -> None:
        self.graph = graph
        self.layout: Layout = lay_out(graph)
        self.algorithm = conv_algorithm()
        self.sources = _sources(graph)
        self.state: tuple[State, _C.Program] = self._built()
        self.rebuild = _rebuilder(trace.outcome)
        self.allocate = _allocator(graph, self.layout)

    def _built(self) -> tuple[State, _C.Program]:
        """The program and the state of the weights that it was made from."""
        state = [(tensor, tensor.data, tensor._version[0][0]) for tensor in self.sources]
        return state, build(self.graph, self.layout, self.algorithm)

    def __call__(self, inputs: list[Array]) -> Any:
        state, program = self.state
        if not _C.same_values(state):
            self.state = state, program = self._built()
        arrays, results = self.allocate()
        program.run((*inputs, *arrays))
        return self.rebuild(results)

    def agrees(self, inputs: Sequence[Tensor], expected: Any) -> bool:
        """Whether the program gives what the network gave, as far as that is finite."""
        limits = dict.fromkeys("fd", _AGREEMENT_BF16) if self.algorithm == _C.CONV_BF16 else _AGREEMENT
        pairs = zip(_tensors(self([each.data for each in inputs])), _tensors(expected), strict=True)
        for got, wanted in pairs:
            norm = float(np.linalg.norm(wanted.data))
            difference = float(np.linalg.norm(got.data - wanted.data))
            if np.isfinite(norm) and not difference <= limits[wanted.data.dtype.char] * norm:
                return False
        return True

    def describe(self) -> list[str]:
        """The steps in words."""
        lines = []
        for step in self.graph.steps:
            words = [type(step).__name__.lower(), f"{step.x.shape} -> {step.y.shape}"]
            if isinstance(step, Conv):
                words += [name for name in ("norm", "residual") if getattr(step, name) is not None]
                words += [] if step.activation is None else [step.activation.name]
            if isinstance(step, BatchNorm):
                words += ["residual"] * (step.residual is not None) + ["relu"] * step.relu
            lines.append(" ".join(words))
        return lines


def _sources(graph: Graph) -> list[Tensor]:
    """The parameters and buffers that the steps were given."""
    found: list[Tensor | None] = []
    for step in graph.steps:
        if isinstance(step, Conv):
            found += [step.weight, step.bias]
        norm = step.norm if isinstance(step, Conv | BatchNorm) else None
        if norm is not None:
            found += [norm.mean, norm.var, norm.weight, norm.bias]
    return list({id(tensor): tensor for tensor in found if tensor is not None}.values())


def _allocator(graph: Graph, layout: Layout) -> Callable[[], tuple[list[Array], list[Array]]]:
    """A function that gives new arrays for the output slots, and the results as views of them."""
    dtype, item = graph.dtype, graph.dtype.itemsize
    if len(layout.outputs) == len(graph.outputs) == 1 and graph.outputs[0].contiguous():
        shape = graph.outputs[0].shape
        if graph.outputs[0].size == layout.outputs[0].size:

            def one() -> tuple[list[Array], list[Array]]:
                arrays = [_C.empty(shape, dtype)]
                return arrays, arrays

            return one
    views = [
        (layout.outputs.index(view.buffer), view.shape, view.offset * item, tuple([s * item for s in view.strides]))
        for view in graph.outputs
    ]

    def several() -> tuple[list[Array], list[Array]]:
        arrays: list[Array] = [_C.empty((buffer.size,), dtype) for buffer in layout.outputs]
        return arrays, [np.ndarray(shape, dtype, arrays[i], offset, steps) for i, shape, offset, steps in views]

    return several


def _rebuilder(outcome: Any) -> Callable[[list[Array]], Any]:
    """A function that puts results in place of the operands of an outcome, in order."""
    if isinstance(outcome, Operand):
        return lambda results: Tensor(results[0])

    def put(nest: Any, results: list[Array]) -> Any:
        if isinstance(nest, Operand):
            return Tensor(results.pop(0))
        if isinstance(nest, dict):
            return {key: put(each, results) for key, each in nest.items()}
        return type(nest)([put(each, results) for each in nest])

    return lambda results: put(outcome, list(results))


def _tensors(nest: Any) -> list[Tensor]:
    """The Tensors in a nest of tuples, lists and dicts, in order."""
    if isinstance(nest, Tensor):
        return [nest]
    return [tensor for each in (nest.values() if isinstance(nest, dict) else nest) for tensor in _tensors(each)]
