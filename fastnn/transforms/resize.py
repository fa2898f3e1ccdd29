"""Resampling: resizing, and crops of random size and aspect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn.transforms.base import Array, Fusible, Params, Size, checked_range, checked_size
from fastnn.transforms.boxes import first_fitting, sample_corners, sample_edges
from fastnn.transforms.fused import FusedPass

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator


class Resize(Fusible):
    """Resizes uint8 images with bilinear interpolation.

    Pixels are points at half-integer centres. Output position i looks at ``(i + 1/2) length / size - 1/2``,
    and weighs the pixels around it with a triangle that is one input pixel wide on each side or, when the
    image shrinks and `antialias` is set, one output pixel; results are rounded, halves to even.

    Args:
        size: height and width of the result; one number is the shorter side, the aspect being kept.
        interpolation: 'bilinear'; there is no other.
        antialias: whether to average over what an output pixel covers (as Pillow does) rather than to mix two
            neighbours (as `torch.nn.functional.interpolate` does by default).

    Shape:
        (N, H, W, C) -> (N, \\*size, C)

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8.

    Example:
        >>> import numpy as np
        >>> Resize((1, 2))(np.array([[[[0], [10], [20], [30]]]], np.uint8)).ravel().tolist()
        [7, 23]
    """

    def __init__(self, size: int | Sequence[int], interpolation: str = "bilinear", antialias: bool = True) -> None:
        pair = checked_size("Resize", size)
        self.size: int | Size = pair if isinstance(size, Sequence) and len(size) == 2 else pair[0]
        self.interpolation = _checked_interpolation("Resize", interpolation)
        self.antialias = bool(antialias)

    def output_size(self, size: Size) -> Size:
        if not isinstance(self.size, int):
            return self.size
        short = min(size)
        return max(self.size * size[0] // short, 1), max(self.size * size[1] // short, 1)

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        boxes = np.zeros((batch_pass.n, 4), np.int64)
        boxes[:, 2:] = batch_pass.size
        return batch_pass.resize(boxes, self.output_size(batch_pass.size), self.antialias)


class RandomResizedCrop(Fusible):
    """Cuts a box of random area and aspect out of each uint8 image and resizes it, as `Resize` does.

    Boxes are drawn until one fits, ten times at most; after that the largest central box of allowed aspect is
    taken.

    Args:
        size: height and width of the result, or one number for both.
        scale: bounds of the box's share of the image's area, which is uniform between them.
        ratio: bounds of its width / height, whose logarithm is uniform between theirs.
        interpolation: as for `Resize`.
        antialias: as for `Resize`.

    Shape:
        (N, H, W, C) -> (N, \\*size, C); parameters: box (N, 4), top, left, height and width.

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8.

    Source: Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6; details as in torchvision.

    Example:
        >>> import numpy as np
        >>> RandomResizedCrop(24)(np.zeros((8, 32, 40, 3), np.uint8)).shape
        (8, 24, 24, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: str = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.size = checked_size("RandomResizedCrop", size)
        self.scale = checked_range("RandomResizedCrop", "scale", scale)
        self.ratio = checked_range("RandomResizedCrop", "ratio", ratio)
        self.interpolation = _checked_interpolation("RandomResizedCrop", interpolation)
        self.antialias = bool(antialias)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        widths, heights = sample_edges(rng, size, self.scale, self.ratio)
        fits = (widths > 0) & (widths <= size[1]) & (heights > 0) & (heights <= size[0])
        found, height, width = first_fitting(fits, heights, widths)
        central = self._central_box(size)
        height, width = np.where(found, height, central[2]), np.where(found, width, central[3])
        top, left = sample_corners(rng, size, height, width)
        box: Array = np.stack([top, left, height, width], axis=1)
        box[~found] = central
        return {"box": box}

    def output_size(self, size: Size) -> Size:
        return self.size

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        return batch_pass.resize(params["box"], self.size, self.antialias)

    def _central_box(self, size: Size) -> tuple[int, int, int, int]:
        height, width = size
        aspect = min(max(width / height, self.ratio[0]), self.ratio[1])
        box_h = max(min(height, round(width / aspect)), 1)
        box_w = max(min(width, round(height * aspect)), 1)
        return (height - box_h) // 2, (width - box_w) // 2, box_h, box_w


def _checked_interpolation(name: str, interpolation: str) -> str:
    if interpolation != "bilinear":
        raise ValueError(f"{name}: expected interpolation='bilinear', got {interpolation!r}")
    return interpolation
