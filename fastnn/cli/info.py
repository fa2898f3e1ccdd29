"""`fastnn info`: version, processor, threads, and what the machine reaches at most."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .parser import count

__all__ = ["add_arguments", "run"]

_MATRIX = 2048
_COPY_BYTES = 256 << 20
_ROUNDS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--threads", type=count, metavar="N", help="threads of the kernels")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from .. import cpu
    from .._version import __version__
    from ..train.files import json_text

    if args.threads is not None:
        cpu.set_num_threads(args.threads)
    facts: dict[str, Any] = {
        "fastnn": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "level": cpu.level(),
        "levels": cpu.levels(),
        "features": cpu.features(),
        "cache_bytes": cpu.cache_sizes(),
        "openmp": cpu.has_openmp(),
        "threads": cpu.get_num_threads(),
        "gflops": matmul_gflops(),
        "copy_gb_per_second": copy_gb_per_second(),
    }
    caches = ", ".join(_size(size) for size in facts["cache_bytes"])
    print(f"fastnn {__version__}, Python {facts['python']}, NumPy {np.__version__}, {facts['machine']}")
    print(f"level      {facts['level']} of {', '.join(facts['levels'])} (FASTNN_CPU chooses)")
    print(f"features   {' '.join(facts['features'])}")
    print(f"caches     {caches}")
    print(f"threads    {facts['threads']}" + ("" if facts["openmp"] else " (built without OpenMP)"))
    print(f"peak       {facts['gflops']:.0f} GFLOP/s, float32 matrix product of {_MATRIX} x {_MATRIX}")
    print(f"memory     {facts['copy_gb_per_second']:.1f} GB/s read and written, copy on one thread")
    if args.json:
        print(json_text(facts))
    return 0


def matmul_gflops() -> float:
    """The best rate of several large matrix products, 2 n³ operations each, in 10⁹ per second."""
    from ..autograd import OPS, Tensor, no_grad

    rng = np.random.default_rng(0)
    a, b = (Tensor(rng.standard_normal((_MATRIX, _MATRIX), np.float32)) for _ in range(2))
    with no_grad():
        seconds = _shortest(lambda: OPS["matmul"](a, b))
    return 2 * _MATRIX**3 / seconds / 1e9


def copy_gb_per_second() -> float:
    """The best rate of several copies of 256 MB, in 10⁹ bytes read and written per second."""
    source = np.ones(_COPY_BYTES, np.uint8)
    target = np.zeros_like(source)
    return 2 * _COPY_BYTES / _shortest(lambda: np.copyto(target, source)) / 1e9


def _shortest(work: Callable[[], Any]) -> float:
    """The shortest of several times that `work` takes, in seconds, after one run to warm up."""
    times = []
    for _ in range(_ROUNDS + 1):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _size(count: int) -> str:
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count >> 10} kB"
