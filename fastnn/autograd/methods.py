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
    "abs absolute acos acosh add addcdiv addcmul allclose asin asinh atan atan2 atanh bitwise_and bitwise_not "
    "bitwise_or bitwise_xor ceil clamp clamp_max clamp_min clip cos cosh div divide eq equal erf exp exp2 expm1 floor "
    "floor_divide fmod frac ge gt isclose isfinite isinf isnan le lerp log log10 log1p log2 logaddexp logical_and "
    "logical_not logical_or logical_xor logit lt maximum minimum mul multiply nan_to_num ne neg negative pow "
    "reciprocal remainder round rsqrt sign sin sinc sinh sqrt square sub subtract tan true_divide trunc "
    # activation
    "hardshrink log_softmax prelu relu sigmoid softmax tanh "
    # linear
    "addmm bmm dot matmul mm mv outer "
    # reduce
    "all amax amin aminmax any argmax argmin count_nonzero cummax cummin cumprod cumsum logsumexp max mean median min "
    "norm prod quantile std sum trace var "
    # shape
    "broadcast_to chunk diag diagonal expand expand_as flatten flip fliplr flipud moveaxis movedim narrow permute "
    "ravel repeat repeat_interleave reshape roll rot90 select split squeeze swapaxes swapdims t tensor_split tile "
    "transpose tril triu unbind unflatten unsqueeze view "
    # index
    "argsort bincount gather index_add index_copy index_fill index_select masked_fill masked_select nonzero scatter "
    "scatter_add sort take_along_dim topk unique "
    # create
    "normal_ uniform_ "
    # copy
    "clone contiguous to "
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
