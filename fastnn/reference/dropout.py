"""Dropout, defined down to the bit.

Element i (counted in C order over the array that is handed in) is kept if its random word reaches a
threshold:

    keep[i]   = word i of stream (seed, stream) >= threshold          (`random.words`)
    threshold = min(rint(p 2³²), 2³² - 1), rint rounding half to even
    y[i]      = x[i] scale if keep[i] else 0,    scale = 1 / (1 - p), computed in double, then in x's dtype

For p = 1 nothing is kept, whatever the words. A dropped element is exactly 0, even if it was nan. Activations
that lie in memory channels-last are handed in as (N, H, W, C), so that i counts memory positions. The mask is
not stored: the backward pass draws it again from (seed, stream).

Source: Srivastava et al. 2014, in the inverted form that leaves nothing to do at test time. Their own form, which has
the factor 1 - p at test time instead, is `scale_for_test` and a mask.
"""

import numpy as np

from ._typing import Array
from .random import words


def threshold(p: float) -> int:
    """The smallest word that is kept, ``min(rint(p 2³²), 2³² - 1)``.

    Args:
        p: probability of dropping an element.

    Returns:
        The threshold, an unsigned 32-bit integer.

    Raises:
        ValueError: if p is outside [0, 1].

    Example:
        >>> threshold(0.0), threshold(0.5) == 2**31
        (0, True)
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p must be in [0, 1], got {p}")
    return min(round(p * 2**32), 2**32 - 1)


def dropout_mask(shape: tuple[int, ...], p: float, seed: int, stream: int = 0) -> Array:
    """Which elements are kept.

    Args:
        shape: shape of the mask.
        p: probability of dropping an element.
        seed: seed of the stream.
        stream: number of the stream.

    Shape:
        -> shape

    Returns:
        A bool array, True where kept.

    Raises:
        ValueError: if p is outside [0, 1].

    Example:
        >>> dropout_mask((2, 2), 0.0, seed=0).tolist()
        [[True, True], [True, True]]
    """
    limit = threshold(p)
    if p == 1:
        return np.zeros(shape, bool)
    return (words(int(np.prod(shape)), seed, stream) >= np.uint32(limit)).reshape(shape)


def _masked(x: Array, mask: Array, p: float, inverted: bool = True) -> Array:
    scale = x.dtype.type(0 if p == 1 else 1 / (1 - p) if inverted else 1)
    return np.where(mask, x * scale, 0)


def scale_for_test(x: Array, p: float) -> Array:
    """What the form that scales at test time does in evaluation: ``y = (1 - p) x``.

    Args:
        x: input.
        p: probability of dropping in training.

    Shape:
        x (*) -> (*)

    Returns:
        The output.
    """
    return x * x.dtype.type(1 - p)


def dropout_fwd(x: Array, p: float, seed: int, stream: int = 0, inverted: bool = True) -> Array:
    """``y = x / (1 - p)`` where the mask keeps, else 0; the expected value of ``y`` is ``x``.

    Args:
        x: input.
        p: probability of dropping an element.
        seed: seed of the stream.
        stream: number of the stream.
        inverted: False has ``y = x`` where the mask keeps.

    Shape:
        x (*) -> (*)

    Returns:
        The output.

    Raises:
        ValueError: if p is outside [0, 1].
    """
    return _masked(x, dropout_mask(x.shape, p, seed, stream), p, inverted)


def dropout_bwd(dy: Array, p: float, seed: int, stream: int = 0) -> Array:
    """Gradient of `dropout_fwd`: the same mask and scale applied to ``dy``."""
    return dropout_fwd(dy, p, seed, stream)


def feature_dropout_fwd(x: Array, p: float, seed: int, stream: int = 0, inverted: bool = True) -> Array:
    """Drops whole channels: one word for each (n, c), number ``n C + c``, decides for all its positions.

    Args:
        x: input.
        p: probability of dropping a channel.
        seed: seed of the stream.
        stream: number of the stream.
        inverted: False has ``y = x`` where the mask keeps.

    Shape:
        x (N, C, *spatial) -> like x

    Returns:
        The output.

    Raises:
        ValueError: if p is outside [0, 1].

    Source: Tompson et al. 2015.
    """
    mask = dropout_mask(x.shape[:2], p, seed, stream)
    return _masked(x, mask.reshape(*mask.shape, *[1] * (x.ndim - 2)), p, inverted)


def feature_dropout_bwd(dy: Array, p: float, seed: int, stream: int = 0) -> Array:
    """Gradient of `feature_dropout_fwd`: the same mask and scale applied to ``dy``."""
    return feature_dropout_fwd(dy, p, seed, stream)


def stochastic_depth_fwd(x: Array, p: float, mode: str, seed: int, stream: int = 0, inverted: bool = True) -> Array:
    """Drops whole samples: one word for each row ("row") or for the whole batch ("batch").

    Args:
        x: input.
        p: probability of dropping a sample.
        mode: "row" or "batch".
        seed: seed of the stream.
        stream: number of the stream.
        inverted: False has ``y = x`` where the mask keeps.

    Shape:
        x (N, *) -> like x

    Returns:
        The output.

    Raises:
        ValueError: if p is outside [0, 1].

    Source: Huang et al. 2016.
    """
    mask = dropout_mask((len(x) if mode == "row" else 1,), p, seed, stream)
    return _masked(x, mask.reshape(-1, *[1] * (x.ndim - 1)), p, inverted)


def stochastic_depth_bwd(dy: Array, p: float, mode: str, seed: int, stream: int = 0, inverted: bool = True) -> Array:
    """Gradient of `stochastic_depth_fwd`: the same mask and scale applied to ``dy``."""
    return stochastic_depth_fwd(dy, p, mode, seed, stream, inverted)
