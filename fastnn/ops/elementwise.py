"""Elementwise arithmetic on two operands.

All of them broadcast as NumPy does and promote dtypes as PyTorch does (`fastnn.result_type`). An operand may
be a Python number, which never widens the result. Functions of one operand are in `unary`, choices
between operands in `select`, comparisons and logic in `compare`.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Operand, op
from .arithmetic import combine
from .broadcast import match, same_shape, shape_of, unbroadcast

__all__ = [
    "add", "atan2", "div", "divide", "floor_divide", "fmod", "mul", "multiply", "pow", "remainder", "sub", "subtract",
    "true_divide",
]  # fmt: skip

_quiet = np.errstate(all="ignore")  # infinities and NaNs are results here, not warnings


@op
def add(input: Operand, other: Operand, *, alpha: float = 1) -> tuple[Array, Backward]:
    """`input + alpha * other`, elementwise.

    Args:
        input: first operand, Tensor or number.
        other: second operand, Tensor or number.
        alpha: factor of `other`.

    Shape:
        operands: broadcastable to one shape, which is that of the result.

    Raises:
        ValueError: if the shapes do not broadcast.

    Example:
        >>> add(fastnn.tensor([1, 2]), 0.5)
        tensor([1.5000, 2.5000])
    """
    a, b = match("add", input, other)
    if alpha == 1 and same_shape(a, b):
        return combine("add", a, b), _both
    a_shape, b_shape = shape_of(a), shape_of(b)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (
            unbroadcast(dy, a_shape) if needs[0] else None,
            unbroadcast(dy if alpha == 1 else dy * alpha, b_shape) if needs[1] else None,
        )

    return combine("add", a, b if alpha == 1 else b * alpha), backward


def _both(dy: Array, needs: Needs) -> Grads:
    """The backward of a sum of operands of one shape."""
    return dy, dy


@op
def sub(input: Operand, other: Operand, *, alpha: float = 1) -> tuple[Array, Backward]:
    """`input - alpha * other`, elementwise.

    Args:
        input: first operand, Tensor or number.
        other: second operand, Tensor or number.
        alpha: factor of `other`.

    Shape:
        operands: broadcastable to one shape, which is that of the result.

    Raises:
        ValueError: if the shapes do not broadcast.
        TypeError: if both are boolean, as in NumPy and PyTorch.
    """
    a, b = match("sub", input, other)
    a_shape, b_shape = shape_of(a), shape_of(b)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (
            unbroadcast(dy, a_shape) if needs[0] else None,
            unbroadcast(combine("mul", dy, -alpha), b_shape) if needs[1] else None,
        )

    return combine("sub", a, b if alpha == 1 else b * alpha), backward


@op
def mul(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """`input * other`, elementwise.

    Args:
        input: first operand, Tensor or number.
        other: second operand, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.

    Raises:
        ValueError: if the shapes do not broadcast.
    """
    a, b = match("mul", input, other)
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        factor = a if isinstance(b, np.ndarray) else b

        def scale(dy: Array, needs: Needs) -> Grads:
            dx = combine("mul", dy, factor)
            return dx, dx

        return combine("mul", a, b), scale

    def backward(dy: Array, needs: Needs) -> Grads:
        return (
            unbroadcast(combine("mul", dy, b), a.shape) if needs[0] else None,
            unbroadcast(combine("mul", dy, a), b.shape) if needs[1] else None,
        )

    return combine("mul", a, b), backward


@op
@_quiet
def div(input: Operand, other: Operand, *, rounding_mode: str | None = None) -> tuple[Array, Backward]:
    """`input / other`, elementwise; the quotient of integers is a float unless it is rounded.

    Args:
        input: dividend, Tensor or number.
        other: divisor, Tensor or number.
        rounding_mode: None for the true quotient, "floor" to round down, "trunc" to round towards zero. The
            gradient of a rounded quotient is zero.

    Shape:
        operands: broadcastable to one shape, which is that of the result.

    Raises:
        ValueError: if the shapes do not broadcast or the rounding mode is unknown.
        ZeroDivisionError: if an integer is divided by zero with rounding.
    """
    if rounding_mode is not None:
        return _rounded_quotient("div", input, other, rounding_mode)
    a, b = match("div", input, other, floating=True)
    y = combine("div", a, b)
    if not isinstance(b, np.ndarray):

        def scale(dy: Array, needs: Needs) -> Grads:
            return combine("div", dy, b), None

        return y, scale
    a_shape = shape_of(a)

    def backward(dy: Array, needs: Needs) -> Grads:
        da = combine("div", dy, b)
        return (
            unbroadcast(da, a_shape) if needs[0] else None,
            unbroadcast(combine("mul", -da, y), b.shape) if needs[1] else None,
        )

    return y, backward


def _rounded_quotient(name: str, input: Operand, other: Operand, rounding_mode: str) -> tuple[Array, Backward]:
    """The quotient rounded to a whole number in the operands' dtype, with gradients of zero."""
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"{name}: expected rounding_mode None, 'floor' or 'trunc', got {rounding_mode!r}")
    a, b = match(name, input, other)
    a_shape, b_shape = shape_of(a), shape_of(b)

    def backward(dy: Array, needs: Needs) -> Grads:
        return np.zeros(a_shape, dy.dtype), np.zeros(b_shape, dy.dtype)

    y = np.floor_divide(a, b)
    if y.dtype.kind != "f":
        if not np.all(b):
            raise ZeroDivisionError(f"{name}: an integer was divided by zero")
        if rounding_mode == "trunc":
            y = y + ((y < 0) & (y * b != a))
    elif rounding_mode == "trunc":
        y = np.trunc(np.true_divide(a, b))
    return y, backward


