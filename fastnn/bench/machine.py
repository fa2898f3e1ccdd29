"""What the measurements were made on: processor, threads, measured peaks, and what may disturb them."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import cpu
from .._version import __version__
from ..autograd import OPS, Tensor, no_grad

__all__ = ["Machine", "Peaks", "inspect", "peaks"]

_MATRIX = 2048
_COPY_BYTES = 256 << 20
_ROUNDS = 5
_INFLUENTIAL = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD", "OMP_", "GOMP_", "MKL_", "OPENBLAS_", "FASTNN_")
"""Beginnings of the names of environment variables that change what is measured."""


@dataclass(frozen=True)
class Machine:
    """The header of every benchmark.

    Attributes:
        fastnn: fastnn's version.
        commit: the commit of the working tree that fastnn is imported from, with "+" if files differ, or "".
        processor: the processor's name.
        level: instruction-set level in use.
        features: the processor's vector features that the kernels know of.
        threads: threads of all libraries.
        processors: processors that this process may run on.
        cache_bytes: sizes of the data caches.
        libraries: versions of the libraries compared with.
        python: version of Python.
        gflops: rate of a large matrix product, the better one of fastnn's and NumPy's: the peak of all shares.
        copy_gb_per_second: bytes read and written by a copy of 256 MB on all threads, likewise.
        load: processes that wanted to run in the last minute.
        openmp: the OpenMP run-time libraries in this process; two of them disturb each other.
        environment: variables set that change what is measured.
    """

    fastnn: str
    commit: str
    processor: str
    level: str
    features: list[str]
    threads: int
    processors: int
    cache_bytes: list[int]
    libraries: dict[str, str]
    python: str
    gflops: float
    copy_gb_per_second: float
    load: float
    openmp: list[str]
    environment: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The header in words."""
        commit = f" ({self.commit})" if self.commit else ""
        compared = "".join(f", {name} {version}" for name, version in self.libraries.items())
        caches = ", ".join(f"{size / 2**20:g} MB" if size >= 2**20 else f"{size >> 10} kB" for size in self.cache_bytes)
        lines = [
            f"fastnn {self.fastnn}{commit}, Python {self.python}{compared}",
            f"{self.processor}; level {self.level}, {self.threads} of {self.processors} processors, caches {caches}",
            f"peak {self.gflops:.0f} GFLOP/s (matrix product of {_MATRIX}), copy {self.copy_gb_per_second:.1f} GB/s",
        ]
        if self.environment:
            lines.append("environment " + " ".join(f"{key}={value}" for key, value in self.environment.items()))
        return lines + [f"warning: {text}" for text in self.warnings()]

    def warnings(self) -> list[str]:
        """What makes the figures doubtful."""
        found = []
        if self.load > 0.5:
            found.append(f"the machine is busy (load {self.load:.1f}); read minima, and repeat when it is quiet")
        if len(self.openmp) > 1:
            found.append(f"{len(self.openmp)} OpenMP runtimes in one process: {', '.join(self.openmp)}")
        if self.threads > self.processors:
            found.append(f"{self.threads} threads share {self.processors} processors")
        return found


class Peaks(NamedTuple):
    """What the machine reaches at most.

    Attributes:
        gflops: rate of a large matrix product, the better one of fastnn's and NumPy's, in 10⁹ a second.
        copy_gb_per_second: bytes read and written by a copy of 256 MB on all threads, in 10⁹ a second.
    """

    gflops: float
    copy_gb_per_second: float


def peaks() -> Peaks:
    """The peaks at the present level and number of threads, measured once, which takes about two seconds."""
    return _peaks(cpu.level(), cpu.get_num_threads())


@functools.cache
def _peaks(level: str, threads: int) -> Peaks:
    return Peaks(matmul_gflops(), copy_gb_per_second(threads))


def inspect(libraries: dict[str, str], *, measure_peaks: bool = True) -> Machine:
    """Describe the machine as it is now.

    Args:
        libraries: versions of the libraries compared with.
        measure_peaks: whether to measure peaks, which takes about two seconds; otherwise they are 0.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    threads = cpu.get_num_threads()
    reached = peaks() if measure_peaks else Peaks(0.0, 0.0)
    return Machine(
        fastnn=__version__,
        commit=commit(),
        processor=cpu.processor(),
        level=cpu.level(),
        features=cpu.features(),
        threads=threads,
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cache_bytes=list(cpu.cache_sizes()),
        libraries=libraries,
        python=platform.python_version(),
        gflops=reached.gflops,
        copy_gb_per_second=reached.copy_gb_per_second,
        load=load,
        openmp=openmp_runtimes(),
        environment={key: value for key, value in sorted(os.environ.items()) if key.startswith(_INFLUENTIAL)},
    )


def matmul_gflops() -> float:
    """The best rate of several large matrix products, fastnn's and NumPy's, 2 n³ operations each, in 10⁹ a second."""
    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.standard_normal((_MATRIX, _MATRIX), np.float32)) for _ in range(2))
    with no_grad():
        ours = _shortest(lambda: OPS["matmul"](a, b).data)
    theirs = _shortest(lambda: a.data @ b.data)
    return 2 * _MATRIX**3 / min(ours, theirs) / 1e9


def copy_gb_per_second(threads: int) -> float:
    """The best rate of several copies of 256 MB, in 10⁹ bytes read and written a second."""
    sources = np.array_split(np.ones(_COPY_BYTES // 8), threads)
    targets = np.array_split(np.zeros(_COPY_BYTES // 8), threads)
    with ThreadPoolExecutor(threads) as pool:
        seconds = _shortest(lambda: list(pool.map(np.copyto, targets, sources)))
    return 2 * _COPY_BYTES / seconds / 1e9


def _shortest(work: Callable[[], Any]) -> float:
    """The shortest time of several, after a call to warm up."""
    work()
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def commit() -> str:
    """The commit of the working tree around this package, "" if there is none."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        revision = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return revision + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def openmp_runtimes() -> list[str]:
    """File names of the OpenMP run-time libraries loaded in this process (Linux; elsewhere nothing is known)."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return []
    files = {line.split()[-1] for line in maps.splitlines() if "/" in line}
    found = {os.path.realpath(file) for file in files if Path(file).name.startswith(("libgomp", "libomp", "libiomp"))}
    return sorted(Path(file).name for file in found)
