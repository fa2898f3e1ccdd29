"""From a graph to a program: memory laid out, weights folded and prepared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from .. import _C
from ..autograd import Array
from .graph import Activate, BatchNorm, Binary, Buffer, Conv, Copy, Fill, Graph, Pool, Softmax, Step, View

__all__ = ["Layout", "build"]

Place: TypeAlias = tuple[int, int]

_ALIGNMENT = 64
_COLOURS = 16
_COLOUR_STEP = 256
"""Buffers begin at different offsets within a page: of equal offsets the cache and the store buffer keep few apart."""


@dataclass(frozen=True)
class Layout:
    """Where every buffer lies.

    Attributes:
        places: slot and offset in bytes of each buffer.
        memory: bytes of slot 0.
        outputs: the buffers of the slots that are written, in order.
    """

    places: dict[Buffer, Place]
    memory: int
    outputs: list[Buffer]


def lay_out(graph: Graph) -> Layout:
    """Places for all buffers: those in between share memory where they are not alive at the same time.

    Large ones are placed first, each at the lowest offset that is free for as long as the buffer lives.
    """
    places: dict[Buffer, Place] = {buffer: (1 + i, 0) for i, buffer in enumerate(graph.inputs)}
    outputs = list(dict.fromkeys(view.buffer for view in graph.outputs))
    places.update({buffer: (1 + len(graph.inputs) + i, 0) for i, buffer in enumerate(outputs)})
    lives: dict[Buffer, tuple[int, int]] = {}
    for at, step in enumerate(graph.steps):
        for view in (step.y, *step.reads()):
            if view.buffer not in places:
                lives[view.buffer] = (lives.get(view.buffer, (at, at))[0], at)
    placed: list[tuple[int, int, tuple[int, int]]] = []
    for number, buffer in enumerate(sorted(lives, key=lambda each: -each.size)):
        first, last = lives[buffer]
        size = buffer.size * graph.dtype.itemsize
        colour = number % _COLOURS * _COLOUR_STEP if size >= _COLOURS * _COLOUR_STEP else 0
        begin = colour
        for start, end, (born, dead) in sorted(placed):
            if born <= last and first <= dead and begin < end and start < begin + size:
                begin = -(-end // _ALIGNMENT) * _ALIGNMENT + colour
        placed.append((begin, begin + size, (first, last)))
        places[buffer] = (0, begin)
    return Layout(places, max([end for _, end, _ in placed], default=0), outputs)


def build(graph: Graph, layout: Layout, algorithm: int) -> _C.Program:
    """The program, with the weights as they are now.

    Args:
        graph: the network.
        layout: where its buffers lie.
        algorithm: how to convolve, a value of `_C.CONV_ALGORITHMS`.
    """
    builder = _Builder(graph, layout, algorithm)
    constants = [builder.constants_of(step) for step in graph.steps]
    item = graph.dtype.itemsize
    program = _C.Program(
        graph.dtype,
        len(graph.steps),
        layout.memory,
        tuple([buffer.size * item for buffer in graph.inputs]),
        tuple([buffer.size * item for buffer in layout.outputs]),
        tuple(builder.arrays),
    )
    for step, places in zip(graph.steps, constants, strict=True):
        builder.add(program, step, places)
    return program


class _Builder:
    """Constants in slots of their own, and the calls that add steps."""

    def __init__(self, graph: Graph, layout: Layout, algorithm: int) -> None:
        self.item = graph.dtype.itemsize
        self.dtype = graph.dtype
        self.layout = layout
        self.algorithm = algorithm
        self.first = 1 + len(graph.inputs) + len(layout.outputs)
        self.arrays: list[Array] = []

    def constant(self, array: Array | None) -> Place | None:
        """The place of an array that the program keeps."""
        if array is None:
            return None
        self.arrays.append(np.ascontiguousarray(array))
        return self.first + len(self.arrays) - 1, 0

    def place(self, view: View | None) -> Place | None:
        """The place of a view's first element."""
        if view is None:
            return None
        slot, offset = self.layout.places[view.buffer]
        return slot, offset + view.offset * self.item

    def constants_of(self, step: Step) -> dict[str, Place | None]:
        """The constants of a step, by the names of the arguments of its method of `Program`."""
        if isinstance(step, Conv):
            weight, bias = _folded(step)
            shapes = [np.broadcast_to(self.dtype.type(0), shape) for shape in (step.x_shape, step.y_shape)]
            geometry = (step.stride, step.padding, step.dilation, step.groups, self.algorithm)
            prepared = _C.conv_prepare(shapes[0], weight, shapes[1], *geometry)
            read = weight if prepared is None else None
            return {"w": self.constant(read), "bias": self.constant(bias), "prepared": self.constant(prepared)}
        if isinstance(step, BatchNorm):
            norm = step.norm
            deviation = np.sqrt(norm.var.data.astype(np.float64) + norm.eps)
            return {
                "mean": self.constant(norm.mean.data.astype(np.float64)),
                "rstd": self.constant(np.reciprocal(deviation)),
                "w": self.constant(None if norm.weight is None else norm.weight.data.copy()),
                "b": self.constant(None if norm.bias is None else norm.bias.data.copy()),
            }
        return {}

    def add(self, program: _C.Program, step: Step, constants: dict[str, Any]) -> None:
        """Add a step to the program."""
        x, y = self.place(step.x), self.place(step.y)
        match step:
            case Conv():
                program.conv(
                    x, step.x_shape, constants["w"], step.weight_shape, y, step.y_shape, step.stride, step.padding,
                    step.dilation, step.groups, self.algorithm, constants["prepared"], constants["bias"],
                    self.place(step.residual), -1 if step.activation is None else _code(step.activation.name),
                    (0.0, 0.0, 0.0) if step.activation is None else step.activation.parameters,
                )  # fmt: skip
            case BatchNorm():
                rows = step.x.size // step.channels
                residual = self.place(step.residual)
                program.norm(x, y, rows, step.channels, **constants, residual=residual, relu=step.relu)
            case Pool():
                program.pool(
                    step.maximum, x, step.x_shape, y, step.y_shape, step.window, step.include_pad, step.divisor
                )
            case Activate():
                program.activation(_code(step.activation.name), x, y, step.x.size, step.activation.parameters)
            case Binary():
                program.binary(_C.BINARIES[step.name], x, self.place(step.other), y, step.x.size)
            case Softmax():
                program.softmax(step.log, x, y, step.outer, step.classes, step.inner)
            case Copy():
                program.copy(x, y, *_copy_axes(step.x, step.y))
            case Fill():
                program.fill(y, step.y.size, step.value)
            case _:
                raise TypeError(f"build: there is no step {type(step).__name__}")


