"""Whether operations are recorded for differentiation, and how precisely they multiply: switches per thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Mode(threading.local):
    """Thread-local state; the class attribute is the value a new thread starts with."""

    recording = True
    bfloat16 = False
    measuring = False  # whether the operation being called may find its output's moments; see pending.measuring


MODE = _Mode()


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded at present."""
    return MODE.recording


class _Switch(ContextDecorator):
    """A re-entrant context manager and decorator that sets the mode on entry and restores it on exit."""

    _recording: bool

    def __init__(self) -> None:
        self._previous: list[bool] = []

    def __enter__(self) -> None:
        self._previous.append(MODE.recording)
        MODE.recording = self._recording

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        MODE.recording = self._previous.pop()


class no_grad(_Switch):
    """Context manager and decorator under which nothing is recorded: results need no gradient.

    Example:
        >>> with no_grad():
        ...     is_grad_enabled()
        False
    """

    _recording = False


class enable_grad(_Switch):
    """Context manager and decorator under which operations are recorded, even inside `no_grad`."""

    _recording = True


class set_grad_enabled(_Switch):
    """Turn recording on or off in this thread: at once, and back again when used as a context or decorator.

    Args:
        mode: True to record operations, False to compute values only.

    Example:
        >>> with set_grad_enabled(False):
        ...     is_grad_enabled()
        False
    """

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self._recording = bool(mode)
        self._before: bool | None = MODE.recording
        MODE.recording = self._recording

    def _undo(self) -> None:
        """Take back the constructor's switch, the first time the object turns out to be a context."""
        if self._before is not None:
            MODE.recording, self._before = self._before, None

    def __enter__(self) -> None:
        self._undo()
        super().__enter__()

    def __call__(self, function: _Function) -> _Function:
        self._undo()
        return super().__call__(function)
