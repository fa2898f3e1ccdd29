"""In which order a loader visits the rows of a dataset in one epoch.

A sampler has no state. Asked for the order of an epoch it answers with the whole order as one array, which
depends on the seed, the epoch and its own settings only; that is what makes resuming in mid-epoch exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sized

import numpy as np
import numpy.typing as npt

from fastnn.data.dataset import Indices
from fastnn.data.gather import checked_indices
from fastnn.data.order import Purpose, bits, permutation, uniforms


class Sampler(ABC):
    """The order of one epoch. Subclasses give `__len__` and `order`."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows visited in an epoch."""

    @abstractmethod
    def order(self, seed: int, epoch: int) -> Indices:
        """Return the rows of `epoch` in the order of their visit.

        Args:
            seed, epoch: integers in [0, 2^64). The result must be a function of them.

        Shape:
            int64 (len(self),).
        """


class SequentialSampler(Sampler):
    """Every row once, 0, 1, 2, ..., in every epoch (`torch.utils.data.SequentialSampler`).

    Args:
        data_source: the dataset, of which only the length is used.
    """

    def __init__(self, data_source: Sized):
        self._count = len(data_source)

    def __len__(self) -> int:
        return self._count

    def order(self, seed: int, epoch: int) -> Indices:
        return np.arange(self._count, dtype=np.int64)


class RandomSampler(Sampler):
    """Every row once, in an order drawn anew for each epoch (`torch.utils.data.RandomSampler`).

    Args:
        data_source: the dataset, of which only the length is used.
        replacement: draw each row independently instead, so that rows may repeat (the bootstrap).
        num_samples: rows in an epoch, by default len(data_source). Without replacement and beyond that
            length, permutation follows permutation.

    Raises:
        ValueError: if `num_samples` is negative, or positive over an empty dataset.
    """

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None):
        self._rows = len(data_source)
        self._count = self._rows if num_samples is None else num_samples
        self._replacement = replacement
        if self._count < 0 or (self._count and not self._rows):
            raise ValueError(f"RandomSampler: cannot draw {self._count} samples from {self._rows} rows")

    def __len__(self) -> int:
        return self._count

    def order(self, seed: int, epoch: int) -> Indices:
        stream = bits(seed, epoch, Purpose.SHUFFLE)
        if self._replacement:
            return (uniforms(stream, self._count) * self._rows).astype(np.int64)
        return _cycled(stream, np.arange(self._rows), self._count)


class SubsetRandomSampler(Sampler):
    """The given rows once each, shuffled anew for each epoch (`torch.utils.data.SubsetRandomSampler`).

    Args:
        indices: integers >= 0.
    """

    def __init__(self, indices: npt.ArrayLike):
        self._indices = checked_indices("SubsetRandomSampler", indices, np.iinfo(np.int64).max)

    def __len__(self) -> int:
        return len(self._indices)

    def order(self, seed: int, epoch: int) -> Indices:
        return self._indices[permutation(bits(seed, epoch, Purpose.SHUFFLE), len(self._indices))]


