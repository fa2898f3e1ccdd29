"""`fastnn info`: version, processor, threads, and what the machine reaches at most."""

from __future__ import annotations

import argparse
import platform
from typing import Any

import numpy as np

from .parser import count

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--threads", type=count, metavar="N", help="threads of the kernels")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from .. import cpu
    from .._version import __version__
    from ..bench.machine import peaks
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
        **peaks()._asdict(),
    }
    caches = ", ".join(_size(size) for size in facts["cache_bytes"])
    print(f"fastnn {__version__}, Python {facts['python']}, NumPy {np.__version__}, {facts['machine']}")
    print(f"level      {facts['level']} of {', '.join(facts['levels'])} (FASTNN_CPU chooses)")
    print(f"features   {' '.join(facts['features'])}")
    print(f"caches     {caches}")
    print(f"threads    {facts['threads']}" + ("" if facts["openmp"] else " (built without OpenMP)"))
    print(f"peak       {facts['gflops']:.0f} GFLOP/s, large float32 matrix product")
    print(f"memory     {facts['copy_gb_per_second']:.1f} GB/s read and written, large copy")
    if args.json:
        print(json_text(facts))
    return 0


def _size(count: int) -> str:
    return f"{count >> 20} MB" if count >= 1 << 20 else f"{count >> 10} kB"
