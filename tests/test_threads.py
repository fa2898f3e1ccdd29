"""Threads: results do not depend on their number, and neither forks nor Python's own threads disturb them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import fastnn
from fastnn import cpu
from tests.process import python
from tests.training import train

needs_openmp = pytest.mark.skipif(not cpu.has_openmp(), reason="built without OpenMP")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Put level and threads back."""
    level, threads = cpu.level(), cpu.get_num_threads()
    yield
    cpu.set_level(level)
    cpu.set_num_threads(threads)


@needs_openmp
@pytest.mark.parametrize("level", cpu.levels())
def test_training_has_the_same_bits_on_any_number_of_threads(level: str) -> None:
    cpu.set_level(level)
    digests = {}
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        digests[threads] = train(20)
    assert digests[1] == digests[2] == digests[3]


def test_training_differs_with_the_seed() -> None:
    """The digest of the test above sees differences."""
    assert train(2, seed=1) != train(2, seed=2)


def test_operations_may_run_on_several_python_threads_at_once() -> None:
    """Kernels release the interpreter lock; the allocator and the thread pool are shared."""
    rng = np.random.default_rng(0)
    matrices = [rng.standard_normal((150, 150)).astype(np.float32) for _ in range(4)]
    expected = [(fastnn.Tensor(a) @ fastnn.Tensor(a)).numpy() for a in matrices]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(50):
            if not np.array_equal((fastnn.Tensor(matrices[i]) @ fastnn.Tensor(matrices[i])).numpy(), expected[i]):
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


FORK_AND_TRAIN = """
import os, signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads; that is the point here
import fastnn
from tests.training import train

fastnn.set_num_threads(2)
expected = train(3)
child = os.fork()
if child == 0:
    signal.alarm(60)
    good = fastnn.get_num_threads() == 1 and train(3) == expected
    os._exit(0 if good else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert fastnn.get_num_threads() == 2 and train(3) == expected
"""


@needs_openmp
@needs_fork
def test_a_forked_child_trains_single_threaded_to_the_same_bits() -> None:
    """libgomp's threads do not survive a fork: a child that asked for them would wait for ever."""
    assert python(FORK_AND_TRAIN, timeout=120).stdout.strip() == "0"


FORK_BESIDE_KERNELS = """
import os, signal, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numpy as np
from fastnn import _C, set_num_threads

set_num_threads(1)
sys.setswitchinterval(1e-5)
stop = False

def allocate():
    a = np.ones((1, 24, 24), np.float32)
    c = np.empty_like(a)
    while not stop:
        _C.matmul(a, False, a, True, c)  # takes workspace while it holds no interpreter lock

workers = [threading.Thread(target=allocate) for _ in range(3)]
for worker in workers:
    worker.start()
codes = set()
for _ in range(300):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        _C.empty((64,), "float32")
        os._exit(0)
    codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop = True
for worker in workers:
    worker.join()
print(codes)
"""


@needs_fork
def test_a_fork_beside_running_kernels_leaves_the_child_a_working_allocator() -> None:
    """A lock that another thread held at the fork would stay locked in the child for ever."""
    assert python(FORK_BESIDE_KERNELS, timeout=60).stdout.strip() == "{0}"
