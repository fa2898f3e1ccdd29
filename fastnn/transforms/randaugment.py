"""Transforms of transforms: applied to some images, and RandAugment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn.transforms import pixels, values
from fastnn.transforms.affine import inverse_matrices
from fastnn.transforms.base import Array, Params, Size, Transform, checked_probability, is_whole
from fastnn.transforms.color import brightness_step, contrast_step, saturation_step
from fastnn.transforms.compose import Compose
from fastnn.transforms.filters import sharpened
from fastnn.transforms.fused import Fill, checked_fill
from fastnn.transforms.pixels import checked_interpolation

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator

OPERATIONS = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
"""What RandAugment chooses from, in the order of its parameters' numbers."""

_COLOURS = {"Brightness": brightness_step, "Color": saturation_step, "Contrast": contrast_step}


class RandomApply(Transform):
    """Applies transforms, all or none of them, to each image with probability `p`.

    Args:
        transforms: what to apply, in order; they must keep size and dtype.
        p: the probability.

    Shape:
        (N, H, W, C) -> (N, H, W, C); parameters: applied (N,) bool, and those of `Compose`.

    Raises:
        ValueError: if an argument does not suit; when applied, if the transforms change size or dtype.

    Example:
        >>> import numpy as np
        >>> from fastnn.transforms import GaussianBlur
        >>> RandomApply([GaussianBlur(3)], p=0.3)(np.zeros((4, 8, 8, 3), np.uint8)).shape
        (4, 8, 8, 3)
    """

    def __init__(self, transforms: Sequence[Transform], p: float = 0.5) -> None:
        self.transforms = Compose(transforms).transforms
        self.p = checked_probability("RandomApply", p)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"applied": rng.bernoulli(self.p)} | Compose(self.transforms).sample(rng, n, size)

    def apply(self, batch: Array, params: Params) -> Array:
        rows = np.flatnonzero(params["applied"])
        own = {name: column[rows] for name, column in params.items() if name != "applied"}
        return replaced("RandomApply", batch, rows, Compose(self.transforms).apply(batch[rows], own))


class RandAugment(Transform):
    """Applies to each image `num_ops` operations, each drawn from fourteen, all of the same magnitude.

    At magnitude m of b bins, with r = m / (b - 1): shears have the slope 0.3 r, translations 150/331 r of the size,
    rotations 30 r degrees, brightness, colour, contrast and sharpness the factor 1 ± 0.9 r, posterising keeps
    8 - 4 r bits, solarising inverts from 255 (1 - r) on; auto-contrast, equalising and the identity have no
    magnitude. Signs are positive or negative with equal probability.

    Args:
        num_ops: operations on each image, >= 0.
        magnitude: from 0 to num_magnitude_bins - 1.
        num_magnitude_bins: >= 2.
        interpolation: of the geometric operations, 'nearest' or 'bilinear'.
        fill: what comes in from outside, as for `Affine`.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8, C being 1 or 3; parameters: operation (N, num_ops), numbers in
        `fastnn.transforms.randaugment.OPERATIONS`; negative (N, num_ops) bool.

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8.

    Source: Cubuk, Zoph, Shlens, Le, "RandAugment: practical automated data augmentation with a reduced search space",
    2020; ranges as in torchvision.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: str = "nearest",
        fill: Fill = 0,
    ) -> None:
        if not is_whole(num_ops) or num_ops < 0:
            raise ValueError(f"RandAugment: expected num_ops >= 0, got {num_ops!r}")
        if not is_whole(num_magnitude_bins) or num_magnitude_bins < 2:
            raise ValueError(f"RandAugment: expected num_magnitude_bins >= 2, got {num_magnitude_bins!r}")
        if not is_whole(magnitude) or not 0 <= magnitude < num_magnitude_bins:
            raise ValueError(f"RandAugment: expected magnitude from 0 to {num_magnitude_bins - 1}, got {magnitude!r}")
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins
        self.interpolation = checked_interpolation("RandAugment", interpolation)
        self.fill = checked_fill(fill)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        operation = rng.integers(0, len(OPERATIONS), max(self.num_ops, 1))[:, : self.num_ops]
        negative = rng.uniform(0.0, 1.0, max(self.num_ops, 1))[:, : self.num_ops] < 0.5
        return {"operation": operation, "negative": negative}

    def apply(self, batch: Array, params: Params) -> Array:
        batch = pixels.checked_bytes("RandAugment", batch)
        for k in range(self.num_ops):
            operation, negative = params["operation"][:, k], params["negative"][:, k]
            for number, name in enumerate(OPERATIONS):
                rows = np.flatnonzero(operation == number)
                if len(rows) and name != "Identity":
                    sign = np.where(negative[rows], -1.0, 1.0)
                    batch = replaced("RandAugment", batch, rows, self._operation(name, batch[rows], sign))
        return batch

    def _operation(self, name: str, batch: Array, sign: Array) -> Array:
        """One of the operations at this magnitude."""
        most = self.num_magnitude_bins - 1
        share = self.magnitude / most
        if name in _COLOURS:
            return pixels.color("RandAugment", batch, _COLOURS[name](1 + 0.9 * share * sign)[:, None])
        if name == "Sharpness":
            return sharpened("RandAugment", batch, 1 + 0.9 * share * sign)
        tables = {
            "Posterize": lambda: values.posterize_table(np.array(8 - round(4 * share))),
            "Solarize": lambda: values.solarize_table(np.array(255 * (most - self.magnitude) / most)),
            "AutoContrast": lambda: values.autocontrast_table(pixels.histogram("RandAugment", batch)),
            "Equalize": lambda: values.equalize_table(pixels.histogram("RandAugment", batch)),
        }
        if name in tables:
            return pixels.lookup("RandAugment", batch, tables[name]())
        size = batch.shape[1], batch.shape[2]
        matrices = _geometric(name, share, sign, size)
        return pixels.affine("RandAugment", batch, matrices, size, self.interpolation, self.fill)


def _geometric(name: str, share: float, sign: Array, size: Size) -> Array:
    """The inverse map of a shear, translation or rotation, (n, 6). Shears keep the upper left corner."""
    matrices = np.tile([1.0, 0, 0, 0, 1, 0], (len(sign), 1))
    if name == "Rotate":
        still = np.zeros((len(sign), 2))
        return inverse_matrices(30 * share * sign, still, still + 1, still, size, None)
    column, amount = {
        "ShearX": (1, 0.3 * share),
        "ShearY": (3, 0.3 * share),
        "TranslateX": (2, int(150 / 331 * share * size[1])),
        "TranslateY": (5, int(150 / 331 * share * size[0])),
    }[name]
    matrices[:, column] = amount * sign
    return matrices


def replaced(name: str, batch: Array, rows: Array, images: Array) -> Array:
    """A copy of the batch with other images in some rows.

    Raises:
        ValueError: if size, channels or dtype of the new images differ.
    """
    if images.shape[1:] != batch.shape[1:] or images.dtype != batch.dtype:
        raise ValueError(
            f"{name}: expected transforms that keep {batch.dtype} images of {batch.shape[1:]}, got {images.dtype} "
            f"of {images.shape[1:]}"
        )
    out = batch.copy()
    out[rows] = images
    return out
