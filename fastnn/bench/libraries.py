"""The libraries to compare with: loading them, and giving all of them the same number of threads."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import cpu

__all__ = ["limit_blas", "load", "set_threads", "versions"]

_PACKAGES = {"numpy": "numpy", "torch": "torch", "onnxruntime": "onnxruntime", "pillow": "PIL"}


def load(names: Sequence[str]) -> dict[str, Any]:
    """The modules of the libraries called `names`.

    Raises:
        ImportError: if one is not installed.
    """
    modules: dict[str, Any] = {}
    for name in names:
        try:
            modules[name] = np if name == "numpy" else importlib.import_module(_PACKAGES[name])
        except ImportError as error:
            raise ImportError(f"bench: --against {name} needs {name}: pip install {name} ({error})") from None
    return modules


def set_threads(count: int | None, modules: dict[str, Any]) -> int:
    """Let fastnn, PyTorch and NumPy's BLAS use `count` threads.

    Args:
        count: how many; None means as many as fastnn uses by itself.
        modules: what `load` gave.

    Returns:
        The number of threads.
    """
    if count is not None:
        cpu.set_num_threads(count)
    threads = cpu.get_num_threads()
    if "torch" in modules:
        modules["torch"].set_num_threads(threads)
        modules["torch"].set_grad_enabled(False)
    limit_blas(threads)
    return threads


def limit_blas(threads: int) -> bool:
    """Limit the threads of NumPy's matrix products; whether that was possible (it takes threadpoolctl)."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return False
    threadpool_limits(limits=threads, user_api="blas")
    return True


def versions(modules: dict[str, Any]) -> dict[str, str]:
    """The version of each library, PyTorch's with the instruction set that it uses."""
    found = {name: str(module.__version__) for name, module in modules.items()}
    if "torch" in modules:
        found["torch"] += f" ({modules['torch'].backends.cpu.get_cpu_capability()})"
    return found
