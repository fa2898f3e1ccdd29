"""Affine maps, colours, filters and mixtures of image batches (N, H, W, C), each image with parameters of its own.

Everything is computed in float64. The kernels work in fixed-point numbers (affine maps) or float32 and agree up to
rounding; what is uint8 there, is not rounded here.
"""

import numpy as np

from ._typing import Array

LUMA = np.array([0.299, 0.587, 0.114])


def affine(images: Array, matrix: Array, size: tuple[int, int], interpolation: str, fill: Array) -> Array:
    """Images seen through affine maps, as Pillow defines them.

    The centre of output pixel (i, j) is (u, v) = (j + 1/2, i + 1/2) and shows the point ``(x, y) = (a u + b v + c,
    d u + e v + f)``. A point outside [0, W) × [0, H) shows `fill`. Else 'nearest' takes the pixel that holds it;
    'bilinear' mixes the four whose centres are around it, edge pixels being continued outwards.

    Args:
        images: batch.
        matrix: a, b, c, d, e, f of each image.
        size: height and width of the result.
        interpolation: 'nearest' or 'bilinear'.
        fill: one number per channel.

    Shape:
        images (N, H, W, C), matrix (N, 6), fill (C,) -> (N, *size, C)

    Returns:
        The floats, not rounded.

    Example:
        >>> x = np.array([[[[0], [4]]]], np.uint8)
        >>> affine(x, np.array([[0.5, 0, 0, 0, 1, 0]]), (1, 4), "bilinear", np.zeros(1)).ravel().tolist()
        [0.0, 1.0, 3.0, 4.0]
    """
    n, height, width, _ = images.shape
    v, u = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5, indexing="ij")
    a, b, c, d, e, f = np.asarray(matrix, np.float64).T[:, :, None, None]
    x, y = a * u + b * v + c, d * u + e * v + f
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    batch = np.arange(n)[:, None, None]

    def pixel(row: Array, column: Array) -> Array:
        return images[batch, row.clip(0, height - 1), column.clip(0, width - 1)].astype(np.float64)

    if interpolation == "nearest":
        shown = pixel(np.floor(y).astype(int), np.floor(x).astype(int))
    else:
        left, above = np.floor(x - 0.5).astype(int), np.floor(y - 0.5).astype(int)
        right, down = (x - 0.5 - left)[..., None], (y - 0.5 - above)[..., None]
        upper = pixel(above, left) * (1 - right) + pixel(above, left + 1) * right
        lower = pixel(above + 1, left) * (1 - right) + pixel(above + 1, left + 1) * right
        shown = upper * (1 - down) + lower * down
    return np.where(inside[..., None], shown, np.asarray(fill, np.float64))


def rgb_to_hsv(rgb: Array) -> Array:
    """Hue in turns, saturation and value: (..., 3) -> (..., 3), for values in [0, 1].

    ``v = max``, ``s = (max - min) / max`` and ``6 h = (g - b) / c``, ``2 + (b - r) / c`` or ``4 + (r - g) / c`` where
    red, green or blue is the largest, ``c = max - min``; h and s are 0 where c is.

    Source: Smith, "Color gamut transform pairs", SIGGRAPH 1978; Python's `colorsys`.
    """
    r, g, b = np.moveaxis(rgb, -1, 0)
    value = rgb.max(axis=-1)
    chroma = value - rgb.min(axis=-1)
    safe = np.where(chroma == 0, 1, chroma)
    sector = np.where(value == r, (g - b) / safe, np.where(value == g, 2 + (b - r) / safe, 4 + (r - g) / safe))
    return np.stack([sector / 6 % 1, chroma / np.where(value == 0, 1, value), value], axis=-1)


def hsv_to_rgb(hsv: Array) -> Array:
    """The inverse of `rgb_to_hsv`: (..., 3) -> (..., 3).

    ``v - v s clamp(min(k, 4 - k), 0, 1)`` with ``k = (n + 6 h) mod 6`` and n = 5, 3, 1 for red, green and blue.
    """
    hue, saturation, value = np.moveaxis(hsv, -1, 0)
    k = (np.array([5, 3, 1]) + 6 * hue[..., None]) % 6
    return value[..., None] * (1 - saturation[..., None] * np.clip(np.minimum(k, 4 - k), 0, 1))


