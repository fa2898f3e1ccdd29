"""Reproducible orders: permutations and draws that depend on (seed, epoch, purpose) and on nothing else.

They are made from the raw 64-bit output of Philox-4x64-10, a counter-based generator (Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011), keyed by seed and epoch. NumPy promises that raw
output for good, while what `Generator.permutation` makes of it may change between releases (NEP 19): an
order stored only as a seed must survive an upgrade.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Purpose(IntEnum):
    """What a stream is for; two purposes never share random bits, even with equal seed and epoch."""

    SHUFFLE = 1
    WEIGHTED = 2
    BALANCED = 3
    SPLIT = 4


def bits(seed: int, epoch: int, purpose: Purpose) -> np.random.Philox:
    """Open the stream of raw 64-bit words for (seed, epoch, purpose).

    The purpose sits in the highest word of the 256-bit block counter, which no stream ever counts up to.

    Raises:
        ValueError: if seed or epoch is not in [0, 2^64).
    """
    for name, value in (("seed", seed), ("epoch", epoch)):
        if not 0 <= value < 2**64:
            raise ValueError(f"order: expected {name} in [0, 2^64), got {value}")
    key = np.array([seed, epoch], np.uint64)
    counter = np.array([0, 0, 0, int(purpose)], np.uint64)
    return np.random.Philox(key=key, counter=counter)


def permutation(stream: np.random.Philox, count: int) -> npt.NDArray[np.int64]:
    """Draw a uniform permutation of 0 .. count-1 by sorting random 64-bit keys.

    Two keys coincide with probability below count^2 / 2^65; the stable sort keeps even then a definite order.
    """
    keys = np.atleast_1d(np.asarray(stream.random_raw(count), np.uint64))
    return np.argsort(keys, kind="stable").astype(np.int64, copy=False)


def uniforms(stream: np.random.Philox, count: int) -> npt.NDArray[np.float64]:
    """Draw `count` float64 in [0, 1), from the upper 53 bits of each word."""
    words = np.atleast_1d(np.asarray(stream.random_raw(count), np.uint64))
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
