"""Flips, padding and crops: pixels move, their values stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from fastnn.transforms.base import Fusible, Params, Size, checked_probability, checked_size, is_whole
from fastnn.transforms.boxes import sample_corners
from fastnn.transforms.fused import PADDING_MODES, Fill, FusedPass, checked_fill

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator

Padding: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom: torchvision's order."""


class RandomHorizontalFlip(Fusible):
    """Mirrors each image left to right with probability `p`.

    Args:
        p: the probability.

    Shape:
        (N, H, W, C) -> (N, H, W, C); parameters: flip (N,) bool.

    Raises:
        ValueError: if `p` is not in [0, 1].

    Example:
        >>> import numpy as np
        >>> RandomHorizontalFlip(p=1.0)(np.array([[[[1], [2]]]], np.uint8)).ravel().tolist()
        [2, 1]
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability("RandomHorizontalFlip", p)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"flip": rng.bernoulli(self.p)}

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        return batch_pass.flip(horizontal=params["flip"])


class RandomVerticalFlip(Fusible):
    """Mirrors each image top to bottom with probability `p`; otherwise as `RandomHorizontalFlip`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability("RandomVerticalFlip", p)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"flip": rng.bernoulli(self.p)}

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        return batch_pass.flip(vertical=params["flip"])


class AlternatingFlip(Fusible):
    """Mirrors each image left to right in every second epoch: half of them in even ones, the others in odd ones.

    Within two epochs an image is seen both ways, exactly once each; with independent flips, half of all images are
    seen twice the same way.

    Shape:
        (N, H, W, C) -> (N, H, W, C); parameters: flip (N,) bool.

    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3.6.

    Example:
        >>> import numpy as np
        >>> from fastnn.random import SampleGenerator
        >>> flips = [AlternatingFlip().sample(SampleGenerator(0, e, [0, 1]), 2, (8, 8))["flip"] for e in range(3)]
        >>> bool((flips[0] != flips[1]).all() and (flips[0] == flips[2]).all())
        True
    """

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"flip": rng.lasting().bernoulli(0.5) ^ (rng.epoch % 2 == 1)}

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        return batch_pass.flip(horizontal=params["flip"])


class Pad(Fusible):
    """Continues images beyond their edges.

    Args:
        padding: pixels on every side; or two numbers, for left and right and for top and bottom; or four, for
            left, top, right and bottom.
        fill: value of constant padding, one or one per channel, in the range of the images' pixels.
        padding_mode: 'constant'; 'edge' repeats the outermost pixels; 'reflect' mirrors at them (cba|abc is
            'symmetric', cb|abc is 'reflect').

    Shape:
        (N, H, W, C) -> (N, H + top + bottom, W + left + right, C)

    Raises:
        ValueError: if an argument is none of these; when applied, if a mirrored border exceeds the image.

    Example:
        >>> import numpy as np
        >>> Pad((2, 0), padding_mode="reflect")(np.array([[[[1], [2], [3]]]], np.uint8)).ravel().tolist()
        [3, 2, 1, 2, 3, 2, 1]
    """

    def __init__(self, padding: int | Sequence[int], fill: Fill = 0, padding_mode: str = "constant") -> None:
        self.padding = checked_padding("Pad", padding)
        self.fill = checked_fill(fill)
        self.padding_mode = checked_padding_mode("Pad", padding_mode)

    def output_size(self, size: Size) -> Size:
        return padded_size("Pad", size, self.padding, self.padding_mode)

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        left, top, _, _ = self.padding
        return batch_pass.crop(
            np.full(batch_pass.n, -top),
            np.full(batch_pass.n, -left),
            self.output_size(batch_pass.size),
            padding_mode=self.padding_mode,
            fill=self.fill,
        )


