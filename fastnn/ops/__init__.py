"""Operations on Tensors: one module per family, one function per operation.

Each function holds its shape rule, its forward and its backward; see `fastnn.autograd.op`. A module lists its public
functions in `__all__`; this package imports them all. Where a function shares its module's name (`norm`, `linear`,
`dropout`), `fastnn.ops.<name>` is the function.
"""
# ruff: noqa: F403 - every module lists its public names in __all__

from .. import _C
from ..autograd import methods, reuse
from . import arithmetic
from .activation import *
from .alpha_dropout import *
from .compare import *
from .conv import *
from .conv_transpose import *
from .copy import *
from .create import *
from .create_random import *
from .distance import *
from .dropout import *
from .einsum import *
from .elementwise import *
from .extreme import *
from .fold import *
from .fractional_pool import *
from .index import *
from .index_by import *
from .join import *
from .linear import *
from .loss import *
from .norm import *
from .pad import *
from .pool import *
from .power_pool import *
from .products import *
from .rearrange import *
from .reduce import *
from .scan import *
from .select import *
from .shape import *
from .special import *
from .statistics import *
from .unary import *

reuse.Memory.owners.add(type(_C.empty((1,), "float32").base))
reuse.Memory.accumulate = arithmetic.accumulate
methods.install(globals())