@op
@_quiet
def floor_divide(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """`floor(input / other)`, elementwise, in the operands' dtype: the operator `//`. Its gradient is zero.

    Args:
        input: dividend, Tensor or number.
        other: divisor, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.

    Raises:
        ValueError: if the shapes do not broadcast.
        ZeroDivisionError: if an integer is divided by zero.
    """
    return _rounded_quotient("floor_divide", input, other, "floor")


@op
@_quiet
def remainder(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """`input - floor(input / other) * other`, elementwise: the remainder has the divisor's sign, as Python's `%`.

    Args:
        input: dividend, Tensor or number.
        other: divisor, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.
    """
    a, b = match("remainder", input, other)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (
            unbroadcast(dy, shape_of(a)) if needs[0] else None,
            unbroadcast(-dy * np.floor(a / b), shape_of(b)) if needs[1] else None,
        )

    return np.remainder(a, b), backward


@op
@_quiet
def fmod(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """`input - trunc(input / other) * other`, elementwise: the remainder has the dividend's sign, as C's `fmod`.

    Args:
        input: dividend, Tensor or number.
        other: divisor, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.
    """
    a, b = match("fmod", input, other)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (
            unbroadcast(dy, shape_of(a)) if needs[0] else None,
            unbroadcast(-dy * np.trunc(a / b), shape_of(b)) if needs[1] else None,
        )

    return np.fmod(a, b), backward


@op
@_quiet
def pow(input: Operand, exponent: Operand) -> tuple[Array, Backward]:
    """`input ** exponent`, elementwise.

    The derivatives are `exponent * input**(exponent - 1)` and `ln(input) * input**exponent`; the latter is 0
    where `input` is 0 and the exponent is not negative.

    Args:
        input: base, Tensor or number.
        exponent: exponent, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.

    Raises:
        ValueError: if the shapes do not broadcast, or an integer is raised to a negative integer power.
    """
    a, b = match("pow", input, exponent)
    y = a * a if type(b) is int and b == 2 else np.power(a, b)
    if not isinstance(b, np.ndarray):

        def power(dy: Array, needs: Needs) -> Grads:
            if b == 0:
                return np.zeros_like(dy), None
            return dy * (2 * a if b == 2 else b * np.power(a, b - 1)), None

        return y, power

    def backward(dy: Array, needs: Needs) -> Grads:
        da = db = None
        if needs[0]:
            slope = np.where(b == 0, 0, b * np.power(a, b - 1))
            da = unbroadcast(dy * slope, shape_of(a))
        if needs[1]:
            log = np.log(a, dtype=dy.dtype)
            db = unbroadcast(dy * np.where((np.equal(a, 0)) & (b >= 0), 0, y * log), b.shape)
        return da, db

    return y, backward


@op
@_quiet
def atan2(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """The angle of the point (x, y) = (`other`, `input`), in (-pi, pi], elementwise.

    Args:
        input: ordinate, Tensor or number.
        other: abscissa, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.
    """
    a, b = match("atan2", input, other, floating=True)

    def backward(dy: Array, needs: Needs) -> Grads:
        scaled = dy / (a * a + b * b)
        return (
            unbroadcast(scaled * b, shape_of(a)) if needs[0] else None,
            unbroadcast(scaled * -a, shape_of(b)) if needs[1] else None,
        )

    return np.arctan2(a, b), backward


subtract, multiply, divide, true_divide = sub, mul, div, div
