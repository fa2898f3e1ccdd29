"""Transposed convolution layers in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy.typing as npt

from ..autograd.tensor import Tensor
from ..ops.conv_transpose import conv_transpose_output_size
from ..random import Generator
from . import functional as F
from .conv import Ints, document, per_dimension
from .linear import reset_affine
from .module import Module
from .parameter import allocate


class _ConvTranspose(Module):
    """What transposed convolutions of every dimension share; a subclass names the dimension and the operation."""

    _dimensions: int
    _convolve: Callable[..., Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
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
        if padding_mode != "zeros":
            raise ValueError(f"{layer}: expected padding_mode 'zeros', the only one there is, got {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_dimension(layer, "kernel_size", kernel_size, n)
        self.stride = per_dimension(layer, "stride", stride, n)
        self.padding = per_dimension(layer, "padding", padding, n)
        self.output_padding = per_dimension(layer, "output_padding", output_padding, n)
        self.dilation = per_dimension(layer, "dilation", dilation, n)
        for name, least in (("kernel_size", 1), ("stride", 1), ("dilation", 1), ("padding", 0), ("output_padding", 0)):
            if min(getattr(self, name)) < least:
                raise ValueError(f"{layer}: expected {name} of at least {least}, got {getattr(self, name)}")
        self.groups = groups
        self.padding_mode = padding_mode
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self.weight = allocate(layer, shape, device, dtype)
        self.bias = allocate(layer, (out_channels,), device, dtype) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew."""
        reset_affine(self.weight, self.bias, generator)

    def _padding_for(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding with which the output has the spatial size that the caller wants."""
        n = self._dimensions
        wanted = tuple(output_size)[-n:]
        if len(output_size) not in (n, input.ndim):
            raise ValueError(
                f"{type(self).__name__}: expected output_size of {n} or {input.ndim} sizes, got {tuple(output_size)}"
            )
        sizes = zip(input.shape[-n:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = [conv_transpose_output_size(size, k, s, p, 0, d) for size, k, s, p, d in sizes]
        more = tuple(w - m for w, m in zip(wanted, least, strict=True))
        if any(not 0 <= m < max(s, d) for m, s, d in zip(more, self.stride, self.dilation, strict=True)):
            most = [m + max(s, d) - 1 for m, s, d in zip(least, self.stride, self.dilation, strict=True)]
            raise ValueError(
                f"{type(self).__name__}: expected output_size from {tuple(least)} to {tuple(most)}, got {wanted}"
            )
        return more

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """The transposed convolution; `output_size`, if given, takes the place of `output_padding`."""
        more = self.output_padding if output_size is None else self._padding_for(input, output_size)
        return type(self)._convolve(
            input, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if any(self.padding):
            parts.append(f"padding={self.padding}")
        if any(d != 1 for d in self.dilation):
            parts.append(f"dilation={self.dilation}")
        if any(self.output_padding):
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


_DOC = """{n}-D transposed convolution: the map by which a convolution's gradient goes back to its input, as a layer.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: the filter's size, an int or one per dimension.
        stride: the distance between the outputs of neighbouring inputs.
        padding: points cut off at either end of every dimension.
        output_padding: points added at the end of every dimension; below the stride or the dilation.
        groups: into how many independent parts the channels are split.
        bias: whether there is a bias.
        dilation: the distance between the points of the filter.
        padding_mode: "zeros".
        device: None or "cpu".
        dtype: float32 (default) or float64.
        generator: where the initial values come from.

    Attributes:
        weight: ({weight}), from U(-b, b), b = 1 / √(out_channels / groups · taps), as in PyTorch.
        bias: (out_channels,), from the same distribution, or None.

    Shape:
        ({before}) -> ({after}),
        each size s becoming (s - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.

    Raises:
        ValueError: if sizes are not positive, groups do not divide the channels, or paddings make no sense.

    Source: Zeiler et al., "Deconvolutional networks", CVPR 2010.
    """


def _document(n: int) -> str:
    return document(_DOC, n, "in_channels", "out_channels")


class ConvTranspose1d(_ConvTranspose):
    __doc__ = _document(1)
    _dimensions = 1
    _convolve = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    __doc__ = _document(2)
    _dimensions = 2
    _convolve = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    __doc__ = _document(3)
    _dimensions = 3
    _convolve = staticmethod(F.conv_transpose3d)
