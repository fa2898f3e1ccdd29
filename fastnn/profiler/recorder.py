"""`profile`: measures the operations that run inside a `with`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator, ExitStack, contextmanager
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from ..autograd.observe import Function, Halves, observe
from ..optim.optimizer import Optimizer, observe_steps
from . import work
from .report import OperationProfile, Profile

__all__ = ["profile", "record_function"]

_Key: TypeAlias = tuple[str, tuple[tuple[int, ...], ...]]

_ACTIVE: list[profile] = []


class _Nesting(threading.local):
    """For every measurement of this thread that is under way, the seconds that measurements inside it took."""

    def __init__(self) -> None:
        self.inner: list[float] = []


_NESTING = _Nesting()


@contextmanager
def _timed(note: Callable[[float], None]) -> Iterator[None]:
    """Calls `note` with the seconds of a `with`, without those of measurements inside it."""
    inner = _NESTING.inner
    inner.append(0.0)
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        own = seconds - inner.pop()
        if inner:
            inner[-1] += seconds
        note(own)


class _Started:
    """The second half of an operation that waits, with what is known of the first: its arguments and seconds."""

    __slots__ = ("arguments", "finish", "seconds")

    def __init__(self, finish: Function, arguments: list[Any], seconds: float) -> None:
        self.finish, self.arguments, self.seconds = finish, arguments, seconds

    def __call__(self, **joined: Any) -> Any:
        return self.finish(**joined)


class profile:
    """Context manager that measures every operation, forward and backward, and every optimiser step inside it.

    It can be entered several times; times add up. Operations of all threads count. Outside of it nothing is
    slower. Inside, an operation takes a few microseconds longer, which are not counted as its own.

    Example:
        >>> with profile() as prof:
        ...     loss = (fastnn.ones(64, 32, requires_grad=True) @ fastnn.ones(32, 16)).sum()
        ...     loss.backward()
        >>> sorted((each.name, each.calls, each.forward.flops) for each in prof.report().operations)
        [('matmul', 1, 65536.0), ('sum', 1, 1024.0)]
    """

    def __init__(self) -> None:
        self.elapsed = 0.0
        self._operations: dict[_Key, OperationProfile] = {}
        self._lock = threading.Lock()
        self._context: ExitStack | None = None
        self._start = 0.0

    def __enter__(self) -> profile:
        if self._context is not None:
            raise RuntimeError("profile: already entered")
        with ExitStack() as stack:
            stack.enter_context(observe(self._observe, Halves(self._observe_start, self._observe_finish)))
            stack.enter_context(observe_steps(self._step))
            self._context = stack.pop_all()
        _ACTIVE.append(self)
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.elapsed += time.perf_counter() - self._start
        _ACTIVE.remove(self)
        context, self._context = self._context, None
        if context is not None:
            context.close()

    def report(self, group_by_input_shape: bool = False) -> Profile:
        """What was measured so far.

        Args:
            group_by_input_shape: one entry for each operation with each set of shapes, rather than for each operation.
        """
        with self._lock:
            found: dict[Any, OperationProfile] = {}
            for (name, shapes), each in self._operations.items():
                key = (name, shapes) if group_by_input_shape else name
                if key not in found:
                    found[key] = OperationProfile(name, shapes if group_by_input_shape else ())
                found[key].add(each)
        operations = sorted(found.values(), key=lambda each: each.seconds, reverse=True)
        return Profile(self.elapsed, operations)

    def __str__(self) -> str:
        return self.report().table()

    def _entry(self, key: _Key) -> OperationProfile:
        """The entry of a key; to be called with the lock held."""
        if key not in self._operations:
            self._operations[key] = OperationProfile(*key)
        return self._operations[key]

    def note(self, name: str, seconds: float) -> None:
        """Count a stretch of a program under a name of its own; see `record_function`."""
        with self._lock:
            self._entry((name, ())).forward.count(seconds, 0.0, 0)

    def _step(self, optimizer: Optimizer, step: Callable[[], None]) -> None:
        with _timed(lambda seconds: self.note(f"{type(optimizer).__name__}.step", seconds)):
            step()

    def _observe(self, name: str, function: Function) -> Function:
        """The function that stands in for an operation's while it is measured."""

        def measured(*args: Any, **options: Any) -> tuple[Any, Any]:
            spent: list[float] = []
            with _timed(spent.append):
                y, backward = function(*args, **options)
            return y, self._count(name, spent[0], [*args, *options.values()], y, backward)

        return measured

    def _observe_start(self, name: str, start: Function) -> Function:
        """The function that stands in for the first half of an operation that waits."""

        def measured(*args: Any, **options: Any) -> tuple[Any, Any, Any]:
            spent: list[float] = []
            with _timed(spent.append):
                shape, dtype, finish = start(*args, **options)
            return shape, dtype, _Started(finish, [*args, *options.values()], spent[0])

        return measured

    def _observe_finish(self, name: str, finish: Function) -> Function:
        """The function that stands in for the second half, which counts as one call with the first."""
        given, before = (finish.arguments, finish.seconds) if isinstance(finish, _Started) else ([], 0.0)

        def measured(**joined: Any) -> tuple[Any, Any]:
            spent: list[float] = []
            with _timed(spent.append):
                y, backward = finish(**joined)
            return y, self._count(name, before + spent[0], [*given, *joined.values()], y, backward)

        return _Started(measured, given, before)

    def _count(self, name: str, seconds: float, arguments: Sequence[Any], y: Any, backward: Any) -> Any:
        """Count a call of a forward pass; returns what stands in for its backward closure."""
        outputs = [np.asarray(each) for each in (y if isinstance(y, tuple) else (y,))]
        arrays = [each for each in arguments if isinstance(each, np.ndarray)]
        key = (name, tuple(each.shape for each in (*arrays, outputs[0])))
        reduced = work.reductions(name, arguments)
        largest = max(each.size for each in (*arrays, *outputs))
        moved = work.forward_bytes(arrays, outputs)
        done = work.flops(reduced, outputs[0].size, largest if moved else 0)
        with self._lock:
            self._entry(key).forward.count(seconds, done, moved)
        return None if backward is None else self._backward(key, backward, reduced, outputs[0].size, largest)

    def _backward(self, key: _Key, closure: Any, reduced: int, outputs: int, largest: int) -> Any:
        """The closure that stands in for an operation's backward pass."""

        def measured(dy: Any, needs: Any) -> Any:
            if self._context is None:
                return closure(dy, needs)
            spent: list[float] = []
            with _timed(spent.append):
                gradients = closure(dy, needs)
            products = sum(each is not None for each in gradients[:2])
            moved = work.backward_bytes(dy, closure, gradients)
            done = work.flops(reduced, outputs, largest if moved else 0, products)
            with self._lock:
                self._entry(key).backward.count(spent[0], done, moved)
            return gradients

        return measured


class record_function(ContextDecorator):
    """Context manager and decorator that counts what it holds under a name, in every `profile` that is entered.

    Times of operations inside it count as theirs, not as its.

    Args:
        name: what the stretch is called.

    Example:
        >>> with profile() as prof:
        ...     with record_function("reading"):
        ...         text = str(list(range(1000)))
        >>> [(each.name, each.calls) for each in prof.report().operations]
        [('reading', 1)]
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._open: list[Any] = []

    def _recreate_cm(self) -> record_function:
        """A context of its own for every call of a decorated function."""
        return record_function(self.name)

    def __enter__(self) -> None:
        context = _timed(self._note) if _ACTIVE else None
        self._open.append(context)
        if context is not None:
            context.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context = self._open.pop()
        if context is not None:
            context.__exit__(None, None, None)

    def _note(self, seconds: float) -> None:
        for each in list(_ACTIVE):
            each.note(self.name, seconds)
