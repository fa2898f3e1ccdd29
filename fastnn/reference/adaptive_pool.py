"""Pooling to a given output size: adaptive average and maximum, and global pooling, their case of size 1."""

from collections.abc import Sequence
from math import prod
from typing import TypeAlias

import numpy as np

from ._typing import Array

OutSize: TypeAlias = int | Sequence[int | None] | None


def adaptive_bins(size: int, bins: int) -> list[tuple[int, int]]:
    """Cuts an axis into ``bins`` ranges of nearly equal length, which may overlap by one.

    Bin i is ``[floor(i * size / bins), ceil((i + 1) * size / bins))``, PyTorch's rule.

    Args:
        size: length of the axis.
        bins: number of ranges.

    Returns:
        ``(start, end)`` of each range.

    Example:
        >>> adaptive_bins(5, 2)
        [(0, 3), (2, 5)]
    """
    return [(i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins)]


def _adaptive_shape(spatial: Sequence[int], output_size: OutSize) -> tuple[int, ...]:
    one_each = [output_size] * len(spatial) if output_size is None or isinstance(output_size, int) else output_size
    if len(one_each) != len(spatial) or any(o is not None and o < 1 for o in one_each):
        raise ValueError(f"adaptive pool: output_size must be {len(spatial)} positive sizes, got {output_size!r}")
    return tuple(n if o is None else o for n, o in zip(spatial, one_each, strict=True))


def _averaging_matrix(size: int, bins: int, dtype: np.dtype[np.generic]) -> Array:
    """Row i averages over bin i: (bins, size)."""
    matrix = np.zeros((bins, size), dtype)
    for row, (start, end) in zip(matrix, adaptive_bins(size, bins), strict=True):
        row[start:end] = 1 / (end - start)
    return matrix


def _along_each_axis(x: Array, matrices: Sequence[Array]) -> Array:
    for axis, matrix in enumerate(matrices, start=2):
        x = np.moveaxis(np.moveaxis(x, axis, -1) @ matrix.T, -1, axis)
    return x


def adaptive_avg_pool_fwd(x: Array, output_size: OutSize) -> Array:
    """Average over the bins of `adaptive_bins`: a product with an averaging matrix along each axis in turn.

    Args:
        x: input.
        output_size: size of the output, one for all axes or one per axis; None keeps an axis as it is.

    Shape:
        x (N, C, *spatial) -> (N, C, *output_size)

    Returns:
        The output.

    Raises:
        ValueError: if the sizes do not match the axes.

    Example:
        >>> adaptive_avg_pool_fwd(np.array([[[1.0, 2.0, 3.0, 4.0]]]), 2).tolist()
        [[[1.5, 3.5]]]
    """
    out = _adaptive_shape(x.shape[2:], output_size)
    return _along_each_axis(x, [_averaging_matrix(n, o, x.dtype) for n, o in zip(x.shape[2:], out, strict=True)])


def adaptive_avg_pool_bwd(dy: Array, x_shape: Sequence[int]) -> Array:
    """Gradient of `adaptive_avg_pool_fwd`: the transposed averaging matrices.

    Args:
        dy: gradient of the output.
        x_shape: shape of the input.

    Shape:
        dy (N, C, *output_size) -> (N, C, *spatial)

    Returns:
        ``dx``.
    """
    sizes = zip(x_shape[2:], dy.shape[2:], strict=True)
    return _along_each_axis(dy, [_averaging_matrix(n, o, dy.dtype).T for n, o in sizes])


def adaptive_max_pool_fwd(x: Array, output_size: OutSize) -> tuple[Array, Array]:
    """Maximum over the bins of `adaptive_bins`; its gradient is `max_pool_bwd`.

    Args:
        x: input.
        output_size: as for `adaptive_avg_pool_fwd`.

    Shape:
        x (N, C, *spatial) -> (N, C, *output_size)

    Returns:
        ``(y, argmax)`` as for `max_pool_fwd`.

    Raises:
        ValueError: if the sizes do not match the axes.

    Example:
        >>> adaptive_max_pool_fwd(np.array([[[1.0, 2.0, 3.0, 4.0, 5.0]]]), 2)[0].tolist()
        [[[3.0, 5.0]]]
    """
    n, c, *spatial = x.shape
    out = _adaptive_shape(spatial, output_size)
    plane = np.arange(prod(spatial)).reshape(spatial)
    y, argmax = np.empty((n, c, *out), x.dtype), np.empty((n, c, *out), np.int64)
    bins = [adaptive_bins(size, o) for size, o in zip(spatial, out, strict=True)]
    for where in np.ndindex(*out):
        region = tuple(slice(*bins[axis][i]) for axis, i in enumerate(where))
        taps = x[(slice(None), slice(None), *region)].reshape(n, c, plane[region].size)
        best = taps.argmax(axis=-1)
        y[(slice(None), slice(None), *where)] = np.take_along_axis(taps, best[..., None], axis=-1)[..., 0]
        argmax[(slice(None), slice(None), *where)] = plane[region].reshape(-1)[best]
    return y, argmax


def global_avg_pool_fwd(x: Array) -> Array:
    """Mean over all positions: (N, C, *spatial) -> (N, C, 1, ...)."""
    return x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)


def global_avg_pool_bwd(dy: Array, x_shape: Sequence[int]) -> Array:
    """Gradient of `global_avg_pool_fwd`.

    ``dy / positions`` everywhere, (N, C, 1, ...) -> (N, C, *spatial).
    """
    return np.broadcast_to(dy / prod(x_shape[2:]), x_shape).copy()


def global_max_pool_fwd(x: Array) -> tuple[Array, Array]:
    """Maximum over all positions, and where it is.

    (N, C, *spatial) -> (N, C, 1, ...); gradient `max_pool_bwd`.
    """
    return adaptive_max_pool_fwd(x, 1)
