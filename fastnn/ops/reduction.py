"""What losses share: how they are reduced to one number."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

from ..autograd import Array, Backward

__all__ = ["Loss", "check_reduction", "need_real", "reduced", "scalar"]

Loss: TypeAlias = tuple[Array, Backward]


def check_reduction(name: str, reduction: str, allowed: tuple[str, ...] = ("none", "mean", "sum")) -> None:
    """Raises ValueError if the reduction is not one of those allowed."""
    if reduction not in allowed:
        raise ValueError(f"{name}: expected reduction {', '.join(map(repr, allowed))}, got {reduction!r}")


def need_real(name: str, x: Array, argument: str = "input") -> None:
    """Raises TypeError if an array is neither float32 nor float64."""
    if x.dtype.char not in "fd":
        raise TypeError(f"{name}: expected {argument} of dtype float32 or float64, got {x.dtype}")


def scalar(value: float, dtype: np.dtype[Any]) -> Array:
    """A number as a 0-dimensional array; what is too large for the dtype becomes infinite."""
    if abs(value) < 1e38:
        return np.array(value, dtype)
    with np.errstate(over="ignore"):
        return np.array(value).astype(dtype)


def reduced(each: Array, reduction: str, count: float) -> tuple[Array, float]:
    """Single losses reduced, and what multiplies the gradient of the result to give that of each of them.

    Args:
        each: the losses.
        reduction: "none", "mean" or "sum".
        count: what the mean divides by; the mean over nothing is NaN.
    """
    if reduction == "none":
        return each, 1.0
    scale = 1.0 if reduction == "sum" else 1 / count if count else math.nan
    return scalar(float(each.sum(dtype=np.float64)) * scale, each.dtype), scale
