"""Activations that set values near 0 or below a threshold to a constant, and the gated linear unit."""

import numpy as np

from ._typing import Array


def hardshrink_fwd(x: Array, lambd: float = 0.5) -> Array:
    """``x`` where ``|x| > lambd``, else 0. Source: Donoho, Johnstone 1994."""
    return np.where(np.abs(x) > lambd, x, 0)


def hardshrink_bwd(dy: Array, x: Array, lambd: float = 0.5) -> Array:
    """Gradient of `hardshrink_fwd`, and of `softshrink_fwd`: ``dy`` where ``|x| > lambd``, else 0."""
    return np.where(np.abs(x) > lambd, dy, 0)


def softshrink_fwd(x: Array, lambd: float = 0.5) -> Array:
    """``x`` moved towards 0 by ``lambd``, and 0 where it is not further away. Source: Donoho, Johnstone 1994.

    Example:
        >>> softshrink_fwd(np.array([-2.0, 0.25, 1.0])).tolist()
        [-1.5, 0.0, 0.5]
    """
    return np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, 0))


def threshold_fwd(x: Array, threshold: float, value: float) -> Array:
    """``x`` where above the threshold, else ``value``."""
    return np.where(x > threshold, x, value)


def threshold_bwd(dy: Array, x: Array, threshold: float) -> Array:
    """Gradient of `threshold_fwd`: ``dy`` where ``x`` is above the threshold, else 0."""
    return np.where(x > threshold, dy, 0)


def glu_fwd(x: Array, axis: int = -1) -> Array:
    """``a sigmoid(b)``, a and b being the halves of ``x`` along an axis. Source: Dauphin et al. 2017.

    Shape:
        x (*, 2 C, *) -> (*, C, *)
    """
    a, b = np.split(x, 2, axis)
    return a / (1 + np.exp(-b))


def glu_bwd(dy: Array, x: Array, axis: int = -1) -> Array:
    """Gradient of `glu_fwd`: ``dy s`` and ``dy a s (1 - s)``, s = sigmoid(b)."""
    a, b = np.split(x, 2, axis)
    s = 1 / (1 + np.exp(-b))
    return np.concatenate([dy * s, dy * a * s * (1 - s)], axis)
