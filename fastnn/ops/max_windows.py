"""Maximum of windows of channels-last images, alone and in one pass with what comes before it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from .. import _C
from ..autograd import Array, Backward
from ..autograd.pending import Wait
from .layout import from_nhwc, to_nhwc
from .window import Ints, Sizes, Window, hashable, sliding_windows

Pooled: TypeAlias = tuple[Array, Backward]
PooledMaybeIndices: TypeAlias = tuple[Array | tuple[Array, Array], Backward]


def public(last: Array, batched: bool) -> Array:
    """Channels-last back to the public shape, without the batch axis if the input had none."""
    y = from_nhwc(last)
    return y if batched else y[0]


def max_windows(x: Array, out: Sizes, window: Window, batched: bool, return_indices: bool) -> PooledMaybeIndices:
    """Maximum of each window of the channels-last `x`; the backward pass finds again where it was."""
    y: Array = _C.empty((x.shape[0], *out, x.shape[-1]), x.dtype)
    _C.pool_max_fwd(x, y, window)

    def backward(dy: Any, needs: tuple[bool, ...]) -> tuple[Array]:
        gradient = dy[0] if return_indices else dy
        dx: Array = _C.empty(x.shape, x.dtype)
        _C.pool_max_bwd(to_nhwc(gradient if batched else gradient[None]), x, y, dx, window)
        return (public(dx, batched),)

    if not return_indices:
        return public(y, batched), backward
    index = np.empty(y.shape, np.int64)
    _C.pool_max_index(x, y, index, window)
    return (public(y, batched), public(index, batched)), backward


def relu_max_windows(x: Array, out: Sizes, window: Window, batched: bool = True) -> Pooled:
    """Maximum of 0 and each window of the channels-last `x`; the gradient goes where one is positive."""
    y: Array = _C.empty((x.shape[0], *out, x.shape[-1]), x.dtype)
    _C.pool_max_fwd(x, y, window, True)

    def backward(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        dx: Array = _C.empty(x.shape, x.dtype)
        _C.pool_max_bwd(to_nhwc(dy if batched else dy[None]), x, y, dx, window, True)
        return (public(dx, batched),)

    return public(y, batched), backward


def tiles(window: Window) -> bool:
    """Whether windows lie side by side from the image's first pixel on."""
    kernel, stride, padding, dilation = window
    return stride == kernel and not any(padding) and all(each == 1 for each in dilation)


def join_windows(
    wait: Wait,
    kernel_size: Ints | None = None,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *more: Any,
    **unknown: Any,
) -> dict[str, Any] | None:
    """What `max_pool2d` contributes to an output that waits: the size of its own output, and the windows.

    None leaves the pooling, and whatever is wrong with its arguments, to the operation: positions asked for; windows
    that may lie between the pixels of the padding, whose maximum is no positive number but minus infinity; and after a
    batch norm windows that overlap or reach beyond the image.
    """
    shape = wait.shape
    if kernel_size is None or more or unknown or return_indices or len(shape) != 4 or 0 in shape[1:]:
        return None
    sizes = (hashable(each) for each in (kernel_size, stride, padding, dilation))
    out, window = sliding_windows("max_pool2d", shape[2:], *sizes, ceil_mode)
    kernel, _, pad, spread = window
    if wait.name == "relu":
        fits = not any(pad) or all(each == 1 for each in spread)
    else:
        fits = tiles(window) and out == (shape[2] // kernel[0], shape[3] // kernel[1])
    return {"windows": (out, window)} if fits else None
