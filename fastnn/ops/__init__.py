"""Operations on Tensors: one module per family, one function per operation.

Each function holds its shape rule, its forward and its backward; see `fastnn.autograd.op`.
"""

import importlib
import importlib.util

from .. import _C
from ..autograd import engine, methods
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

for _family in ("linear", "conv", "pool", "norm", "activation", "loss", "dropout"):
    if importlib.util.find_spec(f"{__name__}.{_family}") is not None:
        _module = importlib.import_module(f"{__name__}.{_family}")
        globals().update({name: getattr(_module, name) for name in _module.__all__})

engine.OWNERS.add(type(_C.empty((1,), "float32").base))
methods.install(globals())
