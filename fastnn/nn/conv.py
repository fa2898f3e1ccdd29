"""Convolution layers in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy.typing as npt

from ..autograd.tensor import Tensor
from ..random import Generator
from . import functional as F
from .linear import reset_affine
from .module import Module
from .parameter import allocate

Ints: TypeAlias = int | Sequence[int]
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def per_dimension(layer: str, name: str, value: Ints, dimensions: int) -> tuple[int, ...]:
    """`value` as one int per spatial dimension.

    Raises:
        ValueError: if it is a sequence of another length; the message names `layer` and `name`.
    """
    if isinstance(value, int):
        return (value,) * dimensions
    values = tuple(value)
    if len(values) != dimensions:
        raise ValueError(f"{layer}: expected {name} to be an int or {dimensions} ints, got {values}")
    return values


class _Conv(Module):
    """What convolutions of every dimension share; a subclass names the dimension and the operation."""

    _dimensions: int
    _convolve: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        layer, n = type(self).__name__, self._dimensions
        if groups < 1 or in_channels < 1 or out_channels < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{layer}: expected positive channels divisible by groups, "
                f"got {in_channels=}, {out_channels=}, {groups=}"
            )
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"{layer}: expected padding_mode in {_PADDING_MODES}, got {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_dimension(layer, "kernel_size", kernel_size, n)
        self.stride = per_dimension(layer, "stride", stride, n)
        self.dilation = per_dimension(layer, "dilation", dilation, n)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"{layer}: expected padding 'same', 'valid' or ints, got {padding!r}")
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(f"{layer}: padding='same' needs stride 1, got {self.stride}")
            self.padding: str | tuple[int, ...] = padding
        else:
            self.padding = per_dimension(layer, "padding", padding, n)
        for name in ("kernel_size", "stride", "dilation"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"{layer}: expected positive {name}, got {getattr(self, name)}")
        self.groups = groups
        self.padding_mode = padding_mode
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = allocate(layer, shape, device, dtype)
        self.bias = allocate(layer, (out_channels,), device, dtype) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew."""
        reset_affine(self.weight, self.bias, generator)

    def _margins(self) -> list[int]:
        """The padding as `pad` wants it: (before, after) per dimension, the last dimension first."""
        margins: list[int] = []
        for i in reversed(range(self._dimensions)):
            if self.padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                margins += [total // 2, total - total // 2]
            else:
                margins += [0, 0] if isinstance(self.padding, str) else [self.padding[i]] * 2
        return margins

    def forward(self, input: Tensor) -> Tensor:
        return self._with(input, self.weight)

    def _with(self, input: Tensor, weight: Tensor) -> Tensor:
        """The output for a weight that may be another one than the layer's own."""
        padding: str | tuple[int, ...] | int = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._margins(), mode=self.padding_mode), 0
        convolve = type(self)._convolve
        return convolve(input, weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if isinstance(self.padding, str) or any(self.padding):
            parts.append(f"padding={self.padding}")
        if any(d != 1 for d in self.dilation):
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


_DOC = """{n}-D convolution (cross-correlation, as in PyTorch): every output channel is a sum over a window.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: the window's size, an int or one per dimension.
        stride: the window's step.
        padding: points added on either side of every dimension; "valid" adds none, "same" (stride 1 only) as
            many as keep the size.
        dilation: the distance between the points of the window.
        groups: into how many independent convolutions the channels are split; `in_channels` makes it
            depthwise.
        bias: whether there is a bias.
        padding_mode: what the added points hold: "zeros", "reflect", "replicate" or "circular".
        device: None or "cpu".
        dtype: float32 (default) or float64.
        generator: where the initial values come from.

    Attributes:
        weight: ({weight}), from U(-b, b), b = 1 / √fan_in, as in PyTorch.
        bias: (out_channels,), from the same distribution, or None.

    Shape:
        ({before}) -> ({after}),
        each size s becoming (s + 2 padding - dilation (kernel - 1) - 1) // stride + 1.

    Raises:
        ValueError: if sizes are not positive, groups do not divide the channels, or padding makes no sense.
    """


def document(template: str, n: int, first: str, second: str) -> str:
    """A convolution layer's docstring in n dimensions; `first` and `second` are the channels of its weight's shape."""
    sizes = ("D", "H", "W")[3 - n :]
    return template.format(
        n=n,
        weight=", ".join([first, f"{second} / groups", *(f"k{s}" for s in sizes)]),
        before=", ".join(["N", "in_channels", *sizes]),
        after=", ".join(["N", "out_channels", *(f"{s}'" for s in sizes)]),
    )


def _document(n: int) -> str:
    return document(_DOC, n, "out_channels", "in_channels")


class Conv1d(_Conv):
    __doc__ = _document(1)
    _dimensions = 1
    _convolve = staticmethod(F.conv1d)


class Conv2d(_Conv):
    __doc__ = _document(2)
    _dimensions = 2
    _convolve = staticmethod(F.conv2d)


class Conv3d(_Conv):
    __doc__ = _document(3)
    _dimensions = 3
    _convolve = staticmethod(F.conv3d)
