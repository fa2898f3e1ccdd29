"""fastnn: small convolutional networks on a CPU, on kernels of its own.

    import fastnn
    from fastnn import data, nn, optim, transforms

Names, argument order, defaults and semantics are PyTorch's where PyTorch has the thing.
"""
# ruff: noqa: F403 - the operations list their names in __all__

import importlib

from . import autograd, cpu, ops, random
from ._version import __version__
from .autograd import Tensor, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .autograd.dtype import (
    bool_,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from .cpu import get_num_threads, set_num_threads
from .ops import *
from .random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
bool = bool_

__all__: list[str] = [
    "Generator", "Tensor", "__version__", "autograd", "bool", "bool_", "cpu", "default_generator", "double",
    "enable_grad", "float", "float16", "float32", "float64", "get_default_dtype", "get_num_threads", "get_rng_state",
    "half", "initial_seed", "int", "int8", "int16", "int32", "int64", "is_grad_enabled", "long", "manual_seed",
    "no_grad", "ops", "promote_types", "random", "seed", "set_default_dtype", "set_grad_enabled", "set_num_threads",
    "set_rng_state", "short", "uint8",
]  # fmt: skip
__all__ += ops.__all__

_SUBMODULES = {
    "bench", "cli", "data", "diagnose", "memory", "models", "nn", "optim", "profiler", "reference", "train",
    "transforms",
}  # fmt: skip
_FUNCTIONS = {"save": "serialization", "load": "serialization"}


def __getattr__(name: str) -> object:
    """Import a submodule the first time it is used, so that `import fastnn` stays quick."""
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
