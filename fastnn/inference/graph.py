"""What a traced network is made of: buffers, views of them, and the steps of csrc/program.h that connect views.

Every buffer is written once, by the steps that make it, and never changed afterwards; so steps can be joined and
moved as long as each comes after those that make what it reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from ..autograd import Tensor

__all__ = [
    "Activate", "Activation", "BatchNorm", "Binary", "Buffer", "Conv", "Copy", "Fill", "Graph", "Pool", "Softmax",
    "Statistics", "Step", "Unsupported", "View",
]  # fmt: skip

Sizes: TypeAlias = tuple[int, ...]


class Unsupported(Exception):
    """Why a network cannot be compiled; the message is for its author."""


class Buffer:
    """Memory of `size` elements: an input of the network, its output, or something in between.

    Attributes:
        size: its elements.
        argument: which input it is, None for one that steps write.
    """

    __slots__ = ("argument", "size")

    def __init__(self, size: int, argument: int | None = None) -> None:
        self.size = size
        self.argument = argument


@dataclass(frozen=True)
class View:
    """An array in a buffer: shape, and steps in elements, none of them negative."""

    buffer: Buffer
    shape: Sizes
    strides: Sizes
    offset: int = 0

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def contiguous(self) -> bool:
        """Whether the elements lie side by side, those of the last dimension first."""
        step = 1
        for size, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if size != 1 and stride != step:
                return False
            step *= size
        return True

    def transposed(self, axes: Sizes) -> View:
        """The dimensions in another order."""
        shape, strides = (tuple(each[a] for a in axes) for each in (self.shape, self.strides))
        return View(self.buffer, shape, strides, self.offset)

    def channels_last(self) -> View:
        """(N, C, *spatial) as (N, *spatial, C)."""
        return self.transposed((0, *range(2, len(self.shape)), 1))

    def batched(self) -> View:
        """With a batch dimension of one in front."""
        return View(self.buffer, (1, *self.shape), (self.size, *self.strides), self.offset)

    def axes(self) -> Sizes:
        """The dimensions from the slowest to the fastest."""
        return tuple(sorted(range(len(self.shape)), key=lambda i: (-self.strides[i], self.shape[i] != 1)))

    def dense(self) -> bool:
        """Whether the elements lie side by side, in whatever order."""
        return self.transposed(self.axes()).contiguous()

    def lies_like(self, other: View) -> bool:
        """Whether corresponding elements of two views of one shape lie at corresponding places of their memory."""
        return self.shape == other.shape and all(
            n == 1 or a == b for n, a, b in zip(self.shape, self.strides, other.strides, strict=True)
        )


@dataclass(frozen=True)
class Activation:
    """An entry of csrc/activations.def with its parameters."""

    name: str
    parameters: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Statistics:
    """What batch norm does to a channel: `(x - mean) / sqrt(var + eps) * weight + bias`."""

    mean: Tensor
    var: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float


@dataclass
class Step:
    """A call that reads `x` and writes `y`."""

    x: View
    y: View

    def reads(self) -> list[View]:
        """Every view that the step reads."""
        return [self.x]


@dataclass
class Conv(Step):
    """`y = activation(batch_norm(conv(x)) + residual)`; a linear layer is a convolution of single pixels.

    Shapes are those of csrc/shapes.h: (n, d, h, w, c), weights (k, c / groups, kd, kh, kw). `columns` says where
    the input features of a linear layer lie in x, if that is not in their order.
    """

    weight: Tensor
    bias: Tensor | None
    x_shape: Sizes
    weight_shape: Sizes
    y_shape: Sizes
    stride: Sizes = (1, 1, 1)
    padding: Sizes = (0, 0, 0)
    dilation: Sizes = (1, 1, 1)
    groups: int = 1
    norm: Statistics | None = None
    residual: View | None = None
    activation: Activation | None = None
    columns: np.ndarray[tuple[int], np.dtype[np.int64]] | None = field(default=None, compare=False)

    def reads(self) -> list[View]:
        return [self.x] if self.residual is None else [self.x, self.residual]


@dataclass
class BatchNorm(Step):
    """`y = [relu](batch_norm(x) + residual)` of (rows, channels)."""

    norm: Statistics
    channels: int
    residual: View | None = None
    relu: bool = False

    def reads(self) -> list[View]:
        return [self.x] if self.residual is None else [self.x, self.residual]


@dataclass
class Pool(Step):
    """Maximum or average of windows; shapes are (n, *spatial, c)."""

    maximum: bool
    x_shape: Sizes
    y_shape: Sizes
    window: tuple[Sizes, ...]
    include_pad: bool = True
    divisor: int = 0


@dataclass
class Activate(Step):
    """`y = activation(x)`, element by element as they lie."""

    activation: Activation


@dataclass
class Binary(Step):
    """`y = x op other` for arrays that lie alike; `name` is one of csrc/binaries.def."""

    name: str
    other: View

    def reads(self) -> list[View]:
        return [self.x, self.other]


@dataclass
class Softmax(Step):
    """Softmax, or its logarithm, along the middle axis of (outer, classes, inner)."""

    log: bool
    outer: int
    classes: int
    inner: int


@dataclass
class Copy(Step):
    """Element after element from one view to another of the same shape."""


@dataclass
class Fill(Step):
    """Every element of y the same value; reads nothing."""

    value: float

    def reads(self) -> list[View]:
        return []


@dataclass
class Graph:
    """A network for one shape of its inputs: the steps in order, and where its results then are.

    Attributes:
        dtype: of all arrays.
        inputs: one buffer for each input.
        steps: in order.
        outputs: the results.
    """

    dtype: np.dtype[np.floating[np.typing.NBitBase]]
    inputs: list[Buffer]
    steps: list[Step]
    outputs: list[View]

    def readers(self, buffer: Buffer) -> list[Step]:
        """The steps that read a buffer."""
        return [step for step in self.steps if any(view.buffer is buffer for view in step.reads())]

    def only_reader(self, step: Step) -> Step | None:
        """The one step that reads what `step` makes, if there is just one and the result is not an output."""
        if any(view.buffer is step.y.buffer for view in self.outputs):
            return None
        readers = self.readers(step.y.buffer)
        return readers[0] if len(readers) == 1 else None
