"""Comparisons, logic and bits, elementwise. The results are not differentiable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import Array, Operand, Tensor, op
from .broadcast import match

__all__ = [
    "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "eq", "equal", "ge", "gt", "isclose",
    "isfinite", "isinf", "isnan", "le", "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne",
]  # fmt: skip

_PAIR = """{text}, elementwise.

    Args:
        input: first operand, Tensor or number.
        other: second operand, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.

    Returns:
        a {result} Tensor without gradient.

    Raises:
        ValueError: if the shapes do not broadcast.
        TypeError: if an operand's dtype is not one this operation has.
    """

_SINGLE = """{text}, elementwise.

    Args:
        input: the argument.

    Shape:
        input: any; the result has the same.

    Returns:
        a {result} Tensor without gradient.
    """


def _pair(name: str, function: Callable[[Any, Any], Any], text: str, bits: bool = False) -> Callable[..., Tensor]:
    """A function of two operands without gradient as an operation; `bits` admits integers and booleans only."""

    def compute(input: Operand, other: Operand) -> tuple[Array, None]:
        a, b = match(name, input, other)
        if bits:
            for operand in (a, b):
                if (isinstance(operand, np.ndarray) and operand.dtype.kind == "f") or isinstance(operand, float):
                    raise TypeError(f"{name}: expected integers or booleans, got floats")
        return function(a, b), None

    return _named(compute, name, _PAIR.format(text=text, result="integer or boolean" if bits else "boolean"))


def _single(name: str, function: Callable[[Any], Any], text: str, bits: bool = False) -> Callable[..., Tensor]:
    """A function of one operand without gradient as an operation."""

    def compute(input: Array) -> tuple[Array, None]:
        if bits and input.dtype.kind == "f":
            raise TypeError(f"{name}: expected integers or booleans, got {input.dtype}")
        return function(input), None

    return _named(compute, name, _SINGLE.format(text=text, result="integer or boolean" if bits else "boolean"))


def _named(compute: Callable[..., tuple[Array, None]], name: str, text: str) -> Callable[..., Tensor]:
    compute.__name__ = compute.__qualname__ = name
    compute.__doc__ = text
    return op(compute)


eq = _pair("eq", np.equal, "Whether `input == other`")
ne = _pair("ne", np.not_equal, "Whether `input != other`")
lt = _pair("lt", np.less, "Whether `input < other`")
le = _pair("le", np.less_equal, "Whether `input <= other`")
gt = _pair("gt", np.greater, "Whether `input > other`")
ge = _pair("ge", np.greater_equal, "Whether `input >= other`")
logical_and = _pair("logical_and", np.logical_and, "Whether both operands are nonzero")
logical_or = _pair("logical_or", np.logical_or, "Whether at least one operand is nonzero")
logical_xor = _pair("logical_xor", np.logical_xor, "Whether exactly one operand is nonzero")
bitwise_and = _pair("bitwise_and", np.bitwise_and, "The bits set in both operands", bits=True)
bitwise_or = _pair("bitwise_or", np.bitwise_or, "The bits set in at least one operand", bits=True)
bitwise_xor = _pair("bitwise_xor", np.bitwise_xor, "The bits set in exactly one operand", bits=True)
bitwise_not = _single("bitwise_not", np.bitwise_not, "The bits not set in the operand", bits=True)
logical_not = _single("logical_not", np.logical_not, "Whether the operand is zero")
isnan = _single("isnan", np.isnan, "Whether the operand is not a number")
isinf = _single("isinf", np.isinf, "Whether the operand is infinite")
isfinite = _single("isfinite", np.isfinite, "Whether the operand is neither infinite nor NaN")


@op
def isclose(
    input: Array, other: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> tuple[Array, None]:
    """Whether `|input - other| <= atol + rtol * |other|`, elementwise.

    Args:
        input: first operand.
        other: second operand.
        rtol: tolerance relative to `other`.
        atol: absolute tolerance.
        equal_nan: whether two NaNs are close.

    Shape:
        operands: broadcastable to one shape, which is that of the result.
    """
    a, b = match("isclose", input, other)
    return np.isclose(a, b, rtol, atol, equal_nan), None


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether every element of `input` is close to that of `other`; see `isclose`."""
    return bool(isclose(input, other, rtol, atol, equal_nan).data.all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether the two tensors have the same shape and the same elements."""
    return input.shape == other.shape and bool((input.data == other.data).all())
