"""Fractional max pooling: windows at irregular distances, so that the size may shrink by any factor.

Every plane (an image's channel) has windows of its own, drawn by one random number per axis. They are gathered tap by
tap with NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from ..random import Generator, generator_for
from .reduction import need_real
from .window import Ints, _per_axis

__all__ = ["fractional_max_pool2d", "fractional_max_pool3d"]

Ratios: TypeAlias = float | Sequence[float]
_OFFSETS = {2: "H W", 3: "D H W"}


def _starts(sample: Array, size: int, out: int, kernel: int) -> Array:
    """First positions of the windows of every plane: (planes, out), from one number in [0, 1) for each plane.

    `floor((i + u) alpha) - floor(u alpha)` with alpha = (size - kernel) / (out - 1), the last window at the end.
    """
    start = np.empty((len(sample), out), np.int64)
    if out > 1:
        alpha = sample.dtype.type(size - kernel) / sample.dtype.type(out - 1)
        steps = np.arange(out - 1, dtype=sample.dtype)
        start[:, :-1] = np.floor((steps + sample[:, None]) * alpha) - np.floor(sample * alpha)[:, None]
    start[:, -1] = size - kernel
    return start


def _draws(axes: int, first: Array, spatial: tuple[int, ...], out: tuple[int, ...], kernel: tuple[int, ...]) -> Array:
    """The position in its plane of every window's first tap: (planes, *out)."""
    # PyTorch's order of the numbers: the last axis comes first in two dimensions, the first one in three.
    order = range(axes) if axes == 3 else reversed(range(axes))
    place = np.zeros((len(first), *(1,) * axes), np.int64)
    for column, axis in enumerate(order):
        start = _starts(first[:, column], spatial[axis], out[axis], kernel[axis])
        shape = [1] * axes
        shape[axis] = out[axis]
        place = place + start.reshape(-1, *shape) * prod(spatial[axis + 1 :])
    return place


@op
def _fractional_max_pool(
    input: Array, random_samples: Array, kernel_size: tuple[int, ...], output_size: tuple[int, ...]
) -> tuple[tuple[Array, Array], Backward]:
    """The operation behind `fractional_max_pool2d` and `fractional_max_pool3d`: maxima and their places."""
    axes = len(kernel_size)
    spatial, lead = input.shape[-axes:], input.shape[:-axes]
    planes = np.ascontiguousarray(input).reshape(prod(lead), prod(spatial))
    first = random_samples.reshape(len(planes), axes).astype(input.dtype, copy=False)
    start = _draws(axes, first, spatial, output_size, kernel_size).reshape(len(planes), prod(output_size))
    index, best = start, np.take_along_axis(planes, start, 1)
    for tap in product(*map(range, kernel_size)):
        if any(tap):
            place = start + sum(t * prod(spatial[axis + 1 :]) for axis, t in enumerate(tap))
            value = np.take_along_axis(planes, place, 1)
            better = (value > best) | (np.isnan(value) & ~np.isnan(best))
            index, best = np.where(better, place, index), np.where(better, value, best)
    shape, size = input.shape, planes.shape

    def backward(dys: tuple[Array | None, ...], needs: Needs) -> Grads:
        if dys[0] is None:
            return None, None
        flat = (index + (np.arange(size[0]) * size[1])[:, None]).reshape(-1)
        dx = np.bincount(flat, dys[0].reshape(-1).astype(np.float64), size[0] * size[1])
        return dx.astype(dys[0].dtype).reshape(shape), None

    return (best.reshape(*lead, *output_size), index.reshape(*lead, *output_size)), backward


def _target_size(
    name: str, spatial: tuple[int, ...], output_size: Ints | None, output_ratio: Ratios | None
) -> tuple[int, ...]:
    if output_size is not None:
        return _per_axis(name, "output_size", output_size, len(spatial), 1)
    if output_ratio is None:
        raise ValueError(f"{name}: expected output_size or output_ratio, got neither")
    given = (output_ratio,) if isinstance(output_ratio, int | float) else tuple(output_ratio)
    ratios = given * (len(spatial) if len(given) == 1 else 1)
    if len(ratios) != len(spatial) or not all(0 < ratio <= 1 for ratio in ratios):
        raise ValueError(f"{name}: expected output_ratio above 0 and up to 1, one or {len(spatial)}, got {given}")
    return tuple(int(size * ratio) for size, ratio in zip(spatial, ratios, strict=True))


