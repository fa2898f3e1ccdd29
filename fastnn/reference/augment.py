"""Augmentation of uint8 image batches (N, H, W, C), each image with parameters of its own.

Every function takes one row of parameters per image and returns a new batch. Sampling the parameters is not
done here. `augment` is the pipeline that one C kernel performs in a single pass: crop, flip, erase,
normalise.
"""

from typing import Literal

import numpy as np
from numpy.typing import DTypeLike

from ._typing import Array


def flip(images: Array, horizontal: Array | None = None, vertical: Array | None = None) -> Array:
    """Mirrors some of the images.

    Args:
        images: batch.
        horizontal: which images to mirror left to right, or None for none.
        vertical: which images to mirror top to bottom, or None for none.

    Shape:
        images (N, H, W, C), horizontal (N,) bool, vertical (N,) bool -> like images

    Returns:
        The batch.

    Example:
        >>> flip(np.array([[[[1], [2]]]], np.uint8), horizontal=np.array([True])).ravel().tolist()
        [2, 1]
    """
    out = images
    if horizontal is not None:
        out = np.where(horizontal[:, None, None, None], out[:, :, ::-1], out)
    if vertical is not None:
        out = np.where(vertical[:, None, None, None], out[:, ::-1], out)
    return out.copy() if out is images else out


def _reflect(index: Array, size: int) -> Array:
    """Mirrors positions outside [0, size) at the first and last one, which are not repeated."""
    if size == 1:
        return np.zeros_like(index)
    folded = np.abs(index) % (2 * (size - 1))
    return np.where(folded < size, folded, 2 * (size - 1) - folded)


def crop(
    images: Array,
    top: Array,
    left: Array,
    size: tuple[int, int] | None = None,
    padding: int = 0,
    mode: Literal["constant", "reflect"] = "constant",
    fill: int = 0,
) -> Array:
    """Pads every image on all sides and cuts a window out: ``y[n, i, j] = padded[n, top[n] + i, left[n] +
    j]``.

    Args:
        images: batch.
        top: first row of each window, counted in the padded image.
        left: first column of each window.
        size: height and width of the windows; by default those of the images.
        padding: how much to pad on each side.
        mode: ``'constant'``, or ``'reflect'`` at the outermost pixels, which are not repeated.
        fill: value of constant padding.

    Shape:
        images (N, H, W, C), top (N,), left (N,) -> (N, *size, C)

    Returns:
        The batch.

    Raises:
        ValueError: if a window leaves the padded image, or the mode is unknown.

    Example:
        >>> x = np.array([[[[1], [2], [3]]]], np.uint8)
        >>> crop(x, np.array([1]), np.array([0]), size=(1, 3), padding=1).ravel().tolist()
        [0, 1, 2]
    """
    n, height, width, _ = images.shape
    out_h, out_w = (height, width) if size is None else size
    if mode not in ("constant", "reflect"):
        raise ValueError(f"crop: mode must be 'constant' or 'reflect', got {mode!r}")
    if np.any((top < 0) | (top + out_h > height + 2 * padding) | (left < 0) | (left + out_w > width + 2 * padding)):
        raise ValueError(f"crop: a window of {out_h}x{out_w} leaves the {height}x{width} images padded by {padding}")
    rows = (top[:, None] + np.arange(out_h) - padding)[:, :, None]
    cols = (left[:, None] + np.arange(out_w) - padding)[:, None, :]
    batch = np.arange(n)[:, None, None]
    if mode == "reflect":
        return images[batch, _reflect(rows, height), _reflect(cols, width)]
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    pixels = images[batch, rows.clip(0, height - 1), cols.clip(0, width - 1)]
    return np.where(inside[..., None], pixels, images.dtype.type(fill))


def erase(images: Array, boxes: Array, fill: Array | float = 0) -> Array:
    """Overwrites a box in each image.

    Args:
        images: batch.
        boxes: top, left, height and width of each box; what leaves the image is cut off, height 0 erases
            nothing.
        fill: value, one for all, one per channel, or one per image and channel.

    Shape:
        images (N, H, W, C), boxes (N, 4), fill (), (C,) or (N, C) -> like images

    Returns:
        The batch.

    Source: DeVries, Taylor 2017 (cutout); Zhong et al. 2020 (random erasing).

    Example:
        >>> erase(np.ones((1, 1, 3, 1), np.uint8), np.array([[0, 1, 1, 9]])).ravel().tolist()
        [1, 0, 0]
    """
    n, height, width, channels = images.shape
    top, left, box_h, box_w = np.asarray(boxes).T[:, :, None]
    rows, cols = np.arange(height), np.arange(width)
    in_rows = (rows >= top) & (rows < top + box_h)
    in_cols = (cols >= left) & (cols < left + box_w)
    values = np.broadcast_to(np.asarray(fill, images.dtype), (n, channels))[:, None, None]
    return np.where((in_rows[:, :, None] & in_cols[:, None, :])[..., None], values, images)