class RandomCrop(Fusible):
    """Pads images and cuts a window out of each, every position being equally likely.

    Args:
        size: height and width of the windows, or one number for both.
        padding: as for `Pad`; None for none.
        pad_if_needed: whether to pad images smaller than the window, on both sides by what they lack.
        fill: as for `Pad`.
        padding_mode: as for `Pad`.

    Shape:
        (N, H, W, C) -> (N, \\*size, C); parameters: top (N,) and left (N,), the window's corner in the padded
        image.

    Raises:
        ValueError: if an argument does not suit; when applied, if the window is larger than the padded image.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2 (padding 4).

    Example:
        >>> import numpy as np
        >>> RandomCrop(32, padding=4)(np.zeros((8, 32, 32, 3), np.uint8)).shape
        (8, 32, 32, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Fill = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = checked_size("RandomCrop", size)
        self.padding = checked_padding("RandomCrop", 0 if padding is None else padding)
        self.pad_if_needed = bool(pad_if_needed)
        self.fill = checked_fill(fill)
        self.padding_mode = checked_padding_mode("RandomCrop", padding_mode)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        height, width = padded_size("RandomCrop", size, self._padding_for(size), self.padding_mode)
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"RandomCrop: crop {self.size} is larger than the padded image, {(height, width)}")
        top, left = sample_corners(rng, (height, width), *self.size)
        return {"top": top, "left": left}

    def output_size(self, size: Size) -> Size:
        return self.size

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        padding = self._padding_for(batch_pass.size)
        return batch_pass.crop(
            params["top"] - padding[1],
            params["left"] - padding[0],
            self.size,
            padding_mode=self.padding_mode if any(padding) else None,
            fill=self.fill,
        )

    def _padding_for(self, size: Size) -> Padding:
        left, top, right, bottom = self.padding
        if self.pad_if_needed:
            lacking_rows = max(self.size[0] - (size[0] + top + bottom), 0)
            lacking_cols = max(self.size[1] - (size[1] + left + right), 0)
            top, bottom, left, right = (
                top + lacking_rows,
                bottom + lacking_rows,
                left + lacking_cols,
                right + lacking_cols,
            )
        return left, top, right, bottom


class CenterCrop(Fusible):
    """Cuts out the middle; images that are smaller are padded with zeros.

    Args:
        size: height and width of the window, or one number for both.

    Shape:
        (N, H, W, C) -> (N, \\*size, C)

    Raises:
        ValueError: if `size` is not positive.

    Example:
        >>> import numpy as np
        >>> CenterCrop((1, 2))(np.array([[[[1], [2], [3], [4]]]], np.uint8)).ravel().tolist()
        [2, 3]
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = checked_size("CenterCrop", size)

    def output_size(self, size: Size) -> Size:
        return self.size

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        (height, width), n = batch_pass.size, batch_pass.n
        fits = height >= self.size[0] and width >= self.size[1]
        return batch_pass.crop(
            np.full(n, _centred(height, self.size[0])),
            np.full(n, _centred(width, self.size[1])),
            self.size,
            padding_mode=None if fits else "constant",
        )


def _centred(length: int, wanted: int) -> int:
    """Where a window of `wanted` begins, torchvision's rounding of halves included."""
    return round((length - wanted) / 2) if length >= wanted else -((wanted - length) // 2)


def checked_padding(name: str, padding: int | Sequence[int]) -> Padding:
    """Left, top, right and bottom from one, two or four numbers.

    Raises:
        ValueError: if they are something else, or negative.
    """
    given = tuple(padding) if isinstance(padding, Sequence) else (padding,)
    if len(given) not in (1, 2, 4) or not all(is_whole(p) and p >= 0 for p in given):
        raise ValueError(f"{name}: expected padding of one, two or four whole numbers >= 0, got {padding!r}")
    left, top, right, bottom = given * (4 // len(given))
    return int(left), int(top), int(right), int(bottom)


def checked_padding_mode(name: str, padding_mode: str) -> str:
    """`padding_mode`, if the kernel knows it; ValueError otherwise."""
    if padding_mode not in PADDING_MODES:
        raise ValueError(f"{name}: expected padding_mode to be one of {PADDING_MODES}, got {padding_mode!r}")
    return padding_mode


def padded_size(name: str, size: Size, padding: Padding, padding_mode: str) -> Size:
    """Height and width of the padded image.

    Raises:
        ValueError: if a mirrored border would need more pixels than the image has.
    """
    (height, width), (left, top, right, bottom) = size, padding
    spare = {"reflect": 1, "symmetric": 0}.get(padding_mode)
    if spare is not None and (max(left, right) > width - spare or max(top, bottom) > height - spare):
        raise ValueError(
            f"{name}: padding {padding} (left, top, right, bottom) in mode {padding_mode!r} is too wide for "
            f"images of {height}x{width}"
        )
    return height + top + bottom, width + left + right
