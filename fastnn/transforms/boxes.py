"""Random boxes of given area and aspect, by rejection: for `RandomResizedCrop` and `RandomErasing`."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np

from fastnn.transforms.base import Array, Size

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator

ATTEMPTS = 10
"""Boxes drawn for each image, of which the first that fits counts. All are drawn, so that the numbers that an
image uses do not depend on the others of its batch."""


def sample_edges(
    rng: SampleGenerator, size: Size, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[Array, Array]:
    """Draw edges of boxes: share of the image's area uniform in `scale`, log aspect in log `ratio`.

    Shape:
        -> (n, ATTEMPTS) twice, whole numbers: ``sqrt(area * aspect)`` and ``sqrt(area / aspect)``, rounded.
    """
    area = size[0] * size[1] * rng.uniform(scale[0], scale[1], ATTEMPTS)
    aspect = np.exp(rng.uniform(log(ratio[0]), log(ratio[1]), ATTEMPTS))
    return np.rint(np.sqrt(area * aspect)).astype(np.int64), np.rint(np.sqrt(area / aspect)).astype(np.int64)


def first_fitting(fits: Array, heights: Array, widths: Array) -> tuple[Array, Array, Array]:
    """Of each row of attempts the first that fits.

    Shape:
        three times (n, ATTEMPTS) -> found (n,) bool, height (n,), width (n,); any attempt if none fits.
    """
    chosen = np.argmax(fits, axis=1)
    rows = np.arange(len(fits))
    return fits[rows, chosen], heights[rows, chosen], widths[rows, chosen]


def sample_corners(rng: SampleGenerator, size: Size, height: Array | int, width: Array | int) -> tuple[Array, Array]:
    """Draw top and left of boxes, each position inside the image being equally likely.

    Shape:
        height () or (n,), width likewise -> top (n,), left (n,)
    """
    u = rng.uniform(0.0, 1.0, 2)
    top = np.floor(u[:, 0] * (size[0] - height + 1)).astype(np.int64)
    return top, np.floor(u[:, 1] * (size[1] - width + 1)).astype(np.int64)
