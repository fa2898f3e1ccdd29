"""Elementwise functions of one operand, as a table: name, NumPy's function, derivative.

A derivative that is simpler in the result than in the argument is given in the result, and then only the
result is saved. Integers and booleans are computed in the default float dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from .broadcast import as_float

__all__ = [
    "abs", "absolute", "acos", "acosh", "asin", "asinh", "atan", "atanh", "ceil", "cos", "cosh", "exp", "exp2", "expm1",
    "floor", "log", "log1p", "log2", "log10", "neg", "negative", "reciprocal", "round", "rsqrt", "sign", "sin", "sinh",
    "sqrt", "square", "tan", "trunc",
]  # fmt: skip

_quiet = np.errstate(all="ignore")  # infinities and NaNs are results here, not warnings
_Map = Callable[[Array], Array]


def _smooth(name: str, function: _Map, slope: _Map, formula: str, *, of_result: bool = False) -> Callable[..., Tensor]:
    """A differentiable function as an operation.

    Args:
        name: the operation's name.
        function: its values.
        slope: its derivative, as a function of the argument or of the result.
        formula: what stands in the docstring.
        of_result: whether `slope` takes the result, which is then what is saved.
    """

    @_quiet
    def compute(input: Array) -> tuple[Array, Backward]:
        x = as_float(input)
        y = function(x)
        saved = y if of_result else x

        def backward(dy: Array, needs: Needs) -> Grads:
            return (dy * slope(saved),)

        return y, backward

    return _named(compute, name, formula, "Integers and booleans are cast to the default float dtype first.")


def _step(name: str, function: _Map, formula: str) -> Callable[..., Tensor]:
    """A function that is constant almost everywhere as an operation: its gradient is zero."""

    def compute(input: Array) -> tuple[Array, Backward]:
        def backward(dy: Array, needs: Needs) -> Grads:
            return (np.zeros_like(dy),)

        whole = input.dtype.kind != "f" and name != "sign"
        return input.copy() if whole else function(input), backward

    return _named(compute, name, formula, "The gradient is zero everywhere; integers stay integers.")


def _named(
    compute: Callable[..., tuple[Array, Backward]], name: str, formula: str, remark: str
) -> Callable[..., Tensor]:
    """`compute` as the operation `name`, with a docstring."""
    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = f"""{formula}, elementwise.

    {remark}

    Args:
        input: the argument.

    Shape:
        input: any; the result has the same.
    """
    return op(compute)


exp = _smooth("exp", np.exp, lambda y: y, "e to the power `input`", of_result=True)
exp2 = _smooth("exp2", np.exp2, lambda y: y * math.log(2), "2 to the power `input`", of_result=True)
expm1 = _smooth("expm1", np.expm1, lambda y: y + 1, "exp(`input`) - 1, exact near 0", of_result=True)
log = _smooth("log", np.log, np.reciprocal, "Natural logarithm of `input`")
log2 = _smooth("log2", np.log2, lambda x: 1 / (x * math.log(2)), "Logarithm of `input` to base 2")
log10 = _smooth("log10", np.log10, lambda x: 1 / (x * math.log(10)), "Logarithm of `input` to base 10")
log1p = _smooth("log1p", np.log1p, lambda x: 1 / (1 + x), "ln(1 + `input`), exact near 0")
sqrt = _smooth("sqrt", np.sqrt, lambda y: 0.5 / y, "Square root of `input`", of_result=True)
rsqrt = _smooth("rsqrt", lambda x: 1 / np.sqrt(x), lambda y: -0.5 * y**3, "1 / sqrt(`input`)", of_result=True)
reciprocal = _smooth("reciprocal", np.reciprocal, lambda y: -y * y, "1 / `input`", of_result=True)
sin = _smooth("sin", np.sin, np.cos, "Sine of `input`, in radians")
cos = _smooth("cos", np.cos, lambda x: -np.sin(x), "Cosine of `input`, in radians")
tan = _smooth("tan", np.tan, lambda y: 1 + y * y, "Tangent of `input`, in radians", of_result=True)
asin = _smooth("asin", np.arcsin, lambda x: 1 / np.sqrt(1 - x * x), "Arc sine of `input`, in radians")
acos = _smooth("acos", np.arccos, lambda x: -1 / np.sqrt(1 - x * x), "Arc cosine of `input`, in radians")
atan = _smooth("atan", np.arctan, lambda x: 1 / (1 + x * x), "Arc tangent of `input`, in radians")
sinh = _smooth("sinh", np.sinh, np.cosh, "Hyperbolic sine of `input`")
cosh = _smooth("cosh", np.cosh, np.sinh, "Hyperbolic cosine of `input`")
asinh = _smooth("asinh", np.arcsinh, lambda x: 1 / np.sqrt(x * x + 1), "Inverse hyperbolic sine of `input`")
acosh = _smooth("acosh", np.arccosh, lambda x: 1 / np.sqrt(x * x - 1), "Inverse hyperbolic cosine of `input`")
atanh = _smooth("atanh", np.arctanh, lambda x: 1 / (1 - x * x), "Inverse hyperbolic tangent of `input`")

sign = _step("sign", np.sign, "-1, 0 or 1 by the sign of `input`")
floor = _step("floor", np.floor, "The largest whole number not above `input`")
ceil = _step("ceil", np.ceil, "The smallest whole number not below `input`")
trunc = _step("trunc", np.trunc, "`input` rounded towards zero")


@op
def round(input: Array, decimals: int = 0) -> tuple[Array, Backward]:
    """`input` rounded to the nearest number with `decimals` decimal places, halves to even.

    The gradient is zero everywhere; integers stay integers.

    Args:
        input: the argument.
        decimals: places after the point; negative ones count before it.

    Shape:
        input: any; the result has the same.
    """

    def backward(dy: Array, needs: Needs) -> Grads:
        return (np.zeros_like(dy),)

    return np.round(input, decimals), backward


@op
def neg(input: Array) -> tuple[Array, Backward]:
    """`-input`, elementwise.

    Args:
        input: the argument, not boolean.

    Shape:
        input: any; the result has the same.
    """

    def backward(dy: Array, needs: Needs) -> Grads:
        return (-dy,)

    return -input, backward


@op
def abs(input: Array) -> tuple[Array, Backward]:
    """The absolute value of `input`, elementwise; the derivative at 0 is 0.

    Args:
        input: the argument; integers stay integers.

    Shape:
        input: any; the result has the same.
    """

    def backward(dy: Array, needs: Needs) -> Grads:
        return (dy * np.sign(input),)

    return np.abs(input), backward


@op
def square(input: Array) -> tuple[Array, Backward]:
    """`input * input`, elementwise.

    Args:
        input: the argument; integers stay integers.

    Shape:
        input: any; the result has the same.
    """

    def backward(dy: Array, needs: Needs) -> Grads:
        return (dy * (2 * input),)

    return np.square(input), backward


negative, absolute = neg, abs
