"""Making the next items of an iterator on a thread of its own while the present one is used."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Prefetcher(Iterator[Item], Generic[Item]):
    """An iterator over `source`, which is run on one background thread, at most `depth` items ahead.

    Items arrive unchanged and in order. An exception of the source is raised in the consumer, after the items
    that preceded it. `close` (or leaving the `with` block) stops the thread, at the latest when the item
    it is at is done.

    Args:
        source: any iterator; only the thread touches it from here on.
        depth: the number of finished items that may wait, >= 1.

    Raises:
        RuntimeError: on `next` in a process forked off meanwhile, where the thread does not exist.
    """

    def __init__(self, source: Iterator[Item], depth: int):
        self._source = source
        self._depth = depth
        self._ready: deque[Item] = deque()
        self._error: BaseException | None = None
        self._finished = False
        self._closed = False
        self._changed = threading.Condition()
        self._process = os.getpid()
        # A daemon, so that an iterator somebody forgot does not keep the interpreter from ending.
        self._thread = threading.Thread(target=self._run, name="fastnn-prefetch", daemon=True)
        _open_prefetchers.add(self)
        self._thread.start()

    def __enter__(self) -> Prefetcher[Item]:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __next__(self) -> Item:
        if os.getpid() != self._process:
            raise RuntimeError("DataLoader: this iterator was begun before the fork; begin a new one")
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._finished or self._closed)
            if self._ready and not self._closed:
                self._changed.notify_all()
                return self._ready.popleft()
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop the thread and wait for it; harmless when it has stopped already."""
        if os.getpid() != self._process:
            return
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        # The garbage collector may close a forgotten iterator from any thread, this one's own included.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            for item in self._source:
                if not self._offer(item):
                    break
        except BaseException as error:  # handed on to the consumer, whatever it is
            self._error = error
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def _offer(self, item: Item) -> bool:
        """Queue an item as soon as there is room; false if nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._ready) < self._depth or self._closed)
            if not self._closed:
                self._ready.append(item)
                self._changed.notify_all()
            return not self._closed


_open_prefetchers: weakref.WeakSet[Prefetcher[Any]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    # A daemon thread still inside a C kernel while the process tears its libraries down could crash it.
    for prefetcher in list(_open_prefetchers):
        prefetcher.close()
