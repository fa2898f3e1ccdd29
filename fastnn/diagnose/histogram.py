"""Moments and a histogram of values that come batch by batch, in a size that does not depend on how many come."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_BINS = 64


class RunningHistogram:
    """Mean, spread, extremes and a histogram of all values so far; NaN and infinities are only counted.

    The histogram's bins have one width and are symmetric about 0; the range is a power of two that doubles, each
    two bins becoming one, when a value lies outside. The result is therefore the one that all values at once
    would have given. Means and squares are combined as Chan, Golub and LeVeque (1979) do.

    Example:
        >>> values = RunningHistogram()
        >>> values.add(np.array([1.0, -1.0]))
        >>> values.add(np.array([3.0, np.nan]))
        >>> values.count, values.nonfinite, values.mean, values.maximum
        (3, 1, 1.0, 3.0)
    """

    def __init__(self) -> None:
        self.count = 0
        self.zeros = 0
        self.nonfinite = 0
        self.mean = 0.0
        self.minimum, self.maximum = math.inf, -math.inf
        self._squares = 0.0
        self._range = 0.0
        self._counts = np.zeros(_BINS, np.int64)

    @property
    def std(self) -> float:
        """The standard deviation of the values, with their number as divisor; NaN if there are none."""
        return math.sqrt(self._squares / self.count) if self.count else math.nan

    def add(self, values: npt.NDArray[Any]) -> None:
        """Add values of any shape."""
        flat = np.asarray(values, np.float64).ravel()
        finite = np.isfinite(flat)
        if not finite.all():
            self.nonfinite += int(flat.size - np.count_nonzero(finite))
            flat = flat[finite]
        if not flat.size:
            return
        mean = float(flat.mean())
        squares = float(np.square(flat - mean).sum())
        total = self.count + flat.size
        self._squares += squares + (mean - self.mean) ** 2 * self.count * flat.size / total
        self.mean += (mean - self.mean) * flat.size / total
        self.count = total
        self.zeros += int(np.count_nonzero(flat == 0))
        self.minimum, self.maximum = min(self.minimum, float(flat.min())), max(self.maximum, float(flat.max()))
        self._widen(float(np.abs(flat).max()))
        # The width is a power of two, so that the quotient is exact and equal values share a bin in every range.
        places = np.floor(flat / (2 * self._range / _BINS)).astype(np.int64) + _BINS // 2
        self._counts += np.bincount(places, minlength=_BINS)

    def _widen(self, magnitude: float) -> None:
        """Double the range until it is larger than a magnitude."""
        needed = 2.0 ** max(math.frexp(magnitude)[1], -1000) if magnitude else 2.0**-1000
        if not self._range:
            self._range = needed
        while self._range < needed:
            merged = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.pad(merged, _BINS // 4)
            self._range *= 2

    def bins(self) -> tuple[list[float], list[int]]:
        """Edges (n + 1) and counts (n) of the bins from the first to the last that is not empty."""
        filled = np.flatnonzero(self._counts)
        if not filled.size:
            return [], []
        first, last = int(filled[0]), int(filled[-1]) + 1
        width = 2 * self._range / _BINS
        edges = [(place - _BINS // 2) * width for place in range(first, last + 1)]
        return edges, self._counts[first:last].tolist()
