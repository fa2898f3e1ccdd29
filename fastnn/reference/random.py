"""The counter-based random generator Philox-4x32-10.

A counter-based generator is a function from (key, counter) to random bits, a short block cipher without
secrecy. Element i of an array can be drawn on its own, so the result does not depend on how the work is
divided among threads.

The convention of this library, which the C kernels share: a stream of 32-bit words is named by ``(seed,
stream)``, two 64-bit integers. Word number i of that stream is

    word i % 4 of philox4x32(counter, key)
    counter = (b mod 2³², b div 2³², stream mod 2³², stream div 2³²)  with b = i div 4
    key     = (seed mod 2³², seed div 2³²)

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import numpy as np
from numpy.typing import DTypeLike

from ._typing import Array

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) - 1, times 2^32
ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(counter: Array, key: tuple[int, int], rounds: int = ROUNDS) -> Array:
    """Philox-4x32: encrypts counters of four words under a key of two.

    One round, with ``hi`` and ``lo`` the halves of a 64-bit product, turns ``(c0, c1, c2, c3)`` into
    ``(hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0))``; after each round the key words grow
    by constants.

    Args:
        counter: counters, unsigned 32-bit words.
        key: two unsigned 32-bit words.
        rounds: number of rounds.

    Shape:
        counter (*, 4) -> (*, 4)

    Returns:
        Random words, uint32.

    Example:
        >>> [hex(word) for word in philox4x32(np.zeros(4, np.uint32), (0, 0))]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter).astype(np.uint64), -1, 0)
    m0, m1 = (np.uint64(m) for m in MULTIPLIERS)
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = m0 * c0, m1 * c2
        c0, c1 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW
        c2, c3 = (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + KEY_INCREMENTS[0]) % 2**32, (k1 + KEY_INCREMENTS[1]) % 2**32
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def words(count: int, seed: int, stream: int = 0) -> Array:
    """The first words of a stream, as the module's text defines it.

    Args:
        count: how many.
        seed: 64-bit seed.
        stream: 64-bit number of the stream; each draw of a generator uses a new one.

    Shape:
        -> (count,)

    Returns:
        Words, uint32.

    Raises:
        ValueError: if seed or stream is not an unsigned 64-bit integer.

    Example:
        >>> bool((words(5, seed=1)[:3] == words(3, seed=1)).all())
        True
    """
    if not (0 <= seed < 2**64 and 0 <= stream < 2**64):
        raise ValueError(f"words: seed and stream must be in [0, 2**64), got {seed} and {stream}")
    block = np.arange(-(-count // 4), dtype=np.uint64)
    counter = np.empty((len(block), 4), np.uint64)
    counter[:, 0], counter[:, 1] = block & _LOW, block >> _HALF
    counter[:, 2], counter[:, 3] = stream % 2**32, stream >> 32
    return philox4x32(counter, (seed % 2**32, seed >> 32)).reshape(-1)[:count]


def uniform(shape: int | tuple[int, ...], seed: int, stream: int = 0, dtype: DTypeLike = np.float32) -> Array:
    """Uniform numbers in [0, 1): equally spaced, 1 never reached.

    float32: element i is ``(word i >> 8) 2⁻²⁴``, 24 random bits. float64: element i is
    ``((word 2i >> 5) 2²⁶ + (word 2i+1 >> 6)) 2⁻⁵³``, 53 random bits. Elements are counted in C order.

    Args:
        shape: shape of the result.
        seed: seed of the stream.
        stream: number of the stream.
        dtype: float32 or float64.

    Shape:
        -> shape

    Returns:
        The numbers.

    Raises:
        TypeError: for another dtype.

    Example:
        >>> uniform((2, 3), seed=0).dtype.name
        'float32'
    """
    shape = (shape,) if isinstance(shape, int) else shape
    count = int(np.prod(shape))
    if np.dtype(dtype) == np.float32:
        bits = words(count, seed, stream) >> np.uint32(8)
        return (bits.astype(np.float32) * np.float32(2.0**-24)).reshape(shape)
    if np.dtype(dtype) != np.float64:
        raise TypeError(f"uniform: dtype must be float32 or float64, got {np.dtype(dtype)}")
    high, low = words(2 * count, seed, stream).astype(np.uint64).reshape(-1, 2).T
    bits = ((high >> np.uint64(5)) << np.uint64(26)) + (low >> np.uint64(6))
    return (bits.astype(np.float64) * 2.0**-53).reshape(shape)


def normal(shape: int | tuple[int, ...], seed: int, stream: int = 0, dtype: DTypeLike = np.float32) -> Array:
    """Standard normal numbers by the transform of Box and Muller, from the numbers of `uniform`.

    Of every 64 uniform numbers, number k < 32 gives the radius ``r = √(-2 ln(1 - u))`` and number 32 + k the angle
    ``a = 2π u``; elements k and 32 + k are ``r cos a`` and ``r sin a``.

    Args:
        shape: shape of the result.
        seed: seed of the stream.
        stream: number of the stream.
        dtype: float32 or float64; the formula is evaluated in float64.

    Shape:
        -> shape

    Returns:
        The numbers.

    Raises:
        TypeError: for another dtype.

    Source: Box, Muller, "A note on the generation of random normal deviates", 1958.

    Example:
        >>> bool(abs(normal(1000, seed=1).std() - 1) < 0.1)
        True
    """
    shape = (shape,) if isinstance(shape, int) else shape
    count = int(np.prod(shape))
    groups = uniform((-(-count // 64), 2, 32), seed, stream, dtype).astype(np.float64)
    radius, angle = np.sqrt(-2 * np.log1p(-groups[:, 0])), 2 * np.pi * groups[:, 1]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return pairs.reshape(-1)[:count].reshape(shape).astype(dtype)
