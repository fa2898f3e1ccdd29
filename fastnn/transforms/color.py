"""Colours: brightness, contrast, saturation, hue, grey, and offsets along the colours' principal axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from fastnn.transforms import pixels
from fastnn.transforms.base import Array, Params, Size, Transform, checked_probability
from fastnn.transforms.pixels import CONTRAST, HUE, MATRIX, STEP_COLUMNS

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the luma, ITU-R BT.601."""

GRAY_METHODS = ("luma", "mean")


def color_step(kind: int, n: int) -> Array:
    """Room for one step of the colour kernel on n images, the kind filled in: (n, STEP_COLUMNS)."""
    step = np.zeros((n, STEP_COLUMNS))
    step[:, 0] = kind
    return step


def matrix_step(matrix: Array, offset: Array | float = 0.0) -> Array:
    """The step ``x -> matrix x + offset``: matrix (n, 3, 3), offset (n, 3) or a number."""
    step = color_step(MATRIX, len(matrix))
    numbers = step[:, 1:].reshape(-1, 3, 4)
    numbers[:, :, :3] = matrix
    numbers[:, :, 3] = offset
    return step


def brightness_step(factor: Array) -> Array:
    """``f x``"""
    return matrix_step(factor[:, None, None] * np.eye(3))


def contrast_step(factor: Array) -> Array:
    """``f x + (1 - f) m``, m the mean luma of the image as it is at that step."""
    step = color_step(CONTRAST, len(factor))
    step[:, 1] = factor
    return step


def saturation_step(factor: Array, weights: Sequence[float] = LUMA) -> Array:
    """``f x + (1 - f) l``, l the luma, or another weighted mean, of the pixel."""
    gray = np.tile(weights, (3, 1))
    return matrix_step(factor[:, None, None] * np.eye(3) + (1 - factor[:, None, None]) * gray)


def hue_step(turns: Array) -> Array:
    """The hue moved by a share of the full circle."""
    step = color_step(HUE, len(turns))
    step[:, 1] = turns
    return step


