"""Tables of values: every value of a channel becomes another one. Inverting, posterising, solarising, equalising."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from fastnn.transforms import pixels
from fastnn.transforms.base import Array, Params, Size, Transform, checked_probability, is_whole

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator

_VALUES = np.arange(256)


def invert_table() -> Array:
    """``255 - v``, (256,)"""
    return (255 - _VALUES).astype(np.uint8)


def posterize_table(bits: Array) -> Array:
    """The upper `bits` bits of v, the others being 0: bits (...) -> (..., 256)."""
    lower = 8 - np.asarray(bits)[..., None]
    return np.asarray((_VALUES >> lower) << lower, np.uint8)


def solarize_table(threshold: Array) -> Array:
    """``255 - v`` from the threshold on, v below it: threshold (...) -> (..., 256)."""
    return np.where(np.asarray(threshold)[..., None] <= _VALUES, 255 - _VALUES, _VALUES).astype(np.uint8)


def autocontrast_table(histogram: Array) -> Array:
    """``floor((v - low) 255 / (high - low))``, low and high being the least and greatest value that occur.

    Shape:
        (..., 256) -> (..., 256); a histogram of one value gives back every value.
    """
    occurs = histogram > 0
    low = np.argmax(occurs, axis=-1)[..., None]
    high = 255 - np.argmax(occurs[..., ::-1], axis=-1)[..., None]
    scale = 255.0 / np.maximum(high - low, 1)
    table = np.clip(np.trunc(_VALUES * scale - low * scale), 0, 255)
    return np.where(high > low, table, _VALUES).astype(np.uint8)


def equalize_table(histogram: Array) -> Array:
    """``(step / 2 + number of smaller values) / step`` in whole numbers, so that all values become about as frequent.

    `step` is a 255th of the number of values, those of the greatest one left out; where it is 0, nothing changes.

    Shape:
        (..., 256) -> (..., 256)

    Source: Pillow's `ImageOps.equalize`.
    """
    last = 255 - np.argmax(histogram[..., ::-1] > 0, axis=-1)[..., None]
    step = (histogram.sum(axis=-1, keepdims=True) - np.take_along_axis(histogram, last, axis=-1)) // 255
    smaller = np.cumsum(histogram, axis=-1) - histogram
    table = np.minimum((step // 2 + smaller) // np.maximum(step, 1), 255)
    return np.where(step > 0, table, _VALUES).astype(np.uint8)


class _Lookup(Transform):
    """A change by a table of values that happens to each image with probability `p`."""

    p: float

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        return {"changed": rng.bernoulli(self.p)}

    @abstractmethod
    def _table(self, batch: Array) -> Array:
        """The table of the images that are changed, broadcast to (N, C, 256)."""

    def apply(self, batch: Array, params: Params) -> Array:
        name = type(self).__name__
        pixels.checked_bytes(name, batch)
        same = _VALUES.astype(np.uint8)
        return pixels.lookup(name, batch, np.where(params["changed"][:, None, None], self._table(batch), same))


class RandomInvert(_Lookup):
    """Inverts each image, ``255 - x``, with probability `p`.

    Args:
        p: the probability.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: changed (N,) bool.

    Raises:
        ValueError: if `p` is not in [0, 1]; when applied, if the images are not uint8.

    Example:
        >>> import numpy as np
        >>> RandomInvert(p=1.0)(np.array([[[[0], [200]]]], np.uint8)).ravel().tolist()
        [255, 55]
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability("RandomInvert", p)

    def _table(self, batch: Array) -> Array:
        return invert_table()


class RandomPosterize(_Lookup):
    """Keeps the upper `bits` bits of every value, with probability `p`.

    Args:
        bits: from 0 to 8.
        p: the probability.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: changed (N,) bool.

    Raises:
        ValueError: if an argument does not suit; when applied, if the images are not uint8.

    Example:
        >>> import numpy as np
        >>> RandomPosterize(2, p=1.0)(np.array([[[[63], [200]]]], np.uint8)).ravel().tolist()
        [0, 192]
    """

    def __init__(self, bits: int, p: float = 0.5) -> None:
        if not is_whole(bits) or not 0 <= bits <= 8:
            raise ValueError(f"RandomPosterize: expected bits from 0 to 8, got {bits!r}")
        self.bits, self.p = int(bits), checked_probability("RandomPosterize", p)

    def _table(self, batch: Array) -> Array:
        return posterize_table(np.array(self.bits))


class RandomSolarize(_Lookup):
    """Inverts the values that reach `threshold`, with probability `p`.

    Args:
        threshold: ``255 - x`` from here on, ``x`` below.
        p: the probability.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: changed (N,) bool.

    Raises:
        ValueError: as `RandomInvert`.

    Example:
        >>> import numpy as np
        >>> RandomSolarize(128, p=1.0)(np.array([[[[127], [128]]]], np.uint8)).ravel().tolist()
        [127, 127]
    """

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        self.threshold, self.p = float(threshold), checked_probability("RandomSolarize", p)

    def _table(self, batch: Array) -> Array:
        return solarize_table(np.array(self.threshold))


class RandomAutocontrast(_Lookup):
    """Stretches the values of each channel to 0 … 255, with probability `p`: `floor((x - low) 255 / (high - low))`.

    Args:
        p: the probability.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: changed (N,) bool.

    Raises:
        ValueError: as `RandomInvert`.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability("RandomAutocontrast", p)

    def _table(self, batch: Array) -> Array:
        return autocontrast_table(pixels.histogram("RandomAutocontrast", batch))


class RandomEqualize(_Lookup):
    """Makes the values of each channel about equally frequent, with probability `p`, as Pillow does.

    Args:
        p: the probability.

    Shape:
        (N, H, W, C) -> (N, H, W, C), uint8; parameters: changed (N,) bool.

    Raises:
        ValueError: as `RandomInvert`.
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability("RandomEqualize", p)

    def _table(self, batch: Array) -> Array:
        return equalize_table(pixels.histogram("RandomEqualize", batch))
