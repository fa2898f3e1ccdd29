"""Sliding windows: the geometry that convolution and pooling share.

A window of ``kernel`` taps, ``dilation`` apart, moves over a padded axis in steps of ``stride``. Tap ``k`` of
window ``o`` sits at padded position ``o * stride + k * dilation``. Everything in `conv` and `pool` follows
from that one sentence.
"""

from collections.abc import Sequence
from itertools import product
from typing import TypeAlias

import numpy as np

from ._typing import Array

Ints: TypeAlias = int | Sequence[int]
Pads: TypeAlias = tuple[tuple[int, int], ...]
Padding: TypeAlias = str | int | Sequence[int] | Sequence[tuple[int, int]]


def per_axis(value: Ints, ndim: int, name: str = "argument") -> tuple[int, ...]:
    """Spells out one integer per spatial axis.

    Args:
        value: an integer, meant for every axis, or a sequence of ``ndim`` integers.
        ndim: the number of spatial axes.
        name: what the value is called in the error message.

    Returns:
        A tuple of ``ndim`` integers.

    Raises:
        ValueError: if a sequence has another length.

    Example:
        >>> per_axis(3, 2), per_axis((1, 2), 2)
        ((3, 3), (1, 2))
    """
    values = (value,) * ndim if isinstance(value, int) else tuple(value)
    if len(values) != ndim:
        raise ValueError(f"per_axis: {name} must be one integer or {ndim} integers, got {value!r}")
    return values


def resolve_padding(padding: Padding, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Pads:
    """Spells out the padding as ``(before, after)`` for every spatial axis.

    ``'valid'`` is no padding. ``'same'`` adds ``dilation * (kernel - 1)`` in all, the odd one behind, so that
    the output has the size of the input; like PyTorch's it exists for stride 1 only.

    Args:
        padding: ``'same'``, ``'valid'``, an integer, one integer per axis, or one pair per axis.
        kernel: kernel size per axis.
        stride: stride per axis.
        dilation: dilation per axis.

    Returns:
        One ``(before, after)`` pair per axis.

    Raises:
        ValueError: for another word, a negative number, or ``'same'`` with a stride above 1.

    Example:
        >>> resolve_padding("same", (3, 4), (1, 1), (1, 1))
        ((1, 1), (1, 2))
    """
    ndim = len(kernel)
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * ndim
        if padding != "same":
            raise ValueError(f"resolve_padding: padding must be 'same', 'valid' or integers, got {padding!r}")
        if any(s != 1 for s in stride):
            raise ValueError(f"resolve_padding: padding='same' needs stride 1, got stride {tuple(stride)}")
        totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    one_each: tuple[int | tuple[int, int], ...]
    one_each = (padding,) * ndim if isinstance(padding, int) else tuple(padding)
    if len(one_each) != ndim:
        raise ValueError(f"resolve_padding: padding must have {ndim} entries, got {padding!r}")
    pads = tuple((p, p) if isinstance(p, int) else p for p in one_each)
    if any(before < 0 or after < 0 for before, after in pads):
        raise ValueError(f"resolve_padding: padding must not be negative, got {padding!r}")
    return pads


def out_size(
    size: int,
    kernel: int,
    stride: int = 1,
    pad: tuple[int, int] = (0, 0),
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """The output size of a convolution or pooling along one axis.

    ``(size + before + after - dilation * (kernel - 1) - 1) / stride + 1``, rounded down. With ``ceil_mode``
    it is rounded up, unless the last window would then begin beyond the input and its padding in front.

    Args:
        size: input size.
        kernel: number of taps.
        stride: step between windows.
        pad: padding ``(before, after)``.
        dilation: distance between taps.
        ceil_mode: keep a last window that overhangs the end.

    Returns:
        The number of windows, at least 1.

    Raises:
        ValueError: if a parameter is out of range or no window fits.

    Example:
        >>> out_size(32, 3, stride=2, pad=(1, 1))
        16
        >>> out_size(6, 3, stride=2), out_size(6, 3, stride=2, ceil_mode=True)
        (2, 3)
    """
    if kernel < 1 or stride < 1 or dilation < 1:
        raise ValueError(
            f"out_size: kernel, stride and dilation must be at least 1, got {kernel}, {stride}, {dilation}"
        )
    room = size + sum(pad) - dilation * (kernel - 1) - 1
    if room < 0:
        raise ValueError(
            f"out_size: kernel {kernel} with dilation {dilation} does not fit size {size} with padding {pad}"
        )
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + pad[0] else count


def out_shape(
    spatial: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    pads: Pads,
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """`out_size` for every spatial axis."""
    axes = zip(spatial, kernel, stride, pads, dilation, strict=True)
    return tuple(out_size(n, k, s, p, d, ceil_mode) for n, k, s, p, d in axes)


def pad_spatial(x: Array, pads: Pads, value: float = 0.0) -> Array:
    """Pads the spatial axes of ``x`` (those behind N and C) with a constant."""
    if not any(before or after for before, after in pads):
        return x
    return np.pad(x, ((0, 0), (0, 0), *pads), constant_values=value)


def crop_spatial(x: Array, pads: Pads, spatial: Sequence[int]) -> Array:
    """Undoes `pad_spatial`: the part of ``x`` that lies inside the padding, of size ``spatial``."""
    inside = tuple(slice(before, before + n) for (before, _), n in zip(pads, spatial, strict=True))
    return x[(slice(None), slice(None), *inside)]


def gather_windows(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """All windows of an already padded array, as a read-only view that copies nothing.

    ``windows[n, c, o..., k...] = x[n, c, o * stride + k * dilation...]``

    Args:
        x: padded input.
        kernel: kernel size per axis.
        stride: stride per axis.
        dilation: dilation per axis.

    Shape:
        x (N, C, *padded) -> (N, C, *out, *kernel)

    Returns:
        The view.

    Example:
        >>> gather_windows(np.arange(5).reshape(1, 1, 5), (2,), (2,), (1,))[0, 0].tolist()
        [[0, 1], [2, 3]]
    """
    ndim = len(kernel)
    spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    every = np.lib.stride_tricks.sliding_window_view(x, spans, axis=tuple(range(2, 2 + ndim)))
    steps = tuple(slice(None, None, step) for step in (*stride, *dilation))
    return every[(slice(None), slice(None), *steps)]


def scatter_windows(
    dwindows: Array,
    padded: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Array:
    """The adjoint of `gather_windows`: every element goes back to where it came from, and overlaps add up.

    Args:
        dwindows: gradient of the windows.
        padded: spatial shape of the padded input.
        kernel: kernel size per axis.
        stride: stride per axis.
        dilation: dilation per axis.

    Shape:
        dwindows (N, C, *out, *kernel) -> (N, C, *padded)

    Returns:
        The gradient of the padded input.
    """
    ndim = len(kernel)
    out = dwindows.shape[2 : 2 + ndim]
    dx = np.zeros((*dwindows.shape[:2], *padded), dwindows.dtype)
    for taps in product(*(range(k) for k in kernel)):
        first = [tap * d for tap, d in zip(taps, dilation, strict=True)]
        where = tuple(slice(f, f + s * (o - 1) + 1, s) for f, s, o in zip(first, stride, out, strict=True))
        dx[(slice(None), slice(None), *where)] += dwindows[(slice(None),) * (2 + ndim) + taps]
    return dx
