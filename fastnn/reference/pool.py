"""Pooling over sliding windows in any number of dimensions: maximum, average and power mean.

Adaptive and global pooling are defined in `adaptive_pool` and can be had from here.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from ._typing import Array
from .adaptive_pool import adaptive_avg_pool_bwd as adaptive_avg_pool_bwd
from .adaptive_pool import adaptive_avg_pool_fwd as adaptive_avg_pool_fwd
from .adaptive_pool import adaptive_bins as adaptive_bins
from .adaptive_pool import adaptive_max_pool_fwd as adaptive_max_pool_fwd
from .adaptive_pool import global_avg_pool_bwd as global_avg_pool_bwd
from .adaptive_pool import global_avg_pool_fwd as global_avg_pool_fwd
from .adaptive_pool import global_max_pool_fwd as global_max_pool_fwd
from .window import (
    Ints,
    Pads,
    crop_spatial,
    gather_windows,
    out_shape,
    pad_spatial,
    per_axis,
    resolve_padding,
    scatter_windows,
)


def _geometry(
    op: str,
    spatial: Sequence[int],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> tuple[tuple[int, ...], Pads]:
    """The output size, and the padding with what ceil_mode overhangs added behind."""
    if any(2 * p > d * (k - 1) + 1 for k, p, d in zip(kernel, padding, dilation, strict=True)):
        raise ValueError(f"{op}: padding must be at most half the kernel, got kernel {kernel}, padding {padding}")
    pads = resolve_padding(padding, kernel, stride, dilation)
    out = out_shape(spatial, kernel, stride, pads, dilation, ceil_mode)
    axes = zip(spatial, out, kernel, stride, pads, dilation, strict=True)
    reach = tuple((before, (o - 1) * s + d * (k - 1) + 1 - n - before) for n, o, k, s, (before, _), d in axes)
    return out, tuple((before, max(after, 0)) for before, after in reach)


def _windows(
    x: Array,
    pads: Pads,
    fill: float,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    out: tuple[int, ...],
) -> Array:
    """The windows of the padded input with their taps on one last axis: (N, C, *out, taps)."""
    windows = gather_windows(pad_spatial(x, pads, fill), kernel, stride, dilation)
    windows = windows[(slice(None), slice(None), *(slice(o) for o in out))]
    return windows.reshape(*windows.shape[: 2 + len(out)], prod(kernel))


def max_pool_fwd(
    x: Array,
    kernel: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Array]:
    """Maximum over every window. Padding counts as minus infinity; of equal maxima the first one wins.

    Args:
        x: input.
        kernel: window size.
        stride: step between windows; by default the window size.
        padding: padding on both sides, at most half the window.
        dilation: distance between taps.
        ceil_mode: keep windows that overhang the end.

    Shape:
        x (N, C, *spatial) -> (N, C, *out), with `window.out_size`

    Returns:
        ``(y, argmax)``, ``argmax`` (int64, the shape of ``y``) being the position of each maximum in its
        flattened spatial plane, as PyTorch's ``return_indices`` gives it.

    Raises:
        ValueError: if the padding is too large or no window fits.

    Example:
        >>> y, argmax = max_pool_fwd(np.array([[[1.0, 5.0, 2.0, 3.0]]]), kernel=2)
        >>> y.tolist(), argmax.tolist()
        ([[[5.0, 3.0]]], [[[1, 3]]])
    """
    spatial = x.shape[2:]
    ndim = len(spatial)
    kernel, dilation, padding = per_axis(kernel, ndim), per_axis(dilation, ndim), per_axis(padding, ndim)
    stride = kernel if stride is None else per_axis(stride, ndim)
    out, pads = _geometry("max_pool_fwd", spatial, kernel, stride, padding, dilation, ceil_mode)
    windows = _windows(x, pads, -np.inf, kernel, stride, dilation, out)
    # The same windows over a plane that holds its own positions, -1 in the padding.
    plane = np.arange(prod(spatial)).reshape(1, 1, *spatial)
    positions = _windows(plane, pads, -1, kernel, stride, dilation, out)
    argmax = np.take_along_axis(positions, windows.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    # Where all inputs are -inf the first tap may be padding: take the first tap inside the image instead.
    first_inside = np.take_along_axis(positions, (positions >= 0).argmax(axis=-1)[..., None], axis=-1)[..., 0]
    return windows.max(axis=-1), np.where(argmax < 0, first_inside, argmax)


def max_pool_bwd(dy: Array, argmax: Array, x_shape: Sequence[int]) -> Array:
    """Gradient of every maximum pooling: each ``dy`` is added at the position that gave the maximum.

    Args:
        dy: gradient of the output.
        argmax: positions from the forward pass.
        x_shape: shape of the input.

    Shape:
        dy (N, C, *out), argmax (N, C, *out) -> (N, C, *spatial)

    Returns:
        ``dx``.
    """
    planes = prod(x_shape[:2])
    dx = np.zeros((planes, prod(x_shape[2:])), dy.dtype)
    cells = (planes, prod(dy.shape[2:]))
    np.add.at(dx, (np.arange(planes)[:, None], argmax.reshape(cells)), dy.reshape(cells))
    return dx.reshape(x_shape)


def relu_max_pool_fwd(
    x: Array, kernel: Ints, stride: Ints | None = None, padding: Ints = 0, dilation: Ints = 1, ceil_mode: bool = False
) -> Array:
    """Maximum of 0 and every window: `max_pool_fwd` of the ReLU of ``x``.

    Args:
        x: input.
        kernel: window size, as all sizes a number or one per spatial dimension.
        stride: step between windows; the kernel size by default.
        padding: rows and columns around the image that never win.
        dilation: distance between the taps of a window.
        ceil_mode: keep a last window that overhangs the end.

    Shape:
        x (N, C, *spatial) -> (N, C, *out_spatial)

    Raises:
        ValueError: as `max_pool_fwd`.
    """
    return np.maximum(max_pool_fwd(x, kernel, stride, padding, dilation, ceil_mode)[0], 0)


def relu_max_pool_bwd(dy: Array, y: Array, argmax: Array, x_shape: Sequence[int]) -> Array:
    """Gradient of `relu_max_pool_fwd`: that of `max_pool_fwd` where the output ``y`` is not 0.

    Args:
        dy: gradient of the output.
        y: output of the forward pass.
        argmax: positions of the maxima of x, from `max_pool_fwd`.
        x_shape: shape of the input.

    Shape:
        dy, y, argmax (N, C, *out_spatial) -> dx of shape x_shape
    """
    return max_pool_bwd(np.where(y == 0, 0, dy), argmax, x_shape)


def _divisor(
    x_shape: Sequence[int],
    out: tuple[int, ...],
    pads: Pads,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """What each window's sum is divided by, shape (1, 1, *out)."""
    if divisor_override is not None:
        if divisor_override == 0:
            raise ValueError("avg_pool: divisor_override must not be 0")
        return np.full((1, 1, *out), divisor_override)
    # Ones on what counts, zeros elsewhere; the overhang of ceil_mode never counts.
    counted = np.ones((1, 1, *x_shape[2:]), np.int64)
    if count_include_pad:
        asked = tuple((p, min(p, after)) for p, (_, after) in zip(padding, pads, strict=True))
        counted = pad_spatial(counted, asked, 1)
        pads = tuple((b - p, a - q) for (b, a), (p, q) in zip(pads, asked, strict=True))
    return _windows(counted, pads, 0, kernel, stride, (1,) * len(out), out).sum(axis=-1)


