"""fastnn: small convolutional networks on a CPU, on kernels of its own.

    import fastnn
    from fastnn import data, nn, optim, transforms

Names, argument order, defaults and semantics are PyTorch's where PyTorch has the thing.
"""
# ruff: noqa: F403 - the modules of operations list their public names in __all__

import importlib
from typing import TYPE_CHECKING

from . import cpu as cpu  # isort: skip - first: it loads the binding
from . import autograd as autograd
from . import ops as ops
from . import random as random
from ._version import __version__ as __version__
from .autograd import Tensor as Tensor
from .autograd import autocast as autocast
from .autograd import enable_grad as enable_grad
from .autograd import is_autocast_enabled as is_autocast_enabled
from .autograd import is_grad_enabled as is_grad_enabled
from .autograd import no_grad as no_grad
from .autograd import set_grad_enabled as set_grad_enabled
from .autograd.dtype import bool_ as bool_
from .autograd.dtype import float16 as float16
from .autograd.dtype import float32 as float32
from .autograd.dtype import float64 as float64
from .autograd.dtype import get_default_dtype as get_default_dtype
from .autograd.dtype import int8 as int8
from .autograd.dtype import int16 as int16
from .autograd.dtype import int32 as int32
from .autograd.dtype import int64 as int64
from .autograd.dtype import promote_types as promote_types
from .autograd.dtype import set_default_dtype as set_default_dtype
from .autograd.dtype import uint8 as uint8
from .cpu import get_num_threads as get_num_threads
from .cpu import set_num_threads as set_num_threads
from .ops.activation import *
from .ops.compare import *
from .ops.copy import *
from .ops.create import *
from .ops.create_random import *
from .ops.einsum import *
from .ops.elementwise import *
from .ops.extreme import *
from .ops.index import *
from .ops.index_by import *
from .ops.join import *
from .ops.linear import *
from .ops.pad import *
from .ops.products import *
from .ops.rearrange import *
from .ops.reduce import *
from .ops.scan import *
from .ops.select import *
from .ops.shape import *
from .ops.special import *
from .ops.statistics import *
from .ops.unary import *
from .random import Generator as Generator
from .random import default_generator as default_generator
from .random import get_rng_state as get_rng_state
from .random import initial_seed as initial_seed
from .random import manual_seed as manual_seed
from .random import seed as seed
from .random import set_rng_state as set_rng_state

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
bool = bool_

_SUBMODULES = {
    "bench", "cli", "data", "diagnose", "ensemble", "evaluation", "inference", "memory", "models", "nn", "optim",
    "preprocessing", "profiler", "recipes", "reference", "report", "serialization", "train", "transfer", "transforms",
}  # fmt: skip
_FUNCTIONS = {"save": "serialization", "load": "serialization"}

if TYPE_CHECKING:
    from . import bench as bench
    from . import cli as cli
    from . import data as data
    from . import diagnose as diagnose
    from . import ensemble as ensemble
    from . import evaluation as evaluation
    from . import inference as inference
    from . import memory as memory
    from . import models as models
    from . import nn as nn
    from . import optim as optim
    from . import preprocessing as preprocessing
    from . import profiler as profiler
    from . import recipes as recipes
    from . import reference as reference
    from . import report as report
    from . import serialization as serialization
    from . import train as train
    from . import transfer as transfer
    from . import transforms as transforms
    from .serialization import load as load
    from .serialization import save as save
else:

    def __getattr__(name: str) -> object:
        """Import a submodule the first time it is used, so that `import fastnn` stays quick."""
        if name in _SUBMODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name in _FUNCTIONS:
            return getattr(importlib.import_module(f"{__name__}.{_FUNCTIONS[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Every name, those included that are not imported yet."""
        return sorted({*globals(), *_SUBMODULES, *_FUNCTIONS})
