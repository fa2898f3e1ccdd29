"""im2col and its adjoint under PyTorch's names: windows of an image as columns (`unfold`), and back by sums (`fold`).

Each is one strided copy (or sum) for every tap of the window, which NumPy does at the speed of memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, op
from .conv import conv_output_size
from .reduction import need_real

__all__ = ["fold", "unfold"]

Ints: TypeAlias = int | Sequence[int]
_Pair: TypeAlias = tuple[int, int]


class _Windows(NamedTuple):
    """The windows over an image: their options and how many there are along each axis."""

    image: _Pair
    kernel: _Pair
    stride: _Pair
    padding: _Pair
    dilation: _Pair
    out: _Pair

    def taps(self) -> Iterator[tuple[int, int, slice, slice]]:
        """Each tap of the window, and where it stands in all windows at once: slices of the padded image."""
        for i, j in product(*map(range, self.kernel)):
            rows, columns = (
                slice(tap * d, tap * d + (o - 1) * s + 1, s)
                for tap, d, o, s in zip((i, j), self.dilation, self.out, self.stride, strict=True)
            )
            yield i, j, rows, columns

    def cut(self, x: Array) -> Array:
        """Every window of `x` (N, C, H, W) as a column: (N, C taps, windows)."""
        (top, left), (h, w) = self.padding, self.image
        padded = x
        if top or left:
            padded = np.zeros((*x.shape[:2], h + 2 * top, w + 2 * left), x.dtype)
            padded[:, :, top : top + h, left : left + w] = x
        columns = np.empty((*x.shape[:2], *self.kernel, *self.out), x.dtype)
        for i, j, down, across in self.taps():
            columns[:, :, i, j] = padded[:, :, down, across]
        return columns.reshape(x.shape[0], -1 if x.size else _taps(self) * x.shape[1], self.out[0] * self.out[1])

    def add(self, columns: Array, channels: int) -> Array:
        """The adjoint of `cut`: every column added back to where it came from."""
        (top, left), (h, w) = self.padding, self.image
        parts = columns.reshape(columns.shape[0], channels, *self.kernel, *self.out)
        padded = np.zeros((columns.shape[0], channels, h + 2 * top, w + 2 * left), columns.dtype)
        for i, j, down, across in self.taps():
            padded[:, :, down, across] += parts[:, :, i, j]
        return padded[:, :, top : top + h, left : left + w]


def _taps(windows: _Windows) -> int:
    return windows.kernel[0] * windows.kernel[1]


def _pair(name: str, argument: str, value: Ints, least: int) -> _Pair:
    given = (value,) if isinstance(value, int | np.integer) else tuple(value)
    both = given * (2 if len(given) == 1 else 1)
    if len(both) != 2 or min(both) < least:
        raise ValueError(f"{name}: expected {argument} to be an int or two of at least {least}, got {value!r}")
    return int(both[0]), int(both[1])


def _windows(
    name: str, image: tuple[int, ...], kernel_size: Ints, dilation: Ints, padding: Ints, stride: Ints
) -> _Windows:
    kernel, steps = _pair(name, "kernel_size", kernel_size, 1), _pair(name, "stride", stride, 1)
    border, spread = _pair(name, "padding", padding, 0), _pair(name, "dilation", dilation, 1)
    rows, columns = map(conv_output_size, image, kernel, steps, border, spread)
    if rows < 1 or columns < 1:
        raise ValueError(
            f"{name}: expected an image of at least one window, got spatial size {image} for kernel_size {kernel}, "
            f"padding {border}, dilation {spread}"
        )
    return _Windows((image[0], image[1]), kernel, steps, border, spread, (rows, columns))


@op
def unfold(
    input: Array, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> tuple[Array, Backward]:
    """im2col: every window of an image as a column, so that a convolution becomes a matrix product.

    Row `(c kH + r) kW + s` of column `i W_out + j` is `input[n, c, i stride + r dilation - padding, j ...]`, zero in
    the padding.

    Args:
        input: images, float32 or float64.
        kernel_size: size of the window, an int or two.
        dilation: distance between the taps of a window.
        padding: zeros around the image.
        stride: step between windows.

    Shape:
        input (N, C, H, W) or (C, H, W) -> (N, C kH kW, H_out W_out) or without N, the output sizes being those of
        a convolution.

    Raises:
        ValueError: if the input has another rank, an option is out of its range, or no window fits.
        TypeError: if `input` is not float32 or float64.

    Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing", 2006.

    Example:
        >>> unfold(fastnn.arange(6.0).reshape(1, 2, 3), (2, 2)).tolist()
        [[0.0, 1.0], [1.0, 2.0], [3.0, 4.0], [4.0, 5.0]]
    """
    need_real("unfold", input)
    if input.ndim not in (3, 4):
        raise ValueError(f"unfold: expected an input (N, C, H, W) or (C, H, W), got shape {input.shape}")
    x = input if input.ndim == 4 else input[None]
    windows = _windows("unfold", x.shape[2:], kernel_size, dilation, padding, stride)
    batched, channels = input.ndim == 4, x.shape[1]

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = windows.add(dy if batched else dy[None], channels)
        return (dx if batched else dx[0],)

    y = windows.cut(x)
    return y if batched else y[0], backward


@op
def fold(
    input: Array, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> tuple[Array, Backward]:
    """col2im: columns added back to where `unfold` with the same options takes them from.

    Where windows overlap, their values add up: `fold` is the adjoint of `unfold`, not its inverse. Dividing by
    `fold(unfold(ones))` undoes it.

    Args:
        input: columns, float32 or float64.
        output_size: size of the image, an int or two.
        kernel_size: size of the window, an int or two.
        dilation: distance between the taps of a window.
        padding: zeros that were around the image.
        stride: step between windows.

    Shape:
        input (N, C kH kW, windows) or (C kH kW, windows) -> (N, C, *output_size) or without N.

    Raises:
        ValueError: if the shape of the input does not belong to the options, or an option is out of its range.
        TypeError: if `input` is not float32 or float64.

    Example:
        >>> fold(fastnn.ones(2, 3), (1, 4), (1, 2)).tolist()
        [[[1.0, 2.0, 2.0, 1.0]]]
    """
    need_real("fold", input)
    if input.ndim not in (2, 3):
        raise ValueError(f"fold: expected columns (N, C taps, windows) or without N, got shape {input.shape}")
    windows = _windows("fold", _pair("fold", "output_size", output_size, 1), kernel_size, dilation, padding, stride)
    columns = input if input.ndim == 3 else input[None]
    count = windows.out[0] * windows.out[1]
    if columns.shape[1] % _taps(windows) or columns.shape[2] != count:
        raise ValueError(
            f"fold: expected a multiple of {_taps(windows)} rows and {count} columns for output_size {windows.image}, "
            f"got shape {input.shape}"
        )
    batched = input.ndim == 3

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = windows.cut(dy if batched else dy[None])
        return (dx if batched else dx[0],)

    y = windows.add(columns, columns.shape[1] // _taps(windows))
    return y if batched else y[0], backward
