"""The background thread: order, exceptions, and that it always ends."""

import gc
import itertools
import os
import subprocess
import sys
import threading
import time
import warnings

import pytest

from fastnn.data.prefetch import Prefetcher


def alive():
    return [thread for thread in threading.enumerate() if thread.name == "fastnn-prefetch"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    gc.collect()
    deadline = time.monotonic() + 5
    while alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive()


@pytest.mark.parametrize("depth", [1, 2, 100])
@pytest.mark.parametrize("count", [0, 1, 57])
def test_items_arrive_in_order(depth, count):
    with Prefetcher(iter(range(count)), depth) as items:
        assert list(items) == list(range(count))
        assert next(items, None) is None


def test_source_runs_on_another_thread_and_at_most_depth_ahead():
    made, threads = [], set()

    def source():
        for number in range(20):
            threads.add(threading.get_ident())
            made.append(number)
            yield number

    with Prefetcher(source(), 3) as items:
        for number in items:
            time.sleep(0.002)
            # Three wait, one may be made and waiting for room.
            assert len(made) <= number + 1 + 3 + 1
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_exception_arrives_after_the_items_before_it():
    def source():
        yield 1
        yield 2
        raise KeyError("broken")

    with Prefetcher(source(), 10) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(KeyError, match="broken"):
            next(items)
        assert list(items) == []


def test_leaving_early_stops_the_thread():
    made = []
    source = (made.append(i) or i for i in itertools.count())
    with Prefetcher(source, 2) as items:
        assert next(items) == 0
    assert not alive()
    count = len(made)
    time.sleep(0.02)
    assert len(made) == count <= 4
    items.close()
    assert list(items) == []


def test_close_while_the_source_works():
    entered, released = threading.Event(), threading.Event()

    def source():
        entered.set()
        released.wait(5)
        yield 1

    items = Prefetcher(source(), 1)
    entered.wait(5)
    threading.Timer(0.05, released.set).start()
    items.close()
    assert not alive()


def test_interpreter_ends_with_an_iterator_left_open():
    script = (
        "import itertools\n"
        "from fastnn.data.prefetch import Prefetcher\n"
        "items = Prefetcher(itertools.count(), 2)\n"
        "print(next(items))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "0\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_with_an_open_iterator_does_not_hang():
    items = Prefetcher(itertools.count(), 1)
    next(items)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            next(items)
        except RuntimeError as error:
            code = 0 if "fork" in str(error) else 2
        items.close()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert next(items) == 1
    items.close()
