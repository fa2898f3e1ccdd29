"""Checks of hyperparameters, with messages that name the class, the argument and what came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["fraction", "in_range", "nonnegative"]


def in_range(owner: str, name: str, value: Any, low: float, high: float, *, below: bool = False) -> None:
    """Raise unless `value` is a number from `low` to `high`, or below `high` with `below`.

    Raises:
        TypeError: if `value` is not a real number.
        ValueError: if it lies outside, or is NaN.
    """
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{owner}: expected {name} to be a number, got {value!r}") from error
    if not low <= number <= high or (below and number == high):
        bound = f">= {low:g}" if math.isinf(high) else f"in [{low:g}, {high:g}{')' if below else ']'}"
        raise ValueError(f"{owner}: expected {name} {bound}, got {value!r}")


def nonnegative(owner: str, group: Mapping[str, Any], *names: str) -> None:
    """Raise unless each named hyperparameter is a finite number that is not negative."""
    for name in names:
        in_range(owner, name, group[name], 0.0, math.inf, below=True)


def fraction(owner: str, group: Mapping[str, Any], *names: str) -> None:
    """Raise unless each named hyperparameter lies in [0, 1]."""
    for name in names:
        in_range(owner, name, group[name], 0.0, 1.0)