def _pooled(
    axes: int,
    input: Tensor,
    kernel_size: Ints,
    output_size: Ints | None,
    output_ratio: Ratios | None,
    return_indices: bool,
    random_samples: Tensor | None,
    generator: Generator | None,
) -> Any:
    name = f"fractional_max_pool{axes}d"
    data = np.asarray(input)
    need_real(name, data)
    if data.ndim not in (axes + 1, axes + 2) or 0 in data.shape[-axes - 1 :]:
        raise ValueError(f"{name}: expected (N, C, {_OFFSETS[axes]}) or without N, none empty but N, got {data.shape}")
    spatial = data.shape[-axes:]
    kernel = _per_axis(name, "kernel_size", kernel_size, axes, 1)
    out = _target_size(name, spatial, output_size, output_ratio)
    if any(not 1 <= o <= size - k + 1 for o, size, k in zip(out, spatial, kernel, strict=True)):
        raise ValueError(
            f"{name}: expected an output of at least 1 and at most size - kernel + 1, got {out} for spatial size "
            f"{spatial} and kernel_size {kernel}"
        )
    images = data.shape[0] if data.ndim == axes + 2 else 1
    wanted = (images, data.shape[-axes - 1], axes)
    samples = generator_for(generator).rng().random(wanted) if random_samples is None else np.asarray(random_samples)
    if samples.shape != wanted or (samples.size and not 0 <= samples.min() <= samples.max() < 1):
        raise ValueError(f"{name}: expected _random_samples of shape {wanted} in [0, 1), got shape {samples.shape}")
    y, index = _fractional_max_pool(input, samples, kernel, out)
    return (y, index) if return_indices else y


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    output_size: Ints | None = None,
    output_ratio: Ratios | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
    *,
    generator: Generator | None = None,
) -> Any:
    """Maximum of windows whose distances vary at random between two neighbouring whole numbers.

    Window i of an axis starts at `floor((i + u) alpha) - floor(u alpha)` with `alpha = (size - kernel) / (out - 1)`,
    the last one at the end; u in [0, 1) is drawn for every plane and axis. So an image may shrink by any factor, not
    just by whole ones, and every pass sees it a little differently stretched.

    Args:
        input: the images, float32 or float64.
        kernel_size: size of the windows, an int or one per dimension.
        output_size: size of the output, an int or one per dimension; or else:
        output_ratio: output size as a part of the input's, above 0 and up to 1, one or one per dimension.
        return_indices: return `(y, indices)` with the flat position of each maximum in its plane, int64.
        _random_samples: the numbers u, PyTorch's name and order; drawn from `generator` if None.
        generator: where the randomness comes from, the default generator if None.

    Shape:
        input (N, C, H, W) or (C, H, W) -> (N, C, *output_size) or without N; _random_samples (N, C, 2), u of the
        width first.

    Returns:
        the maxima, or with `return_indices` them and their positions.

    Raises:
        ValueError: if the input has another rank, or the output size does not fit: it must be at most
            size - kernel_size + 1.
        TypeError: if the input is not float32 or float64.

    Source: Graham, "Fractional max-pooling", arXiv:1412.6071.
    """
    return _pooled(2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, generator)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Ints,
    output_size: Ints | None = None,
    output_ratio: Ratios | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
    *,
    generator: Generator | None = None,
) -> Any:
    """`fractional_max_pool2d` of volumes; arguments, result and errors likewise, per dimension.

    Shape:
        input (N, C, D, H, W) or (C, D, H, W) -> (N, C, *output_size) or without N; _random_samples (N, C, 3), in the
        order of the dimensions.
    """
    return _pooled(3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples, generator)
