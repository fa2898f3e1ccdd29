"""The processor as fastnn uses it: instruction-set level, features, threads.

The level is picked once at import: the best one that the processor can run, or the one that the environment variable
`FASTNN_CPU` names. The thread count starts at the least of the processors this process may run on and its cgroup's CPU
quota; `OMP_NUM_THREADS` overrides that, `FASTNN_NUM_THREADS` overrides both. Results are bitwise the same for any
number of threads; levels differ in rounding.
"""

from __future__ import annotations

import importlib
import math
import os
import platform
import warnings
from pathlib import Path

_SPINS = "30000"


def _load_binding() -> None:
    """Load the binding, and with it OpenMP, so that its waiting threads spin briefly and then sleep.

    By default GNU OpenMP's threads spin for milliseconds at the end of a parallel region. That gains nothing on an
    idle machine, and on a busy one it takes the processor from the very thread that is being waited for: a small
    network's step then takes a hundred times as long. The runtime reads its environment once, when it is loaded;
    what the user has set there stands, and the variable is taken back for the sake of child processes.
    """
    ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if ours:
        os.environ["GOMP_SPINCOUNT"] = _SPINS
    try:
        importlib.import_module(f"{__package__}._C")
    finally:
        if ours:
            del os.environ["GOMP_SPINCOUNT"]


_load_binding()
from . import _C  # noqa: E402

__all__ = [
    "cache_sizes",
    "features",
    "get_num_threads",
    "has_openmp",
    "level",
    "levels",
    "processor",
    "set_level",
    "set_num_threads",
]


def features() -> list[str]:
    """Names of the processor's vector features that the kernels know of, such as `["sse2", "avx2", "fma"]`."""
    return list(_C.features())


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def levels() -> list[str]:
    """Names of the instruction-set levels that can run on this processor, plainest first."""
    return list(_C.levels())


def level() -> str:
    """Name of the instruction-set level in use: "portable", "avx2", "avx512" or "neon"."""
    return str(_C.level())


def set_level(name: str) -> None:
    """Use the kernels of another instruction-set level, for tests and comparisons.

    Args:
        name: one of `levels()`.

    Raises:
        ValueError: if this processor cannot run the level, or there is none of that name.
    """
    available = levels()
    if name not in available:
        raise ValueError(f"set_level: expected one of {available} on this processor, got {name!r}")
    _C.set_level(available.index(name))


def cache_sizes() -> tuple[int, int, int]:
    """Bytes of the first-, second- and third-level data cache."""
    return _C.cache_bytes(1), _C.cache_bytes(2), _C.cache_bytes(3)


def has_openmp() -> bool:
    """Whether the kernels were built with threads."""
    return bool(_C.has_openmp())


def get_num_threads() -> int:
    """Number of threads that operations may use."""
    return int(_C.num_threads())


def set_num_threads(count: int) -> None:
    """Set the number of threads that operations may use; small operations use one anyway.

    Args:
        count: at least 1. Without OpenMP it stays 1.

    Raises:
        ValueError: if `count` is not a whole number from 1 to 1024.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 1024:
        raise ValueError(f"set_num_threads: expected a whole number from 1 to 1024, got {count!r}")
    _C.set_num_threads(count)


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """CPUs that the control group's quota allows, infinity if there is none (cgroup v2, then v1)."""
    try:
        limit, period = (root / "cpu.max").read_text().split()
        return math.inf if limit == "max" else float(limit) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        pass
    try:
        limit_us = float((root / "cpu/cpu.cfs_quota_us").read_text())
        return limit_us / float((root / "cpu/cpu.cfs_period_us").read_text()) if limit_us > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _allowed_threads() -> int:
    """The least of the processors that this process may run on and, rounded up, its quota of them."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, math.ceil(quota)) if quota < processors else processors


def _default_threads() -> int:
    """The thread count that the environment asks for, or what affinity and quota allow."""
    for name in ("FASTNN_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "").split(",")[0].strip()
        if text.isdigit() and 1 <= int(text) <= 1024:
            return int(text)
        if text:
            warnings.warn(f"{name}={text!r} is not a thread count from 1 to 1024; ignored", stacklevel=2)
    return _allowed_threads()


def _configure() -> None:
    """Choose level and threads at import, and keep forked children from waiting for threads they do not have."""
    best = levels()[-1]
    wanted = os.environ.get("FASTNN_CPU", "").strip()
    if wanted and wanted not in levels():
        warnings.warn(f"FASTNN_CPU={wanted!r} is not one of {levels()}; using {best!r}", stacklevel=2)
        wanted = ""
    set_level(wanted or best)
    set_num_threads(_default_threads())
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_C.after_fork_in_child)


_configure()
