"""Power-average (Lp) pooling over sliding windows, in one to three dimensions."""

from __future__ import annotations

import math

import numpy as np

from .. import _C
from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from .layout import from_nhwc, to_nhwc
from .pool import max_pool1d, max_pool2d, max_pool3d
from .unary import abs as magnitude
from .unary import neg
from .window import Ints, hashable, images, sliding_windows

__all__ = ["lp_pool1d", "lp_pool2d", "lp_pool3d"]

_MAX_POOL = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}


def _power(x: Array, p: float) -> Array:
    """x^p, by multiplications alone if p is a small whole number: NumPy's power takes ten times as long."""
    if p != int(p) or not 1 <= p <= 8:
        general: Array = np.power(x, x.dtype.type(p))
        return general
    result = x
    for bit in f"{int(p):b}"[1:]:  # from the second binary digit on: square, and multiply where it is 1
        result = result * result
        if bit == "1":
            result = result * x
    return result


@op
def _lp_pool(
    input: Array, p: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False, *, axes: int
) -> tuple[Array, Backward]:
    """The operation behind `lp_pool1d`, `lp_pool2d` and `lp_pool3d`, for finite p."""
    name = f"lp_pool{axes}d"
    if p == 0:
        raise ValueError(f"{name}: expected norm_type other than 0")
    x = images(name, input, axes)
    out, window = sliding_windows(name, x.shape[1:-1], hashable(kernel_size), hashable(stride), 0, 1, ceil_mode)
    taps, batched, kind = math.prod(window[0]), input.ndim == axes + 2, x.dtype.type
    total: Array = _C.empty((x.shape[0], *out, x.shape[-1]), x.dtype)
    with np.errstate(all="ignore"):
        _C.pool_avg_fwd(_power(x, p), total, window, True, 0)
        total *= taps
        y = np.sqrt(total) if p == 2 else np.power(total, kind(1 / p))

    def backward(dy: Array, needs: Needs) -> Grads:
        last = to_nhwc(dy if batched else dy[None])
        dx: Array = _C.empty(x.shape, x.dtype)
        with np.errstate(all="ignore"):
            slope = np.where(total == 0, 0, last * (taps * y / total))
            _C.pool_avg_bwd(slope, dx, window, True, 0)
            if p != 1:
                dx *= _power(x, p - 1)
        return (from_nhwc(dx) if batched else from_nhwc(dx)[0],)

    public = from_nhwc(y)
    return public if batched else public[0], backward


def _pooled(axes: int, input: Tensor, p: float, kernel_size: Ints, stride: Ints | None, ceil_mode: bool) -> Tensor:
    if not math.isinf(p):
        return _lp_pool(input, p, kernel_size, stride, ceil_mode, axes=axes)
    size, pool = magnitude(input), _MAX_POOL[axes]
    y: Tensor = pool(size if p > 0 else neg(size), kernel_size, stride, 0, 1, ceil_mode)
    return y if p > 0 else neg(y)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """Power average of every window: `(sum_t x_t^p)^(1/p)`.

    p = 1 is the sum, 2 the Euclidean norm, infinity the maximum of |x| and minus infinity the minimum. Where a sum is
    0, its gradient is 0. As in PyTorch a window that overhangs the end, which `ceil_mode` keeps, counts as if its
    missing elements had the mean power of those that it has; and x is not made positive first, so that an odd p may
    give negative sums and a p that is not whole wants x of at least 0.

    Args:
        input: the images, float32 or float64.
        norm_type: the exponent p, not 0.
        kernel_size: size of the window, an int or one per spatial dimension.
        stride: step between windows; None for `kernel_size`.
        ceil_mode: round the output size up: keep a last window that overhangs the end.

    Shape:
        input (N, C, L) or (C, L) -> (N, C, L') or (C, L'), L' = floor((L - kernel_size) / stride) + 1

    Raises:
        ValueError: if p is 0, the input has another rank, a size is not positive, or no window fits.
        TypeError: if the input is not float32 or float64.

    Source: Sermanet, Chintala, LeCun, "Convolutional neural networks applied to house numbers digit classification",
        ICPR 2012, arXiv:1204.3968.

    Example:
        >>> lp_pool1d(fastnn.tensor([[3.0, 4.0, 6.0, 8.0]]), 2, 2).tolist()
        [[5.0, 10.0]]
    """
    return _pooled(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """Power average of every window of a 2-D image; arguments, result and errors as `lp_pool1d`, per dimension.

    Shape:
        input (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W')
    """
    return _pooled(2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """Power average of every window of a 3-D image; arguments, result and errors as `lp_pool1d`, per dimension.

    Shape:
        input (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W')
    """
    return _pooled(3, input, norm_type, kernel_size, stride, ceil_mode)
