"""The rows of the kernel benchmark, one module per family, each with a generator `cases()`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator

from ..case import Case

__all__ = ["FAMILIES", "all_cases", "matching"]

FAMILIES = (
    "conv", "conv_transpose", "linear", "pool", "norm", "activation", "loss", "elementwise", "reduce", "dropout",
    "optim", "augment",
)  # fmt: skip


def all_cases() -> Iterator[Case]:
    """The rows of all families, in order."""
    for family in FAMILIES:
        module = importlib.import_module(f"{__name__}.{family}")
        rows: Callable[[], Iterator[Case]] = module.cases
        yield from rows()


def matching(cases: Iterable[Case], pattern: str | None) -> list[Case]:
    """Those cases in whose label, such as "conv 128x16x32x32 K16 k3 fwd", the regular expression is found.

    Args:
        cases: the cases to choose from.
        pattern: the expression, in any case of letters; None for all cases.

    Raises:
        ValueError: if it is no regular expression, or is found nowhere.
    """
    found = list(cases)
    if pattern is None:
        return found
    try:
        expression = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"bench: --only expects a regular expression, got {pattern!r}: {error}") from None
    found = [case for case in found if expression.search(case.label)]
    if not found:
        raise ValueError(f"bench: --only {pattern!r} is found in no row; families are {', '.join(FAMILIES)}")
    return found
