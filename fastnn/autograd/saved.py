"""What a closure saved, and whether that has been changed in place since.

When an operation is recorded its node notes the version counters of all tensors involved. Which of their arrays the
closure captured is looked up only if, when it is to run, one of the counters stands elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, TypeAlias

import numpy as np

from .dtype import Array

Version: TypeAlias = tuple[list[int], int, int, int]
"""A tensor's version counter, its value, and the ids of its array and of that array's base, all when recorded."""

_ndarray = np.ndarray
_PLAIN = frozenset((bool, int, float, str, type(None)))
_SEQUENCES = (tuple, list)


def captured(closure: Sequence[Any], nested: bool = True) -> list[Array]:
    """The arrays in a closure's cells: by themselves, in tuples and lists, in functions that it calls."""
    found: list[Array] = []
    for cell in closure:
        try:
            content = cell.cell_contents
        except ValueError:  # the variable is set later, or was deleted
            continue
        kind = type(content)
        if kind is _ndarray:
            found.append(content)
        elif kind in _PLAIN:
            continue
        elif isinstance(content, _SEQUENCES):
            found.extend([each for each in content if type(each) is _ndarray])
        elif nested and kind is FunctionType and content.__closure__:
            found.extend(captured(content.__closure__, False))
    return found


def check_unchanged(name: str, closure: Callable[..., Any], versions: Sequence[Version]) -> None:
    """Raise if the closure captured an array whose tensor was changed in place since.

    Args:
        name: the operation's, for the message.
        closure: its backward.
        versions: those of the tensors involved when it was recorded.

    Raises:
        RuntimeError: naming the operation.
    """
    # An array that the closure captured has lived since then, so that its id is nobody else's.
    held = {id(each) for array in captured(closure.__closure__ or ()) for each in (array, array.base)}
    held.discard(id(None))
    for counter, value, array, base in versions:
        if counter[0] != value and (array in held or base in held):
            raise RuntimeError(
                f"backward through '{name}': an array it saved was changed in place since "
                f"(version {counter[0]}, saved at version {value}); change a clone() instead"
            )
