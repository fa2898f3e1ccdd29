"""Pooling: maximum and average, over sliding windows or adaptive bins, in one to three dimensions.

Sources: LeCun et al. 1998 (subsampling); He et al. 2014 (bins of any size). Names, arguments and results are
PyTorch's.
"""

from __future__ import annotations

from .. import _C
from ..autograd import Array, op, varying_op
from ..autograd.pending import CONSUMERS
from .layout import to_nhwc
from .max_windows import Pooled, PooledMaybeIndices, join_windows, max_windows, public, relu_max_windows
from .window import (
    ADAPTIVE,
    Ints,
    OutputSize,
    Sizes,
    Window,
    adaptive_size,
    hashable,
    images,
    sliding_windows,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "relu_max_pool2d",
]


def _avg_pool(
    x: Array, out: Sizes, window: Window, batched: bool, include_pad: bool = True, divisor: int = 0
) -> Pooled:
    """Average of each window of the channels-last `x`."""
    y: Array = _C.empty((x.shape[0], *out, x.shape[-1]), x.dtype)
    _C.pool_avg_fwd(x, y, window, include_pad, divisor)
    shape, dtype = x.shape, x.dtype

    def backward(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        dx: Array = _C.empty(shape, dtype)
        _C.pool_avg_bwd(to_nhwc(dy if batched else dy[None]), dx, window, include_pad, divisor)
        return (public(dx, batched),)

    return public(y, batched), backward


def _sliding_max(
    name: str,
    axes: int,
    input: Array,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
    return_indices: bool,
) -> PooledMaybeIndices:
    x = images(name, input, axes)
    out, window = sliding_windows(
        name,
        x.shape[1:-1],
        hashable(kernel_size),
        hashable(stride),
        hashable(padding),
        hashable(dilation),
        ceil_mode,
    )
    return max_windows(x, out, window, input.ndim == axes + 2, return_indices)


def _sliding_avg(
    name: str,
    axes: int,
    input: Array,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Pooled:
    if divisor_override == 0:
        raise ValueError(f"{name}: expected divisor_override to be None or not 0, got 0")
    x = images(name, input, axes)
    out, window = sliding_windows(
        name, x.shape[1:-1], hashable(kernel_size), hashable(stride), hashable(padding), 1, ceil_mode
    )
    return _avg_pool(x, out, window, input.ndim == axes + 2, count_include_pad, divisor_override or 0)


def _adaptive_max(
    name: str, axes: int, input: Array, output_size: OutputSize, return_indices: bool
) -> PooledMaybeIndices:
    x = images(name, input, axes)
    out = adaptive_size(name, x.shape[1:-1], output_size)
    return max_windows(x, out, ADAPTIVE, input.ndim == axes + 2, return_indices)


def _adaptive_avg(name: str, axes: int, input: Array, output_size: OutputSize) -> Pooled:
    x = images(name, input, axes)
    return _avg_pool(x, adaptive_size(name, x.shape[1:-1], output_size), ADAPTIVE, input.ndim == axes + 2)


@varying_op
def max_pool1d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> PooledMaybeIndices:
    """Maximum of every window: `y[n, c, o] = max x[n, c, o stride - padding + t dilation]`, t < kernel_size.

    Padding never wins; of equal values the first one gets the gradient; a NaN in a window makes its maximum
    NaN.

    Args:
        input: the images.
        kernel_size: size of the window, an int or one per spatial dimension.
        stride: step between windows; None for `kernel_size`.
        padding: positions added on both sides, at most half the window.
        dilation: distance between the taps of a window.
        ceil_mode: round the output size up: keep a last window that overhangs the end.
        return_indices: return `(y, indices)` with the flat position of each maximum in its plane, int64.

    Shape:
        input (N, C, L) or (C, L) -> (N, C, L') or (C, L'),
        L' = floor((L + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1

    Returns:
        the maxima, or with `return_indices` them and their positions.

    Raises:
        ValueError: if the input has another rank, a size is not positive, padding is above half the window,
            or no window fits.
        TypeError: if the input is not float32 or float64.

    Example:
        >>> max_pool1d(np.array([[1.0, 5.0, 2.0, 3.0]]), 2).tolist()
        [[5.0, 3.0]]
    """
    return _sliding_max("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


CONSUMERS["max_pool2d"] = join_windows


@varying_op
def max_pool2d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> PooledMaybeIndices:
    """Maximum of every window of a 2-D image; arguments, result and errors as `max_pool1d`, per dimension.

    Shape:
        input (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')
    """
    return _sliding_max("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@op
def relu_max_pool2d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> Pooled:
    """`max_pool2d(relu(input))` in one pass each way: the maximum of 0 and every window; arguments as `max_pool2d`.

    Shape:
        input (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')
    """
    name = "relu_max_pool2d"
    x = images(name, input, 2)
    sizes = (hashable(each) for each in (kernel_size, stride, padding, dilation))
    out, window = sliding_windows(name, x.shape[1:-1], *sizes, ceil_mode)
    return relu_max_windows(x, out, window, input.ndim == 4)


@varying_op
def max_pool3d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> PooledMaybeIndices:
    """Maximum of every window of a 3-D image; arguments, result and errors as `max_pool1d`, per dimension.

    Shape:
        input (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')
    """
    return _sliding_max("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@op
def avg_pool1d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Pooled:
    """Average of every window; zeros in the padding.

    The sum is divided by the number of taps in the image and its padding or, without `count_include_pad`, in
    the image alone; positions beyond the padding, which `ceil_mode` lets windows reach, never count.

    Args:
        input: the images.
        kernel_size: size of the window, an int or one per spatial dimension.
        stride: step between windows; None for `kernel_size`.
        padding: zeros added on both sides, at most half the window.
        ceil_mode: round the output size up: keep a last window that overhangs the end.
        count_include_pad: count the padding in the divisor.

    Shape:
        input (N, C, L) or (C, L) -> (N, C, L') or (C, L'),
        L' = floor((L + 2 padding - kernel_size) / stride) + 1

    Raises:
        ValueError: if the input has another rank, a size is not positive, padding is above half the window,
            or no window fits.
        TypeError: if the input is not float32 or float64.

    Example:
        >>> avg_pool1d(np.array([[1.0, 5.0, 2.0, 3.0]]), 2).tolist()
        [[3.0, 2.5]]
    """
    return _sliding_avg("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@op
def avg_pool2d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Pooled:
    """Average of every window of a 2-D image; arguments, result and errors as `avg_pool1d`, per dimension.

    `divisor_override` divides every window's sum instead of the number of taps.

    Shape:
        input (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')
    """
    return _sliding_avg(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@op
def avg_pool3d(
    input: Array,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Pooled:
    """Average of every window of a 3-D image; arguments, result and errors as `avg_pool1d`, per dimension.

    `divisor_override` divides every window's sum instead of the number of taps.

    Shape:
        input (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')
    """
    return _sliding_avg(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@op
def adaptive_avg_pool1d(input: Array, output_size: OutputSize) -> Pooled:
    """Average over `output_size` bins; `output_size=1` is global average pooling.

    Bin i is `[floor(i L / L'), ceil((i + 1) L / L'))`, so bins may overlap by one.

    Args:
        input: the images.
        output_size: size of the output, an int or one per spatial dimension; None keeps a dimension as it is.

    Shape:
        input (N, C, L) or (C, L) -> (N, C, output_size) or (C, output_size)

    Raises:
        ValueError: if the input has another rank or output_size does not fit it.
        TypeError: if the input is not float32 or float64.

    Example:
        >>> adaptive_avg_pool1d(np.array([[1.0, 2.0, 3.0, 4.0]]), 2).tolist()
        [[1.5, 3.5]]
    """
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


@op
def adaptive_avg_pool2d(input: Array, output_size: OutputSize) -> Pooled:
    """Average over the bins of `adaptive_avg_pool1d` along each dimension of a 2-D image.

    Shape:
        input (N, C, H, W) or (C, H, W) -> (N, C, *output_size) or (C, *output_size)
    """
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


@op
def adaptive_avg_pool3d(input: Array, output_size: OutputSize) -> Pooled:
    """Average over the bins of `adaptive_avg_pool1d` along each dimension of a 3-D image.

    Shape:
        input (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size) or (C, *output_size)
    """
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


@varying_op
def adaptive_max_pool1d(input: Array, output_size: OutputSize, return_indices: bool = False) -> PooledMaybeIndices:
    """Maximum over the bins of `adaptive_avg_pool1d`.

    Args:
        input: the images.
        output_size: size of the output, an int or one per spatial dimension; None keeps a dimension as it is.
        return_indices: return `(y, indices)` with the flat position of each maximum in its plane, int64.

    Shape:
        input (N, C, L) or (C, L) -> (N, C, output_size) or (C, output_size)

    Raises:
        ValueError: if the input has another rank or output_size does not fit it.
        TypeError: if the input is not float32 or float64.

    Example:
        >>> adaptive_max_pool1d(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), 2).tolist()
        [[3.0, 5.0]]
    """
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


@varying_op
def adaptive_max_pool2d(input: Array, output_size: OutputSize, return_indices: bool = False) -> PooledMaybeIndices:
    """Maximum over the bins of `adaptive_avg_pool1d` along each dimension of a 2-D image.

    Shape:
        input (N, C, H, W) or (C, H, W) -> (N, C, *output_size) or (C, *output_size)
    """
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


@varying_op
def adaptive_max_pool3d(input: Array, output_size: OutputSize, return_indices: bool = False) -> PooledMaybeIndices:
    """Maximum over the bins of `adaptive_avg_pool1d` along each dimension of a 3-D image.

    Shape:
        input (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size) or (C, *output_size)
    """
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)
