"""Layers that cut images into windows and put windows back."""

from __future__ import annotations

from ..autograd.tensor import Tensor
from . import functional as F
from .conv import Ints
from .module import Module


class Unfold(Module):
    """im2col: every window of an image as a column; see `functional.unfold`.

    Args:
        kernel_size: the window's size, an int or two.
        dilation: the distance between the points of the window.
        padding: zeros around the image.
        stride: the window's step.

    Shape:
        (N, C, H, W) -> (N, C kH kW, windows)
    """

    def __init__(self, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> None:
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """col2im: columns added up to an image; see `functional.fold`.

    Args:
        output_size: the image's size, an int or two.
        kernel_size: the window's size, an int or two.
        dilation: the distance between the points of the window.
        padding: zeros that were around the image.
        stride: the window's step.

    Shape:
        (N, C kH kW, windows) -> (N, C, *output_size)
    """

    def __init__(
        self, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
