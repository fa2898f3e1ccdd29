"""Looking at operations while they compute: for tracing, profiling and the like.

An operation that nobody observes costs nothing more than before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from .op import SLOTS

__all__ = ["Observer", "observe"]

Function: TypeAlias = Callable[..., Any]
Observer: TypeAlias = Callable[[str, Function], Function]


@contextmanager
def observe(observer: Observer) -> Iterator[None]:
    """Let functions of your own stand in for those of all operations, in every thread, for the time of a `with`.

    `observer(name, function)` is asked once for each operation and returns a function that takes what `function`
    takes, arrays and options, and returns what that returns: `(y, backward)`. It usually calls `function`, looks
    at what came, and may put a closure of its own in place of `backward`, which may be None. Observers can be
    nested; the inner one sees the outer one's functions.

    Args:
        observer: makes the functions.

    Example:
        >>> seen = []
        >>> def note(name, function):
        ...     def noted(*args, **options):
        ...         seen.append(name)
        ...         return function(*args, **options)
        ...
        ...     return noted
        >>> x = fastnn.tensor([1.0, 2.0])
        >>> with observe(note):
        ...     _ = x.exp().sum()
        >>> seen
        ['exp', 'sum']
    """
    before = {name: slot.function for name, slot in SLOTS.items()}
    try:
        for name, function in before.items():
            SLOTS[name].put(observer(name, function))
        yield
    finally:
        for name, function in before.items():
            SLOTS[name].put(function)
