"""Erasing: boxes of an image are overwritten, so that a network cannot rely on any one part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn.transforms import pixels
from fastnn.transforms.base import (
    Array,
    Fusible,
    Params,
    Size,
    checked_batch,
    checked_probability,
    checked_range,
    checked_size,
)
from fastnn.transforms.boxes import first_fitting, sample_corners, sample_edges
from fastnn.transforms.fused import FusedPass

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator


class RandomErasing(Fusible):
    """Overwrites, with probability `p`, a box of random area and aspect in each image.

    Boxes are drawn until one is smaller than the image on both axes, ten times at most.

    Args:
        p: the probability.
        scale: bounds of the box's share of the image's area, which is uniform between them.
        ratio: bounds of its height / width, whose logarithm is uniform between theirs.
        value: what to write, one number or one per channel, in the range of the pixels at this point: after
            `Normalize`, 0 is the mean. 'random' writes standard normal noise and needs float images.

    Shape:
        (N, H, W, C) -> (N, H, W, C); parameters: boxes (N, 4), top, left, height and width, height 0 for
        none; for 'random' also noise (N,), the seeds of the noise.

    Raises:
        ValueError: if an argument does not suit; when applied, if `value` does not suit the images.

    Source: Zhong et al., "Random erasing data augmentation", AAAI 2020; details as in torchvision.

    Example:
        >>> import numpy as np
        >>> erased = RandomErasing(p=1.0, value=7)(np.zeros((8, 32, 32, 3), np.uint8))
        >>> bool((erased == 7).any(axis=(1, 2, 3)).all())
        True
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
    ) -> None:
        self.p = checked_probability("RandomErasing", p)
        self.scale = checked_range("RandomErasing", "scale", scale)
        if self.scale[1] > 1:
            raise ValueError(f"RandomErasing: expected scale within (0, 1], got {scale!r}")
        self.ratio = checked_range("RandomErasing", "ratio", ratio)
        if isinstance(value, str) and value != "random":
            raise ValueError(f"RandomErasing: expected value to be numbers or 'random', got {value!r}")
        self.value = value if isinstance(value, int | float | str) else tuple(value)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        wanted = rng.bernoulli(self.p)
        heights, widths = sample_edges(rng, size, self.scale, self.ratio)
        found, height, width = first_fitting((heights < size[0]) & (widths < size[1]), heights, widths)
        erased = wanted & found
        height, width = np.where(erased, height, 0), np.where(erased, width, 0)
        top, left = sample_corners(rng, size, height, width)
        params: Params = {"boxes": np.stack([top, left, height, width], axis=1)}
        if self.value == "random":
            params["noise"] = rng.integers(0, 2**31)
        return params

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        if isinstance(self.value, str):
            return False
        return batch_pass.erase(params["boxes"], self.value)

    def apply(self, batch: Array, params: Params) -> Array:
        if self.value != "random":
            return super().apply(batch, params)
        if checked_batch("RandomErasing", batch).dtype != np.float32:
            raise ValueError("RandomErasing: value='random' needs float32 images; put it after Normalize")
        return pixels.noise(batch, params["noise"], 0.0, 1.0, (-np.inf, np.inf), params["boxes"])


class Cutout(Fusible):
    """Overwrites a box of fixed size around a random pixel of each image; what leaves the image is cut off.

    Args:
        size: height and width of the box, or one number for both.
        value: what to write, as for `RandomErasing`.

    Shape:
        (N, H, W, C) -> (N, H, W, C); parameters: boxes (N, 4), top, left, height and width.

    Raises:
        ValueError: if `size` is not positive; when applied, if `value` does not suit the images.

    Source: DeVries, Taylor, "Improved regularization of convolutional neural networks with cutout", 2017.

    Example:
        >>> import numpy as np
        >>> int((Cutout(1, value=5)(np.zeros((1, 8, 8, 1), np.uint8)) == 5).sum())
        1
    """

    def __init__(self, size: int | Sequence[int], value: float | Sequence[float] = 0) -> None:
        self.size = checked_size("Cutout", size)
        self.value = value if isinstance(value, int | float) else tuple(value)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        boxes = np.empty((n, 4), np.int64)
        boxes[:, 0], boxes[:, 1] = sample_corners(rng, size, 1, 1)
        boxes[:, :2] -= (self.size[0] // 2, self.size[1] // 2)
        boxes[:, 2:] = self.size
        return {"boxes": boxes}

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        return batch_pass.erase(params["boxes"], self.value)
