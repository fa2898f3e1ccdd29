"""The caching allocator: what it counts, what it keeps, what it gives back, and what it refuses."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import _C, memory
from tests.process import python

MB = 1 << 20


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    """Begin and end with an empty cache."""
    gc.collect()
    memory.empty_cache()
    yield
    memory.empty_cache()


def test_a_block_is_counted_while_its_array_lives_and_cached_afterwards() -> None:
    before = memory.stats()
    x = _C.empty((MB,), np.dtype("uint8"))
    held = memory.stats()
    assert MB <= held["in_use"] - before["in_use"] <= 1.125 * MB + 4096
    assert held["requests"] == before["requests"] + 1
    assert held["misses"] == before["misses"] + 1
    del x
    after = memory.stats()
    assert after["in_use"] == before["in_use"]
    assert after["cached"] == held["in_use"] - before["in_use"]


def test_a_view_keeps_its_block() -> None:
    x = _C.empty((MB,), np.dtype("uint8"))
    x[:] = 7
    view = x[::2][:10]
    in_use = memory.stats()["in_use"]
    del x
    gc.collect()
    assert memory.stats()["in_use"] == in_use
    assert view.tolist() == [7] * 10
    del view
    assert memory.stats()["in_use"] < in_use


def test_the_next_request_of_a_size_is_served_from_the_cache() -> None:
    address = _C.empty((3 * MB,), np.dtype("uint8")).ctypes.data
    misses = memory.stats()["misses"]
    for size in (3 * MB, 3 * MB - 1000, 3 * MB):
        assert _C.empty((size,), np.dtype("uint8")).ctypes.data == address
    assert memory.stats()["misses"] == misses


def test_two_living_arrays_never_share_memory() -> None:
    arrays = [_C.empty((n,), np.dtype("float32")) for n in (0, 1, 15, 16, 17, 1000, 1000, 5000)]
    for i, a in enumerate(arrays):
        a[...] = i
    for i, a in enumerate(arrays):
        assert (a == i).all()


@pytest.mark.parametrize("size", [1, 63, 64, 65, 4096, 16384, 100_000, 5 * MB])
def test_arrays_are_aligned_to_cache_lines(size: int) -> None:
    assert _C.empty((size,), np.dtype("uint8")).ctypes.data % 64 == 0


def test_the_cache_can_be_emptied() -> None:
    arrays = [_C.empty((MB,), np.dtype("float32")) for _ in range(3)]
    in_use = memory.stats()["in_use"]
    memory.empty_cache()
    assert memory.stats()["in_use"] == in_use
    del arrays
    assert memory.stats()["cached"] >= 12 * MB
    memory.empty_cache()
    assert memory.stats()["cached"] == 0


def test_the_peak_can_be_measured_anew() -> None:
    x = _C.empty((8 * MB,), np.dtype("uint8"))
    del x
    assert memory.stats()["peak"] >= 8 * MB
    memory.reset_peak()
    base = memory.stats()
    assert base["peak"] == base["in_use"]
    x = _C.empty((2 * MB,), np.dtype("uint8"))
    del x
    assert 2 * MB <= memory.stats()["peak"] - base["peak"] < 3 * MB


def test_results_of_operations_lie_in_it_and_other_arrays_do_not() -> None:
    x = np.ones((512, 512), np.float32)
    before = memory.stats()
    np.matmul(x, x)
    assert memory.stats() == before
    y = fastnn.Tensor(x) @ fastnn.Tensor(x)
    assert memory.stats()["in_use"] - before["in_use"] >= y.numpy().nbytes
    assert fastnn.Tensor(x).numpy() is x


@pytest.mark.parametrize("shape", [(1 << 44,), (1 << 30, 1 << 30), (1 << 40, 1 << 40, 1 << 40), (1 << 62, 4)])
def test_a_huge_request_is_refused_and_harms_nothing(shape: tuple[int, ...]) -> None:
    before = memory.stats()["in_use"]
    with pytest.raises(MemoryError, match="empty: "):
        _C.empty(shape, np.dtype("float64"))
    assert memory.stats()["in_use"] == before
    assert _C.empty((4,), np.dtype("float64")).shape == (4,)


def test_an_operation_whose_result_has_no_room_raises_memory_error() -> None:
    column = fastnn.Tensor(np.broadcast_to(np.float32(1), (1 << 24, 1)))
    with pytest.raises(MemoryError):
        column @ column.T


@pytest.mark.parametrize(("shape", "message"), [((-1,), "no negative sizes"), ((1,) * 33, "at most 32 dimensions")])
def test_an_impossible_shape_is_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _C.empty(shape, np.dtype("float32"))


VARYING_BATCHES = """
import os
import numpy as np
import fastnn
from tests.training import conv_net
import fastnn.nn.functional as F
from fastnn import optim

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

model = conv_net()
optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
rng = np.random.default_rng(0)
for step in range(400):
    n = int(rng.integers(1, 97))
    x = fastnn.Tensor(rng.standard_normal((n, 3, 16, 16), np.float32))
    loss = F.cross_entropy(model(x), fastnn.Tensor(rng.integers(0, 10, n)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step == 99:
        early, in_use = resident(), fastnn.memory.stats()["in_use"]
del x, loss
print(resident() - early, (fastnn.memory.stats()["in_use"] - in_use) / (1 << 20))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_training_on_batches_of_varying_size_does_not_grow() -> None:
    """300 steps after a hundred have filled the cache add less than one batch's activations."""
    growth, held = map(float, python(VARYING_BATCHES).stdout.split())
    assert growth < 8
    assert held < 1


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="needs POSIX")
def test_emptying_the_cache_gives_memory_back_to_the_system() -> None:
    done = python(
        """
import os
import numpy as np
from fastnn import _C, memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

x = _C.empty((256 << 20,), np.dtype("uint8"))
x[:] = 1
del x
full = resident()
memory.empty_cache()
print(full - resident())
"""
    )
    assert int(done.stdout) > 200
