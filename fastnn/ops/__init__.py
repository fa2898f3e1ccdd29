"""Operations on Tensors: one module per family, one function per operation.

Each function holds its shape rule, its forward and its backward; see `fastnn.autograd.op`.
"""
# ruff: noqa: F403 - every module lists its public names in __all__

import importlib
import importlib.util

from .. import _C
from ..autograd import engine, methods
from . import compare, copy, create, elementwise, extreme, index, join, reduce, select, shape, unary
from .compare import *
from .copy import *
from .create import *
from .elementwise import *
from .extreme import *
from .index import *
from .join import *
from .reduce import *
from .select import *
from .shape import *
from .unary import *

__all__: list[str] = []
__all__ += compare.__all__
__all__ += copy.__all__
__all__ += create.__all__
__all__ += elementwise.__all__
__all__ += extreme.__all__
__all__ += index.__all__
__all__ += join.__all__
__all__ += reduce.__all__
__all__ += select.__all__
__all__ += shape.__all__
__all__ += unary.__all__

for _family in ("linear", "conv", "pool", "norm", "activation", "loss", "dropout"):
    if importlib.util.find_spec(f"{__name__}.{_family}") is not None:
        _module = importlib.import_module(f"{__name__}.{_family}")
        globals().update({name: getattr(_module, name) for name in _module.__all__})
        __all__ += _module.__all__

engine.OWNERS.add(type(_C.empty((1,), "float32").base))
methods.install(globals())
