"""Looking at operations while they compute: for tracing, profiling and the like.

An operation that nobody observes costs nothing more than before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from .op import SLOTS
from .pending import OBSERVERS, Halves

__all__ = ["Halves", "Observer", "observe"]

Function: TypeAlias = Callable[..., Any]
Observer: TypeAlias = Callable[[str, Function], Function]


@contextmanager
def observe(observer: Observer, halves: Halves | None = None) -> Iterator[None]:
    """Let functions of your own stand in for those of all operations, in every thread, for the time of a `with`.

    `observer(name, function)` is asked once for each operation and returns a function that takes what `function`
    takes, arrays and options, and returns what that returns: `(y, backward)`. It usually calls `function`, looks
    at what came, and may put a closure of its own in place of `backward`, which may be None. Observers can be
    nested; the inner one sees the outer one's functions.

    Operations that wait for what follows them (`autograd.pending`) compute by themselves, so that all are seen, unless
    `halves` are given. Gradients of a batch norm that a pooling would have joined then differ in rounding, and so do
    statistics that a convolution would have left to the norm behind it.

    Args:
        observer: makes the functions.
        halves: makes those that stand in for the two halves of operations that go on waiting: `halves.start(name,
            start)` in the call, and when the output is computed `halves.finish(name, finish)`, `name` being that of
            all operations that have joined. Both are called every time.

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
    before = {name: (slot.function, slot.alone) for name, slot in SLOTS.items()}
    if halves is not None:
        OBSERVERS.append(halves)
    try:
        for name, (function, alone) in before.items():
            SLOTS[name].put(observer(name, function))
            SLOTS[name].alone = alone or halves is None
        yield
    finally:
        for name, (function, alone) in before.items():
            SLOTS[name].put(function)
            SLOTS[name].alone = alone
        if halves is not None:
            OBSERVERS.remove(halves)
