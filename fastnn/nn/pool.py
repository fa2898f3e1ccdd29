"""Pooling layers: the maximum or the mean of windows, or of as many regions as the output has points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ..autograd.tensor import Tensor
from . import functional as F
from .conv import Ints, per_dimension
from .module import Module

OutputSize: TypeAlias = int | Sequence[int | None] | None


class _MaxPool(Module):
    """The largest value in each window; padding never wins.

    Args:
        kernel_size: the window's size, an int or one per dimension.
        stride: the window's step; None means `kernel_size`.
        padding: points added on either side, at most half the window.
        dilation: the distance between the points of the window.
        return_indices: also give where each maximum was, as flat indices into the input's positions.
        ceil_mode: keep a last window that reaches over the edge.

    Shape:
        (N, C, *sizes) -> (N, C, *sizes'), s' = (s + 2 padding - dilation (kernel - 1) - 1) // stride + 1.
    """

    _pool: Callable[..., Any]
    _dimensions: int

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode
        for name in ("kernel_size", "stride", "padding", "dilation"):
            per_dimension(type(self).__name__, name, getattr(self, name), self._dimensions)

    def forward(self, input: Tensor) -> Any:
        return type(self)._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    _dimensions = 1
    _pool = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    _dimensions = 2
    _pool = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    __doc__ = _MaxPool.__doc__
    _dimensions = 3
    _pool = staticmethod(F.max_pool3d)


class _AvgPool(Module):
    """The mean of each window.

    Args:
        kernel_size: the window's size, an int or one per dimension.
        stride: the window's step; None means `kernel_size`.
        padding: zeros added on either side, at most half the window.
        ceil_mode: keep a last window that reaches over the edge.
        count_include_pad: whether the added zeros count in the mean.
        divisor_override: divide the window's sum by this instead (not in one dimension).

    Shape:
        (N, C, *sizes) -> (N, C, *sizes'), s' = (s + 2 padding - kernel) // stride + 1.
    """

    _pool: Callable[..., Tensor]
    _dimensions: int

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override
        for name in ("kernel_size", "stride", "padding"):
            per_dimension(type(self).__name__, name, getattr(self, name), self._dimensions)

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._pool(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    __doc__ = _AvgPool.__doc__
    _dimensions = 1

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(
            per_dimension("AvgPool1d", "kernel_size", kernel_size, 1),
            None if stride is None else per_dimension("AvgPool1d", "stride", stride, 1),
            per_dimension("AvgPool1d", "padding", padding, 1),
            ceil_mode,
            count_include_pad,
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPool):
    __doc__ = _AvgPool.__doc__
    _dimensions = 2
    _pool = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    __doc__ = _AvgPool.__doc__
    _dimensions = 3
    _pool = staticmethod(F.avg_pool3d)


class _AdaptiveAvgPool(Module):
    """The mean of each of as many regions as the output has points.

    Along a dimension of size s, region i of n is [⌊i s / n⌋, ⌈(i + 1) s / n⌉).

    Args:
        output_size: the size of every output dimension, one int for all or one per dimension; None keeps
            the input's. 1 is global average pooling.

    Shape:
        (N, C, *sizes) -> (N, C, *output_size)
    """

    _pool: Callable[..., Tensor]

    def __init__(self, output_size: OutputSize) -> None:
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._pool(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    _pool = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    _pool = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    __doc__ = _AdaptiveAvgPool.__doc__
    _pool = staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(Module):
    """The maximum of each of as many regions as the output has points; the regions of `AdaptiveAvgPool2d`.

    Args:
        output_size: the size of every output dimension, one int for all or one per dimension; None keeps
            the input's.
        return_indices: also give where each maximum was, as flat indices into the input's positions.

    Shape:
        (N, C, *sizes) -> (N, C, *output_size)
    """

    _pool: Callable[..., Any]

    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        self.output_size = output_size
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return type(self)._pool(input, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    _pool = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    _pool = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    __doc__ = _AdaptiveMaxPool.__doc__
    _pool = staticmethod(F.adaptive_max_pool3d)