class ColorJitter(Transform):
    """Changes brightness, contrast, saturation and hue of each image, in random order.

    With a factor f: brightness is ``f x``, contrast ``f x + (1 - f) m`` with m the image's mean luma, saturation
    ``f x + (1 - f) l`` with l the pixel's luma, ``0.299 R + 0.587 G + 0.114 B``. Hue is moved by h turns in the HSV
    model. All of it is float32, limited to [0, 255] after each step and rounded once at the end; torchvision and
    Pillow round after each step, and Pillow's hue has 8 bits.

    Args:
        brightness: bounds of the factor, uniform; one number b for (max(0, 1 - b), 1 + b).
        contrast: likewise.
        saturation: likewise.
        hue: bounds of the shift, within [-1/2, 1/2], uniform; one number h for (-h, h).

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8, C being 1 or 3; parameters: order (N, 4), the number of the change (0
        brightness, 1 contrast, 2 saturation, 3 hue) that comes first, second …; factor (N, 4), by number.

    Raises:
        ValueError: if bounds do not suit; when applied, if the images do not.

    Source: torchvision's transform of this name.

    Example:
        >>> import numpy as np
        >>> ColorJitter(brightness=(0.5, 0.5))(np.full((1, 1, 1, 3), 100, np.uint8)).ravel().tolist()
        [50, 50, 50]
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.0,
        contrast: float | Sequence[float] = 0.0,
        saturation: float | Sequence[float] = 0.0,
        hue: float | Sequence[float] = 0.0,
    ) -> None:
        self.brightness = _checked_factor("brightness", brightness)
        self.contrast = _checked_factor("contrast", contrast)
        self.saturation = _checked_factor("saturation", saturation)
        low, high = (-hue, hue) if isinstance(hue, int | float) else tuple(hue)
        if not -0.5 <= low <= high <= 0.5:
            raise ValueError(f"ColorJitter: expected hue within [-0.5, 0.5], got {hue!r}")
        self.hue = (float(low), float(high))

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        bounds = np.array([self.brightness, self.contrast, self.saturation, self.hue])
        u = rng.uniform(0.0, 1.0, 8)
        factor = bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) * u[:, :4]
        return {"order": np.argsort(u[:, 4:], axis=1), "factor": factor}

    def apply(self, batch: Array, params: Params) -> Array:
        factor = params["factor"]
        changes = (brightness_step, contrast_step, saturation_step, hue_step)
        steps = np.stack([change(factor[:, i]) for i, change in enumerate(changes)], axis=1)
        steps[:, :3, 0] *= factor[:, :3] != 1  # nothing to do is a step of kind 0
        steps[:, 3, 0] *= factor[:, 3] != 0
        return pixels.color("ColorJitter", batch, np.take_along_axis(steps, params["order"][:, :, None], axis=1))


class Grayscale(Transform):
    """Images without colour.

    Args:
        num_output_channels: 1, or 3 equal ones.
        method: 'luma', ``0.299 R + 0.587 G + 0.114 B``, as the eye weighs them; or 'mean', ``(R + G + B) / 3``.

    Shape:
        (N, H, W, 3) -> (N, H, W, num_output_channels), uint8

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8 of three channels.

    Example:
        >>> import numpy as np
        >>> Grayscale()(np.array([[[[100, 0, 0]]]], np.uint8)).ravel().tolist()
        [30]
    """

    def __init__(self, num_output_channels: int = 1, method: str = "luma") -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(f"Grayscale: expected num_output_channels to be 1 or 3, got {num_output_channels!r}")
        self.num_output_channels = num_output_channels
        self.method = _checked_method("Grayscale", method)

    def apply(self, batch: Array, params: Params) -> Array:
        _check_colours("Grayscale", batch)
        gray = pixels.color("Grayscale", batch, _gray_step(np.zeros(len(batch)), self.method))
        return gray if self.num_output_channels == 3 else np.ascontiguousarray(gray[..., :1])


class RandomGrayscale(Transform):
    """Takes the colour from each image with probability `p`; the channels stay three.

    Args:
        p: the probability.
        method: as for `Grayscale`.

    Shape:
        (N, H, W, 3) -> (N, H, W, 3), uint8; parameters: gray (N,) bool.

    Raises:
        ValueError: as `Grayscale`.
    """

    def __init__(self, p: float = 0.1, method: str = "luma") -> None:
        self.p = checked_probability("RandomGrayscale", p)
        self.method = _checked_method("RandomGrayscale", method)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"gray": rng.bernoulli(self.p)}

    def apply(self, batch: Array, params: Params) -> Array:
        _check_colours("RandomGrayscale", batch)
        steps = _gray_step(np.where(params["gray"], 0.0, 1.0), self.method)
        steps[:, 0, 0] *= params["gray"]
        return pixels.color("RandomGrayscale", batch, steps)


class RandomPCAColor(Transform):
    """Adds to every pixel of an image the same offset along the principal axes of the training set's colours.

    ``x + 255 Σ_k α_k λ_k p_k`` with α_k normal of mean 0 and deviation `std`: it changes intensity and colour of the
    light as much as they vary among images.

    Args:
        eigenvalues: λ, of the covariance of the colours of pixels in [0, 1].
        eigenvectors: p, a row each.
        std: deviation of α.

    Shape:
        (N, H, W, 3) -> (N, H, W, 3), uint8; parameters: alpha (N, 3).

    Raises:
        ValueError: if there are not three values and vectors of three, or `std` is negative; when applied, if the
            images are not uint8 of three channels.

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 4.1.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), np.uint8)
        >>> RandomPCAColor.fit(images)(images).shape
        (10, 8, 8, 3)
    """

    def __init__(self, eigenvalues: Sequence[float], eigenvectors: Sequence[Sequence[float]], std: float = 0.1) -> None:
        values, vectors = np.asarray(eigenvalues, np.float64), np.asarray(eigenvectors, np.float64)
        if values.shape != (3,) or vectors.shape != (3, 3) or not np.isfinite(vectors).all() or values.min() < 0:
            raise ValueError("RandomPCAColor: expected three eigenvalues >= 0 and eigenvectors (3, 3)")
        if not 0 <= std < np.inf:
            raise ValueError(f"RandomPCAColor: expected std >= 0, got {std!r}")
        self.eigenvalues = tuple(values.tolist())
        self.eigenvectors = tuple(tuple(row) for row in vectors.tolist())
        self.std = float(std)

    @classmethod
    def fit(cls, images: Array, std: float = 0.1) -> Self:
        """The transform for a training set: eigenvalues, largest first, and eigenvectors of its colours.

        Args:
            images: uint8 (N, H, W, 3), the training images alone.
            std: as for the class.
        """
        _check_colours("RandomPCAColor.fit", images)
        values, vectors = np.linalg.eigh(np.cov(images.reshape(-1, 3).T / 255.0))
        return cls(np.maximum(values[::-1], 0).tolist(), vectors.T[::-1].tolist(), std)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"alpha": self.std * rng.normal(3)}

    def apply(self, batch: Array, params: Params) -> Array:
        _check_colours("RandomPCAColor", batch)
        offset = 255 * (params["alpha"] * self.eigenvalues) @ np.array(self.eigenvectors)
        steps = matrix_step(np.broadcast_to(np.eye(3), (len(batch), 3, 3)), offset)
        return pixels.color("RandomPCAColor", batch, steps[:, None])


def _gray_step(factor: Array, method: str) -> Array:
    return saturation_step(factor, LUMA if method == "luma" else (1 / 3,) * 3)[:, None]


def _checked_factor(argument: str, value: float | Sequence[float]) -> tuple[float, float]:
    low, high = (max(0.0, 1 - value), 1 + value) if isinstance(value, int | float) else tuple(value)
    if not 0 <= low <= high < np.inf or (isinstance(value, int | float) and value < 0):
        raise ValueError(f"ColorJitter: expected {argument} >= 0 or (low, high), got {value!r}")
    return float(low), float(high)


def _checked_method(name: str, method: str) -> str:
    if method not in GRAY_METHODS:
        raise ValueError(f"{name}: expected method to be one of {GRAY_METHODS}, got {method!r}")
    return method


def _check_colours(name: str, batch: Array) -> None:
    if pixels.checked_bytes(name, batch).shape[3] != 3:
        raise ValueError(f"{name}: expected images of 3 channels, got {batch.shape[3]}")
