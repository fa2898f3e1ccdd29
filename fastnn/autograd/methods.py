"""The operations by name, and the Tensor methods that are operations.

`METHODS` is the table of those methods; their signatures are in `methods.pyi`. `install` makes each of them
the operation itself, so that `x.exp()` costs what `exp(x)` costs.
"""

from __future__ import annotations

import functools

OPS = {}
"""Every operation by name; `op` fills it. Tensor's operators look it up when they are called."""

METHODS = (  # noqa: SIM905 - as a list it would take 150 lines
    # elementwise
    "abs acos add asin atan atan2 bitwise_and bitwise_not bitwise_or bitwise_xor ceil clamp clip cos cosh div "
    "divide eq equal exp expm1 floor floor_divide fmod ge gt allclose isclose isfinite isinf isnan le lerp log "
    "log10 log1p log2 logical_and logical_not logical_or logical_xor lt maximum minimum mul multiply ne neg "
    "negative pow reciprocal remainder round rsqrt sign sin sinh sqrt square sub subtract tan true_divide "
    "trunc "
    # activation
    "relu sigmoid tanh softmax log_softmax "
    # linear
    "matmul mm bmm dot "
    # reduce
    "all amax amin any argmax argmin count_nonzero cumsum logsumexp max mean min norm prod std sum var "
    # shape
    "broadcast_to chunk diag expand expand_as flatten flip movedim permute repeat reshape roll split squeeze "
    "swapaxes t tile transpose tril triu unbind unflatten unsqueeze view "
    # index
    "argsort gather index_select masked_fill masked_select nonzero scatter scatter_add sort take_along_dim "
    "topk "
    # create
    "normal_ uniform_ "
    # copy
    "clone contiguous to"
).split()


class TensorMethods:
    """Base of `Tensor` that carries the methods of the table."""

    __slots__ = ()


def _late(name):
    """The method before its operation is there: looks it up at every call."""

    def method(self, *args, **options):
        if name not in OPS:
            raise AttributeError(f"Tensor.{name}: no operation of this name is registered")
        return OPS[name](self, *args, **options)

    method.__name__ = method.__qualname__ = name
    return method


def install(functions):
    """Make each function that the table names a method of Tensor.

    Args:
        functions: functions whose first parameter is a tensor, by name; others are passed over.
    """
    for name in METHODS:
        if name in functions:
            setattr(TensorMethods, name, functions[name])


for _name in METHODS:
    setattr(TensorMethods, _name, functools.wraps(_late(_name))(_late(_name)))
