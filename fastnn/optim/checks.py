"""Checks of hyperparameters, with messages that name the class, the argument and what came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["check_betas", "fraction", "in_range", "nonnegative", "positive"]


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


def positive(owner: str, group: Mapping[str, Any], *names: str) -> None:
    """Raise unless each named hyperparameter is a finite number above 0."""
    for name in names:
        in_range(owner, name, group[name], 0.0, math.inf, below=True)
        if group[name] == 0:
            raise ValueError(f"{owner}: expected {name} > 0, got {group[name]!r}")


def check_betas(owner: str, group: Mapping[str, Any]) -> None:
    """Raise unless "betas" are two numbers in [0, 1)."""
    betas = group["betas"]
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ValueError(f"{owner}: expected betas to be two numbers, got {betas!r}")
    for i, beta in enumerate(betas):
        in_range(owner, f"betas[{i}]", beta, 0.0, 1.0, below=True)