def avg_pool_fwd(
    x: Array,
    kernel: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Average over every window.

    The sum (zero in the padding) is divided by ``divisor_override`` if given; else by the number of taps
    inside the image and its padding, or with ``count_include_pad=False`` inside the image alone. Taps beyond
    the padding, which ``ceil_mode`` allows, never count.

    Args:
        x: input.
        kernel: window size.
        stride: step between windows; by default the window size.
        padding: padding on both sides, at most half the window.
        ceil_mode: keep windows that overhang the end.
        count_include_pad: count padding in the divisor.
        divisor_override: divisor for every window.

    Shape:
        x (N, C, *spatial) -> (N, C, *out), with `window.out_size`

    Returns:
        The output.

    Raises:
        ValueError: if the padding is too large, no window fits, or the divisor is 0.

    Example:
        >>> avg_pool_fwd(np.array([[[1.0, 3.0, 5.0]]]), kernel=2, stride=1).tolist()
        [[[2.0, 4.0]]]
    """
    ndim = x.ndim - 2
    kernel, padding = per_axis(kernel, ndim), per_axis(padding, ndim)
    stride = kernel if stride is None else per_axis(stride, ndim)
    ones = (1,) * ndim
    out, pads = _geometry("avg_pool_fwd", x.shape[2:], kernel, stride, padding, ones, ceil_mode)
    total = _windows(x, pads, 0, kernel, stride, ones, out).sum(axis=-1)
    divisor = _divisor(x.shape, out, pads, kernel, stride, padding, count_include_pad, divisor_override)
    return total / divisor.astype(x.dtype)


def avg_pool_bwd(
    dy: Array,
    x_shape: Sequence[int],
    kernel: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Array:
    """Gradient of `avg_pool_fwd`: ``dy``, divided as its window was, is added to each tap.

    Args:
        dy: gradient of the output.
        x_shape: shape of the input.
        kernel: as in the forward pass, like the rest.
        stride: stride.
        padding: padding.
        ceil_mode: rounding of the output size.
        count_include_pad: count padding in the divisor.
        divisor_override: divisor for every window.

    Shape:
        dy (N, C, *out) -> (N, C, *spatial)

    Returns:
        ``dx``.
    """
    spatial = tuple(x_shape[2:])
    ndim = len(spatial)
    kernel, padding = per_axis(kernel, ndim), per_axis(padding, ndim)
    stride = kernel if stride is None else per_axis(stride, ndim)
    ones = (1,) * ndim
    out, pads = _geometry("avg_pool_bwd", spatial, kernel, stride, padding, ones, ceil_mode)
    divisor = _divisor(x_shape, out, pads, kernel, stride, padding, count_include_pad, divisor_override)
    share = (dy / divisor.astype(dy.dtype)).reshape(*dy.shape, *ones)
    dwindows = np.broadcast_to(share, (*dy.shape, *kernel))
    padded = [n + before + after for n, (before, after) in zip(spatial, pads, strict=True)]
    return crop_spatial(scatter_windows(dwindows, padded, kernel, stride, ones), pads, spatial)


def lp_pool_fwd(x: Array, p: float, kernel: Ints, stride: Ints | None = None, ceil_mode: bool = False) -> Array:
    """Power pooling ``y = (Σ x^p)^(1/p)``; p = 1 is the sum, a large p approaches the maximum.

    Args:
        x: input, not negative unless ``p`` is an even integer.
        p: exponent, above 0.
        kernel: window size.
        stride: step between windows; by default the window size.
        ceil_mode: keep windows that overhang the end; as in PyTorch their sum is the mean over what they have, times
            the number of taps.

    Shape:
        x (N, C, *spatial) -> (N, C, *out)

    Returns:
        The output.

    Example:
        >>> lp_pool_fwd(np.array([[[3.0, 4.0]]]), 2, kernel=2).tolist()
        [[[5.0]]]
    """
    taps = prod(per_axis(kernel, x.ndim - 2))
    total = taps * avg_pool_fwd(x**p, kernel, stride, 0, ceil_mode)
    return np.asarray(total ** (1 / p))


def lp_pool_bwd(
    dy: Array, x: Array, p: float, kernel: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Array:
    """Gradient of `lp_pool_fwd`: ``dx = dy (x / y)^(p-1)`` per window, 0 where ``y`` is 0.

    Args:
        dy: gradient of the output.
        x: input of the forward pass.
        p: as in the forward pass, like the rest.
        kernel: window size.
        stride: stride.
        ceil_mode: rounding of the output size.

    Shape:
        dy (N, C, *out), x (N, C, *spatial) -> (N, C, *spatial)

    Returns:
        ``dx``.
    """
    y = lp_pool_fwd(x, p, kernel, stride, ceil_mode)
    scaled = np.divide(dy, y ** (p - 1), out=np.zeros_like(dy), where=y != 0)
    taps = prod(per_axis(kernel, x.ndim - 2))
    return taps * avg_pool_bwd(scaled, x.shape, kernel, stride, 0, ceil_mode) * x ** (p - 1)
