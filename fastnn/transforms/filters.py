"""Filters and noise: blur, sharpness, any given array of weights, normal noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn.transforms import pixels
from fastnn.transforms.base import (
    Array,
    Params,
    Size,
    Transform,
    checked_batch,
    checked_probability,
    checked_range,
    checked_size,
)
from fastnn.transforms.geometry import checked_padding_mode

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator

_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13


class Filter(Transform):
    """Correlates each channel with an array of weights: ``y[i, j] = Σ w[r, t] x[i + r - h//2, j + t - w//2]``.

    Sums are float32, limited to [0, 255] and rounded.

    Args:
        kernel: the weights, (h, w).
        padding_mode: how images are continued beyond their edges, as for `Pad`; 'constant' by zeros.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8

    Raises:
        ValueError: if the kernel is not a finite array of two dimensions; when applied, if the images are not uint8.

    Example:
        >>> import numpy as np
        >>> Filter([[0.5, 0, 0.5]])(np.array([[[[0], [10], [40]]]], np.uint8)).ravel().tolist()
        [10, 20, 10]
    """

    def __init__(self, kernel: Sequence[Sequence[float]], padding_mode: str = "reflect") -> None:
        weights = np.asarray(kernel, np.float64)
        if weights.ndim != 2 or weights.size == 0 or not np.isfinite(weights).all():
            raise ValueError(f"Filter: expected a finite kernel (h, w), got {kernel!r}")
        self.kernel = tuple(tuple(row) for row in weights.tolist())
        self.padding_mode = checked_padding_mode("Filter", padding_mode)

    def apply(self, batch: Array, params: Params) -> Array:
        weights = np.array(self.kernel)
        return pixels.correlate(
            "Filter", batch, np.broadcast_to(weights, (len(batch), *weights.shape)), self.padding_mode
        )


class GaussianBlur(Transform):
    """Blurs each image with the weights ``exp(-x² / (2 σ²))``, normalised, reflecting it at its edges.

    Args:
        kernel_size: odd width and height of the window, or one number for both.
        sigma: bounds of σ, uniform; or one number.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: sigma (N,).

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8.

    Source: torchvision's transform of this name. Pillow's filter of this name is another one, three box filters.

    Example:
        >>> import numpy as np
        >>> GaussianBlur((3, 1), sigma=1.0)(np.array([[[[0], [100], [0]]]], np.uint8)).ravel().tolist()
        [55, 45, 55]
    """

    def __init__(self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        self.kernel_size = checked_size("GaussianBlur", kernel_size)
        if not all(side % 2 for side in self.kernel_size):
            raise ValueError(f"GaussianBlur: expected an odd kernel_size, got {kernel_size!r}")
        bounds = (sigma, sigma) if isinstance(sigma, int | float) else tuple(sigma)
        self.sigma = checked_range("GaussianBlur", "sigma", bounds)  # type: ignore[arg-type]

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"sigma": rng.uniform(*self.sigma)}

    def apply(self, batch: Array, params: Params) -> Array:
        width, height = self.kernel_size
        sigma = params["sigma"][:, None]
        return pixels.correlate_separable("GaussianBlur", batch, _gaussian(height, sigma), _gaussian(width, sigma))


class RandomAdjustSharpness(Transform):
    """Blends each image with its smoothed form, with probability `p`: ``f x + (1 - f) smooth(x)``, edges being kept.

    Args:
        sharpness_factor: f, >= 0: 0 smooths with the weights 1 around 5, of 13; 1 changes nothing, 2 sharpens.
        p: the probability.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: factor (N,), 1 for images that stay as they are.

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8.

    Source: Pillow's `ImageEnhance.Sharpness`.
    """

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        if not 0 <= sharpness_factor < np.inf:
            raise ValueError(f"RandomAdjustSharpness: expected sharpness_factor >= 0, got {sharpness_factor!r}")
        self.sharpness_factor = float(sharpness_factor)
        self.p = checked_probability("RandomAdjustSharpness", p)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"factor": np.where(rng.bernoulli(self.p), self.sharpness_factor, 1.0)}

    def apply(self, batch: Array, params: Params) -> Array:
        return sharpened("RandomAdjustSharpness", batch, params["factor"])


def sharpened(name: str, batch: Array, factor: Array) -> Array:
    """``f x + (1 - f) smooth(x)`` but for the edges: batch (N, H, W, C), factor (N,) -> like batch."""
    same = np.zeros((3, 3))
    same[1, 1] = 1
    share = factor[:, None, None]
    y = pixels.correlate(name, batch, share * same + (1 - share) * _SMOOTH)
    for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        y[edge] = batch[edge]
    return y


class GaussianNoise(Transform):
    """Adds normal noise to every value, ``x + mean + sigma z``.

    Args:
        mean: mean of the noise, for pixels in [0, 1]; uint8 images get 255 times as much.
        sigma: its standard deviation, likewise.
        clip: whether floats are limited to [0, 1]. uint8 images are always limited to [0, 255], and rounded. After
            `Normalize` set it to False.

    Shape:
        (N, H, W, C) -> (N, H, W, C); parameters: seed (N,), of the noise of an image.

    Raises:
        ValueError: if an argument does not suit.

    Example:
        >>> import numpy as np
        >>> GaussianNoise(sigma=0.0, mean=0.5)(np.zeros((1, 1, 1, 1), np.uint8)).item()
        128
    """

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        if not (np.isfinite(mean) and 0 <= sigma < np.inf):
            raise ValueError(f"GaussianNoise: expected finite mean and sigma >= 0, got {mean!r} and {sigma!r}")
        self.mean, self.sigma, self.clip = float(mean), float(sigma), bool(clip)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"seed": rng.integers(0, 2**53)}

    def apply(self, batch: Array, params: Params) -> Array:
        if checked_batch("GaussianNoise", batch).dtype == np.uint8:
            return pixels.noise(batch, params["seed"], 255 * self.mean, 255 * self.sigma, (0.0, 255.0))
        limits = (0.0, 1.0) if self.clip else (-np.inf, np.inf)
        return pixels.noise(batch, params["seed"], self.mean, self.sigma, limits)


def _gaussian(length: int, sigma: Array) -> Array:
    """Normalised weights: sigma (N, 1) -> (N, length)."""
    weights = np.exp(-0.5 * ((np.arange(length) - length // 2) / sigma) ** 2)
    normalised: Array = weights / weights.sum(axis=1, keepdims=True)
    return normalised