def change_hue(images: Array, turns: Array) -> Array:
    """Moves the hue, keeping saturation and value: images (N, H, W, 3) in [0, 255], turns (N,) -> floats."""
    hsv = rgb_to_hsv(np.asarray(images, np.float64) / 255)
    hsv[..., 0] = (hsv[..., 0] + turns[:, None, None]) % 1
    return 255 * hsv_to_rgb(hsv)


def color_jitter(images: Array, order: Array, factor: Array) -> Array:
    """Brightness ``f x``, contrast ``f x + (1 - f) m``, saturation ``f x + (1 - f) l`` and hue, in any order.

    m is the mean luma of the image at that step, l the luma of the pixel. Values are limited to 0 … 255 after each.

    Args:
        images: batch, C being 1 or 3.
        order: the number of the change (0 brightness, 1 contrast, 2 saturation, 3 hue) that comes first, second …
        factor: of each change, by its number; for the hue a share of the circle.

    Shape:
        images (N, H, W, C), order (N, 4), factor (N, 4) -> like images

    Returns:
        The floats, not rounded.
    """
    out = []
    for image, sequence, factors in zip(images, order, factor):
        x = np.broadcast_to(image.astype(np.float64), (*image.shape[:2], 3))
        for change in sequence:
            f, luma = factors[change], x @ LUMA
            if change == 3:
                x = change_hue(x[None], np.array([f]))[0]
            else:
                x = f * x + (1 - f) * (0, luma.mean(), luma[..., None])[change]
            x = np.clip(x, 0, 255)
        out.append(x[..., : image.shape[2]])
    return np.array(out).reshape(images.shape)


def correlate(images: Array, weights: Array, mode: str = "reflect") -> Array:
    """``y[i, j] = Σ w[r, t] x[i + r - h // 2, j + t - w // 2]`` for each channel.

    Args:
        images: batch.
        weights: the filter of each image.
        mode: how images are continued, as `np.pad` names it; 'constant' by zeros.

    Shape:
        images (N, H, W, C), weights (N, h, w) -> (N, H, W, C)

    Returns:
        The floats, not rounded.

    Example:
        >>> correlate(np.array([[[[1], [2], [3]]]]), np.array([[[1, 0, 0]]])).ravel().tolist()
        [2.0, 1.0, 2.0]
    """
    _, height, width, _ = images.shape
    h, w = weights.shape[1:]
    borders = [(0, 0), (h // 2, (h - 1) - h // 2), (w // 2, (w - 1) - w // 2), (0, 0)]
    padded = np.pad(images.astype(np.float64), borders, mode=mode)  # type: ignore[call-overload]
    total = np.zeros(images.shape)
    for r in range(h):
        for t in range(w):
            total += weights[:, r, t, None, None, None] * padded[:, r : r + height, t : t + width]
    return total


def mix(images: Array, partner: Array, weight: Array, boxes: Array) -> Array:
    """``w x_i + (1 - w) x_j`` inside a box, ``x_i`` outside: mixup with the whole image, CutMix with w = 0.

    Args:
        images: batch of floats.
        partner: j of each image.
        weight: w of each image.
        boxes: top, left, height and width of each box; what leaves the image is cut off.

    Shape:
        images (N, H, W, C), partner (N,), weight (N,), boxes (N, 4) -> like images

    Returns:
        The batch.
    """
    top, left, height, width = np.asarray(boxes).T[:, :, None]
    rows, cols = np.arange(images.shape[1]), np.arange(images.shape[2])
    inside = ((rows >= top) & (rows < top + height))[:, :, None] & ((cols >= left) & (cols < left + width))[:, None]
    w = weight[:, None, None, None]
    return np.where(inside[..., None], w * images + (1 - w) * images[partner], images)
