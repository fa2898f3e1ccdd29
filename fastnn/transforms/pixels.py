"""The kernels that change pixels of a batch beyond crops and flips: affine maps, colours, filters, noise, mixtures.

Each function takes one row of parameters per image and gives a new batch. What it computes is written out in
`fastnn.reference`. Results have the same bits on any number of threads.
"""

from __future__ import annotations

import numpy as np

from fastnn import _C
from fastnn.transforms.base import Array, Size, checked_batch
from fastnn.transforms.fused import PADDING_MODES, Fill, pixel

INTERPOLATIONS = ("nearest", "bilinear")

# Kinds of colour steps, in the order of the kernel's numbers.
MATRIX, CONTRAST, HUE = 1, 2, 3
STEP_COLUMNS = 13  # the kind, and up to twelve numbers


def checked_bytes(name: str, batch: Array) -> Array:
    """`batch` as contiguous uint8 images.

    Raises:
        ValueError: if it is something else.
    """
    if checked_batch(name, batch).dtype != np.uint8:
        raise ValueError(f"{name}: expected uint8 images, got {batch.dtype}; put it before Normalize")
    return np.ascontiguousarray(batch)


def affine(name: str, batch: Array, matrix: Array, size: Size, interpolation: str, fill: Fill) -> Array:
    """Images seen through affine maps.

    The centre of output pixel (i, j) is (u, v) = (j + 1/2, i + 1/2); it shows the point (a u + b v + c, d u + e v + f)
    of the input.

    Args:
        name: whose error messages these are.
        batch: uint8 images.
        matrix: a, b, c, d, e, f of each image.
        size: height and width of the result.
        interpolation: 'nearest' or 'bilinear'.
        fill: what points outside the image show.

    Shape:
        batch (N, H, W, C), matrix (N, 6) -> (N, \\*size, C)
    """
    x = checked_bytes(name, batch)
    y: Array = _C.empty((len(x), *size, x.shape[3]), x.dtype)
    colour = pixel(fill, x.shape[3], x.dtype)
    _C.augment_affine(x, np.ascontiguousarray(matrix, np.float64), colour, y, interpolation == "bilinear")
    return y


def color(name: str, batch: Array, steps: Array) -> Array:
    """Images whose colours go through steps of the kinds above, in float32, limited to 0 .. 255 after each.

    Shape:
        batch (N, H, W, 1 or 3), steps (N, count, STEP_COLUMNS) -> like batch

    Raises:
        ValueError: if the images have other than 1 or 3 channels.
    """
    x = checked_bytes(name, batch)
    if x.shape[3] not in (1, 3):
        raise ValueError(f"{name}: expected images of 1 or 3 channels, got {x.shape[3]}")
    y: Array = _C.empty(x.shape, x.dtype)
    _C.augment_color(x, np.ascontiguousarray(steps, np.float64), y)
    return y


def histogram(name: str, batch: Array) -> Array:
    """How often each value occurs in each image and channel: (N, H, W, C) uint8 -> (N, C, 256) int64."""
    x = checked_bytes(name, batch)
    count = np.empty((len(x), x.shape[3], 256), np.int64)
    _C.augment_histogram(x, count)
    return count


def lookup(name: str, batch: Array, table: Array) -> Array:
    """`table[i, c, x[i, h, w, c]]`: batch (N, H, W, C) uint8, table broadcast to (N, C, 256) uint8 -> like batch."""
    x = checked_bytes(name, batch)
    y: Array = _C.empty(x.shape, x.dtype)
    _C.augment_lookup(x, np.ascontiguousarray(np.broadcast_to(table, (len(x), x.shape[3], 256))), y)
    return y


def correlate(name: str, batch: Array, weights: Array, padding_mode: str = "reflect") -> Array:
    """Each image correlated with its own filter, in float32, rounded: batch (N, H, W, C), weights (N, h, w)."""
    x = checked_bytes(name, batch)
    y: Array = _C.empty(x.shape, x.dtype)
    flat = np.ascontiguousarray(weights, np.float64)
    _C.augment_filter(x, flat, weights.shape[1], weights.shape[2], False, y, PADDING_MODES.index(padding_mode))
    return y


def correlate_separable(name: str, batch: Array, column: Array, row: Array, padding_mode: str = "reflect") -> Array:
    """The same with the filter `column[:, None] * row`: column (N, h), row (N, w)."""
    x = checked_bytes(name, batch)
    y: Array = _C.empty(x.shape, x.dtype)
    weights = np.ascontiguousarray(np.concatenate([column, row], axis=1), np.float64)
    _C.augment_filter(x, weights, column.shape[1], row.shape[1], True, y, PADDING_MODES.index(padding_mode))
    return y


def noise(
    batch: Array, seeds: Array, mean: float, sigma: float, limits: tuple[float, float], boxes: Array | None = None
) -> Array:
    """Normal noise added to images or, with `boxes`, in their place inside a box of each.

    Args:
        batch: images, uint8 or float32.
        seeds: of each image; what is drawn depends on it and the position alone.
        mean: mean of the noise, in the range of the pixels.
        sigma: its standard deviation.
        limits: bounds of the result.
        boxes: top, left, height and width of boxes that noise replaces; None adds it everywhere.

    Shape:
        batch (N, H, W, C), seeds (N,), boxes (N, 4) -> like batch
    """
    x = np.ascontiguousarray(batch)
    n, height, width, _ = x.shape
    y: Array = _C.empty(x.shape, x.dtype)
    where = np.tile([0, 0, height, width], (n, 1)) if boxes is None else boxes
    means, sigmas = np.full(n, mean, np.float64), np.full(n, sigma, np.float64)
    keys, where = np.ascontiguousarray(seeds, np.uint64), np.ascontiguousarray(where, np.int32)
    _C.augment_noise(x, keys, means, sigmas, where, boxes is not None, *limits, y)
    return y


def mix(batch: Array, partner: Array, weight: Array, boxes: Array) -> Array:
    """`weight[i] x[i] + (1 - weight[i]) x[partner[i]]` inside box i, `x[i]` outside; float32 (N, H, W, C)."""
    x = np.ascontiguousarray(batch)
    y: Array = _C.empty(x.shape, x.dtype)
    _C.augment_mix(
        x,
        np.ascontiguousarray(partner, np.int64),
        np.ascontiguousarray(weight, np.float64),
        np.ascontiguousarray(boxes, np.int32),
        y,
    )
    return y


def checked_interpolation(name: str, interpolation: str) -> str:
    """`interpolation`, if there is one of that name; ValueError otherwise."""
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"{name}: expected interpolation to be one of {INTERPOLATIONS}, got {interpolation!r}")
    return interpolation