def _code(activation: str) -> int:
    return _C.ACTIVATIONS[activation]


def _folded(step: Conv) -> tuple[Array, Array | None]:
    """Filters and bias of a convolution with its batch norm in them, worked out in float64; (k, c, kd, kh, kw)."""
    weight, norm = step.weight.data, step.norm
    bias = None if step.bias is None else step.bias.data.copy()
    if norm is not None:
        scale = 1 / np.sqrt(norm.var.data.astype(np.float64) + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight.data
        shift = (0.0 if bias is None else bias) - norm.mean.data.astype(np.float64)
        shift = shift * scale + (0.0 if norm.bias is None else norm.bias.data)
        bias = shift.astype(weight.dtype)
        weight = (weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))).astype(weight.dtype)
    if step.columns is not None:
        moved = np.empty_like(weight, order="C")
        moved[:, step.columns] = weight
        weight = moved
    elif weight is step.weight.data:
        weight = weight.copy()
    return np.ascontiguousarray(weight).reshape(step.weight_shape), bias


def _copy_axes(x: View, y: View) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Sizes and steps of a copy, slowest dimension of the target first, neighbours that lie alike joined."""
    axes: list[list[int]] = []
    for axis in y.axes():
        size, apart, to = x.shape[axis], x.strides[axis], y.strides[axis]
        if size == 1 and axes:
            continue
        if axes and axes[-1][1] == size * apart and axes[-1][2] == size * to:
            axes[-1] = [axes[-1][0] * size, apart, to]
        else:
            axes.append([size, apart, to])
    sizes, steps, targets = zip(*axes or [[1, 0, 0]], strict=True)
    return sizes, steps, targets
