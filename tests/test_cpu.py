"""The processor: levels, features, and where the number of threads comes from."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import cpu
from tests.process import python

needs_openmp = pytest.mark.skipif(not cpu.has_openmp(), reason="built without OpenMP")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Put level and threads back."""
    level, threads = cpu.level(), cpu.get_num_threads()
    yield
    cpu.set_level(level)
    cpu.set_num_threads(threads)


# Levels


def test_every_level_can_be_chosen_and_computes() -> None:
    assert cpu.levels()[0] == "portable"
    a = np.random.default_rng(0).standard_normal((33, 47))
    for level in cpu.levels():
        cpu.set_level(level)
        assert cpu.level() == level
        np.testing.assert_allclose((fastnn.tensor(a) @ fastnn.tensor(a.T)).numpy(), a @ a.T, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["avx1024", "", "AVX2", "-1"])
def test_an_unknown_level_is_refused_and_changes_nothing(name: str) -> None:
    before = cpu.level()
    with pytest.raises(ValueError, match=f"set_level: expected one of .*portable.*, got {name!r}"):
        cpu.set_level(name)
    assert cpu.level() == before


@pytest.mark.parametrize("level", cpu.levels())
def test_the_environment_chooses_the_level(level: str) -> None:
    done = python("import fastnn; print(fastnn.cpu.level())", FASTNN_CPU=level)
    assert (done.stdout.strip(), done.stderr) == (level, "")


def test_without_a_choice_the_best_level_is_used() -> None:
    assert python("import fastnn; print(fastnn.cpu.level())").stdout.strip() == cpu.levels()[-1]


def test_a_level_that_cannot_run_here_is_ignored_with_a_warning() -> None:
    done = python("import fastnn; print(fastnn.cpu.level())", FASTNN_CPU="avx1024")
    assert done.stdout.strip() == cpu.levels()[-1]
    assert "FASTNN_CPU='avx1024' is not one of" in done.stderr


def test_features_and_levels_agree() -> None:
    features = cpu.features()
    assert len(set(features)) == len(features)
    if "avx2" in cpu.levels():
        assert {"avx2", "fma"} <= set(features)
    if "avx512" in cpu.levels():
        assert {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= set(features)


def test_cache_sizes_are_plausible() -> None:
    first, second, third = cpu.cache_sizes()
    assert 4 << 10 <= first <= second <= third


# The number of threads


@pytest.mark.parametrize("count", [0, -1, 1025, True, 2.0, "2", None])
def test_a_bad_thread_count_is_refused(count: Any) -> None:
    before = cpu.get_num_threads()
    with pytest.raises(ValueError, match="set_num_threads: expected a whole number from 1 to 1024"):
        fastnn.set_num_threads(count)
    assert cpu.get_num_threads() == before


@needs_openmp
@pytest.mark.parametrize("count", [1, 2, 3, 1024])
def test_the_thread_count_can_be_set(count: int) -> None:
    fastnn.set_num_threads(count)
    assert fastnn.get_num_threads() == cpu.get_num_threads() == count


PRINT_THREADS = "import fastnn; print(fastnn.get_num_threads())"


@needs_openmp
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"FASTNN_NUM_THREADS": "3", "OMP_NUM_THREADS": "5"}, 3),
        ({"OMP_NUM_THREADS": "5"}, 5),
        ({"OMP_NUM_THREADS": "5,2"}, 5),
        ({"FASTNN_NUM_THREADS": ""}, None),
        ({"FASTNN_NUM_THREADS": " 3 "}, 3),
    ],
)
def test_the_environment_sets_the_thread_count(environment: dict[str, str], expected: int | None) -> None:
    done = python(PRINT_THREADS, **environment)
    assert int(done.stdout) == (cpu._allowed_threads() if expected is None else expected)
    assert done.stderr == ""


@needs_openmp
@pytest.mark.parametrize("value", ["many", "0", "-2", "1.5", "1025"])
def test_a_thread_count_that_makes_no_sense_is_ignored_with_a_warning(value: str) -> None:
    done = python(PRINT_THREADS, FASTNN_NUM_THREADS=value, OMP_NUM_THREADS="5")
    assert int(done.stdout) == 5
    assert f"FASTNN_NUM_THREADS={value!r} is not a thread count" in done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no processor affinity here")
def test_affinity_limits_the_thread_count() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + PRINT_THREADS
    assert python(code).stdout.strip() == "1"


def cgroup(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / {"cpu_max": "cpu.max", "quota": "cpu/cpu.cfs_quota_us", "period": "cpu/cpu.cfs_period_us"}[name]
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, math.inf),
        ({"cpu_max": "max 100000\n"}, math.inf),
        ({"cpu_max": "150000 100000\n"}, 1.5),
        ({"cpu_max": "50000 100000\n", "quota": "400000", "period": "100000"}, 0.5),
        ({"quota": "300000\n", "period": "100000\n"}, 3.0),
        ({"quota": "-1\n", "period": "100000\n"}, math.inf),
        ({"quota": "300000\n"}, math.inf),
        ({"cpu_max": "nonsense\n"}, math.inf),
        ({"cpu_max": "", "quota": "200000", "period": "100000"}, 2.0),
        ({"cpu_max": "100000 0\n"}, math.inf),
    ],
)
def test_the_quota_of_the_control_group_is_read(tmp_path: Path, files: dict[str, str], expected: float) -> None:
    assert cpu._quota(cgroup(tmp_path, **files)) == expected


@pytest.mark.parametrize(("quota", "expected"), [(0.1, 1), (1.0, 1), (1.5, 2), (6.0, 4), (math.inf, 4)])
def test_the_quota_limits_the_thread_count(monkeypatch: pytest.MonkeyPatch, quota: float, expected: int) -> None:
    monkeypatch.setattr(cpu, "_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)), raising=False)
    assert cpu._allowed_threads() == expected


@needs_openmp
def test_threadpoolctl_limits_the_kernels() -> None:
    """libgomp starts its threads in the first parallel region: under a limit of one there must not be one."""
    pytest.importorskip("threadpoolctl")
    done = python(
        """
import os
import fastnn
from threadpoolctl import threadpool_limits

fastnn.set_num_threads(2)
a = fastnn.ones(600, 600)
before = len(os.listdir("/proc/self/task"))
with threadpool_limits(limits=1, user_api="openmp"):
    a @ a
    limited = len(os.listdir("/proc/self/task"))
a @ a
print(limited - before, len(os.listdir("/proc/self/task")) - before)
""",
        OPENBLAS_NUM_THREADS="1",
    )
    assert done.stdout.split() == ["0", "1"]
