"""The windows of pooling: output sizes from arguments, and inputs in the form that the kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Array
from .layout import to_nhwc

Ints: TypeAlias = int | Sequence[int]
OutputSize: TypeAlias = int | Sequence[int | None] | None
Sizes: TypeAlias = tuple[int, ...]
Window: TypeAlias = tuple[Sizes, ...]  # kernel, stride, padding, dilation; () for adaptive bins

ADAPTIVE: Window = ()


def hashable(value: Any) -> Any:
    """A list as a tuple, so that `sliding_windows` can remember its results; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def _per_axis(name: str, argument: str, value: Ints, axes: int, least: int) -> Sizes:
    """One int per axis from an int or a sequence of one or `axes` of them."""
    given = (value,) if isinstance(value, int | np.integer) else tuple(value)
    sizes = tuple(int(each) for each in given) * (axes if len(given) == 1 else 1)
    if len(sizes) != axes or min(sizes) < least:
        raise ValueError(f"{name}: expected {argument} to be an int or {axes} ints of at least {least}, got {value!r}")
    return sizes


@lru_cache(maxsize=1024)
def sliding_windows(
    name: str,
    spatial: Sizes,
    kernel_size: Ints,
    stride: Ints | None,
    padding: Ints,
    dilation: Ints,
    ceil_mode: bool,
) -> tuple[Sizes, Window]:
    """The spatial output size and the window, from arguments as the caller gave them."""
    axes = len(spatial)
    kernel = _per_axis(name, "kernel_size", kernel_size, axes, 1)
    step = kernel if stride is None or stride == () else _per_axis(name, "stride", stride, axes, 1)
    pad = _per_axis(name, "padding", padding, axes, 0)
    spread = _per_axis(name, "dilation", dilation, axes, 1)
    out = []
    for size, k, s, p, d in zip(spatial, kernel, step, pad, spread, strict=True):
        reach = d * (k - 1) + 1
        if 2 * p > reach:
            raise ValueError(
                f"{name}: expected padding of at most half the window, got padding {pad} for kernel_size {kernel}"
            )
        o = (size + 2 * p - reach + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (o - 1) * s >= size + p:
            o -= 1  # a window must start in the image or the padding before it
        if o < 1:
            raise ValueError(
                f"{name}: expected an image of at least one window, got spatial size {spatial} for "
                f"kernel_size {kernel}, padding {pad}, dilation {spread}"
            )
        out.append(o)
    return tuple(out), (kernel, step, pad, spread)


def adaptive_size(name: str, spatial: Sizes, output_size: OutputSize) -> Sizes:
    """The output size of an adaptive pooling; None keeps an axis as it is."""
    axes = len(spatial)
    if output_size is None or isinstance(output_size, int | np.integer):
        wanted: tuple[int | None, ...] = (None if output_size is None else int(output_size),) * axes
    else:
        wanted = tuple(output_size) * (axes if len(output_size) == 1 else 1)
    if len(wanted) != axes or any(each is not None and each < 0 for each in wanted):
        raise ValueError(f"{name}: expected output_size to be an int or {axes} sizes, got {output_size!r}")
    return tuple(size if each is None else each for size, each in zip(spatial, wanted, strict=True))


def images(name: str, input: Array, axes: int) -> Array:
    """The channels-last array (N, *spatial, C) of an input of shape (N, C, *spatial) or (C, *spatial)."""
    if input.ndim not in (axes + 1, axes + 2):
        raise ValueError(f"{name}: expected an input of {axes + 1} or {axes + 2} dimensions, got {input.shape}")
    if input.dtype.kind != "f" or input.dtype.itemsize < 4:
        raise TypeError(f"{name}: expected a float32 or float64 input, got {input.dtype}")
    if 0 in input.shape[-axes - 1 :]:
        raise ValueError(f"{name}: expected channels and spatial sizes above 0, got {input.shape}")
    return to_nhwc(input if input.ndim == axes + 2 else input[None])