class WeightedRandomSampler(Sampler):
    """Rows drawn with probabilities in proportion to weights (`torch.utils.data.WeightedRandomSampler`).

    With replacement each draw inverts the cumulative distribution. Without, row i gets the key
    ``-log(1 - u_i) / w_i`` with u_i uniform, and the rows with the smallest keys are taken, smallest first.
    The key is the time at which the row would first ring if it rang at rate w_i, so this is sampling one by
    one in proportion to the weights left (Efraimidis and Spirakis, "Weighted random sampling with a
    reservoir", Information Processing Letters 97, 2006).

    Args:
        weights: one per row, finite and >= 0, with a positive sum; rows of weight 0 are never drawn.
        num_samples: rows in an epoch.
        replacement: whether a row may be drawn more than once.

    Shape:
        weights (N,).

    Raises:
        ValueError: if a weight is negative or not finite, all are zero, or without replacement fewer than
            `num_samples` are positive.
    """

    def __init__(self, weights: npt.ArrayLike, num_samples: int, replacement: bool = True):
        self._weights = np.asarray(weights, np.float64)
        self._count = num_samples
        self._replacement = replacement
        if self._weights.ndim != 1 or not np.isfinite(self._weights).all() or (self._weights < 0).any():
            raise ValueError("WeightedRandomSampler: expected finite weights >= 0 of shape (N,)")
        available = int(np.count_nonzero(self._weights))
        if num_samples < 0 or (num_samples and not available) or (not replacement and num_samples > available):
            raise ValueError(
                f"WeightedRandomSampler: cannot draw {num_samples} samples "
                f"{'with' if replacement else 'without'} replacement from {available} rows of positive weight"
            )

    def __len__(self) -> int:
        return self._count

    def order(self, seed: int, epoch: int) -> Indices:
        stream = bits(seed, epoch, Purpose.WEIGHTED)
        rows = np.flatnonzero(self._weights)
        weights = self._weights[rows]
        if not self._count:
            chosen = rows[:0]
        elif self._replacement:
            total = np.cumsum(weights)
            # side="right" and the clip keep u = 0 and a rounded u * total = total on rows that exist.
            draw = np.searchsorted(total, uniforms(stream, self._count) * total[-1], side="right")
            chosen = rows[np.minimum(draw, len(rows) - 1)]
        else:
            keys = -np.log1p(-uniforms(stream, len(rows))) / weights
            chosen = rows[np.argsort(keys, kind="stable")[: self._count]]
        return chosen.astype(np.int64, copy=False)


class ClassBalancedSampler(Sampler):
    """Every class equally often, whatever its share of the data.

    Of ``num_samples`` rows each of the K classes gets ``num_samples // K``; the remainder goes one each to
    classes drawn at random. A class smaller than its share runs through all its rows, in a fresh order each
    time, before any of them comes once more; of a larger one a random part is used. Counts are therefore
    exact, which independent draws in proportion to 1 / class size are not.

    Args:
        labels: the class of each row, as in `dataset.labels`.
        num_samples: rows in an epoch, by default len(labels).

    Shape:
        labels (N,).

    Raises:
        TypeError, ValueError: if the labels are not integers of shape (N,), or there are none to draw from.
    """

    def __init__(self, labels: npt.ArrayLike, num_samples: int | None = None):
        array = np.asarray(labels)
        if array.dtype.kind not in "iu" and array.size:
            raise TypeError(f"ClassBalancedSampler: expected integer labels, got {array.dtype}")
        if array.ndim != 1:
            raise ValueError(f"ClassBalancedSampler: expected labels (N,), got shape {array.shape}")
        self._members = [np.flatnonzero(array == label) for label in np.unique(array)]
        self._count = len(array) if num_samples is None else num_samples
        if self._count < 0 or (self._count and not self._members):
            raise ValueError(f"ClassBalancedSampler: cannot draw {self._count} samples from {len(array)} rows")

    def __len__(self) -> int:
        return self._count

    def order(self, seed: int, epoch: int) -> Indices:
        if not self._count:
            return np.empty(0, np.int64)
        stream = bits(seed, epoch, Purpose.BALANCED)
        share, rest = divmod(self._count, len(self._members))
        sizes = np.full(len(self._members), share)
        sizes[permutation(stream, len(self._members))[:rest]] += 1
        drawn = [_cycled(stream, rows, int(size)) for rows, size in zip(self._members, sizes, strict=True)]
        return np.concatenate(drawn)[permutation(stream, self._count)]


def _cycled(stream: np.random.Philox, rows: Indices, count: int) -> Indices:
    """The first `count` entries of an endless series of permutations of `rows`."""
    rounds = [rows[permutation(stream, len(rows))] for _ in range(-(-count // max(len(rows), 1)))]
    return np.concatenate([np.empty(0, np.int64), *rounds])[:count]