def normalise(images: Array, mean: Array, std: Array, dtype: DTypeLike = np.float32) -> Array:
    """``(x / 255 - mean) / std`` as one multiply-add, ``x scale + shift``.

    ``scale = 1 / (255 std)`` and ``shift = -mean / std`` are computed in double and then rounded to
    ``dtype``, in which the multiply-add is done.

    Args:
        images: uint8 batch.
        mean: mean per channel, of pixels in [0, 1].
        std: standard deviation per channel.
        dtype: dtype of the result.

    Shape:
        images (N, H, W, C), mean (C,), std (C,) -> (N, H, W, C)

    Returns:
        The floats.

    Raises:
        ValueError: if a deviation is not positive.

    Example:
        >>> normalise(np.full((1, 1, 1, 1), 255, np.uint8), np.array([0.5]), np.array([0.5])).item()
        1.0
    """
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if np.any(std <= 0):
        raise ValueError(f"normalise: std must be positive, got {std.tolist()}")
    scale, shift = (1 / (255 * std)).astype(dtype), (-mean / std).astype(dtype)
    return images.astype(dtype) * scale + shift


def _taps(start: Array, length: Array, out: int) -> tuple[Array, Array, Array]:
    """For every output position of an axis.

    The two input positions it lies between, and the weight of the second.
    """
    centres = (np.arange(out) + 0.5) * (length[:, None] / out) - 0.5
    centres = np.maximum(centres, 0)
    first = np.minimum(np.floor(centres).astype(np.int64), length[:, None] - 1)
    second = np.minimum(first + 1, length[:, None] - 1)
    return start[:, None] + first, start[:, None] + second, centres - first


def resized_crop(images: Array, boxes: Array, size: tuple[int, int], dtype: DTypeLike = np.uint8) -> Array:
    """Cuts a box out of each image and resizes it with bilinear interpolation.

    Pixels are points at half-integer centres (PyTorch's ``align_corners=False``, no antialiasing): output
    position i looks at ``(i + 1/2) length / out - 1/2`` in the box and mixes its two neighbours there, the
    box's edge pixels being continued outwards. Work is done in double; an integer ``dtype`` is rounded half
    to even.

    Args:
        images: batch.
        boxes: top, left, height and width of each box, integers, inside the image.
        size: height and width of the result.
        dtype: dtype of the result.

    Shape:
        images (N, H, W, C), boxes (N, 4) -> (N, *size, C)

    Returns:
        The batch.

    Raises:
        ValueError: if a box is empty or leaves its image.

    Example:
        >>> x = np.array([[[[0], [4]]]], np.uint8)
        >>> resized_crop(x, np.array([[0, 0, 1, 2]]), (1, 4)).ravel().tolist()
        [0, 1, 3, 4]
    """
    n, height, width, _ = images.shape
    top, left, box_h, box_w = np.asarray(boxes).T
    leaves = (top < 0) | (left < 0) | (top + box_h > height) | (left + box_w > width)
    if np.any(leaves | (box_h < 1) | (box_w < 1)):
        raise ValueError(f"resized_crop: boxes must be non-empty and inside the {height}x{width} images")
    upper, lower, down = _taps(top, box_h, size[0])
    west, east, right = _taps(left, box_w, size[1])
    batch, right, down = np.arange(n)[:, None, None], right[:, None, :, None], down[:, :, None, None]

    def row(index: Array) -> Array:
        pixels = [images[batch, index[:, :, None], side[:, None, :]].astype(np.float64) for side in (west, east)]
        return pixels[0] * (1 - right) + pixels[1] * right

    mixed = row(upper) * (1 - down) + row(lower) * down
    return (np.rint(mixed) if np.issubdtype(dtype, np.integer) else mixed).astype(dtype)


def augment(
    images: Array,
    mean: Array,
    std: Array,
    *,
    top: Array | None = None,
    left: Array | None = None,
    size: tuple[int, int] | None = None,
    padding: int = 0,
    mode: Literal["constant", "reflect"] = "constant",
    horizontal: Array | None = None,
    vertical: Array | None = None,
    boxes: Array | None = None,
    fill: Array | float = 0,
    dtype: DTypeLike = np.float32,
) -> Array:
    """`crop`, then `flip`, then `erase` (boxes in the flipped crop), then `normalise`, in one call.

    Args:
        images: uint8 batch.
        mean: mean per channel.
        std: deviation per channel.
        top: as for `crop`; without ``top`` and ``left`` nothing is cropped.
        left: as for `crop`.
        size: as for `crop`.
        padding: as for `crop`.
        mode: as for `crop`.
        horizontal: as for `flip`.
        vertical: as for `flip`.
        boxes: as for `erase`; None erases nothing.
        fill: as for `erase`.
        dtype: dtype of the result.

    Shape:
        images (N, H, W, C) -> (N, *size, C)

    Returns:
        The floats; ``transpose(0, 3, 1, 2)`` gives PyTorch's public shape without a copy.

    Raises:
        ValueError: as the functions it is made of.
    """
    if top is not None and left is not None:
        images = crop(images, top, left, size, padding, mode)
    images = flip(images, horizontal, vertical)
    if boxes is not None:
        images = erase(images, boxes, fill)
    return normalise(images, mean, std, dtype)
