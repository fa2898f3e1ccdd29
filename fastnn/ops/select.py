"""Elementwise choices between operands: extremes, limits, `where`, interpolation.

Broadcasting and dtypes are those of `elementwise`.
"""

from __future__ import annotations

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Operand, op
from .broadcast import match, shape_of, unbroadcast

__all__ = ["clamp", "clip", "lerp", "maximum", "minimum", "where"]


@op
def maximum(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """The larger of the two operands, elementwise; NaN if either is. Equal operands share the gradient.

    Args:
        input: first operand, Tensor or number.
        other: second operand, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.
    """
    a, b = match("maximum", input, other)

    def backward(dy: Array, needs: Needs) -> Grads:
        return _share(dy, np.greater(a, b), np.equal(a, b), a, b, needs)

    return np.maximum(a, b), backward


@op
def minimum(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """The smaller of the two operands, elementwise; NaN if either is. Equal operands share the gradient.

    Args:
        input: first operand, Tensor or number.
        other: second operand, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.
    """
    a, b = match("minimum", input, other)

    def backward(dy: Array, needs: Needs) -> Grads:
        return _share(dy, np.less(a, b), np.equal(a, b), a, b, needs)

    return np.minimum(a, b), backward


def _share(dy: Array, first: Array, equal: Array, a: Operand, b: Operand, needs: Needs) -> Grads:
    """`dy` to `a` where `first` is true, half to each where `equal` is, else to `b`."""
    weight = np.where(equal, dy.dtype.type(0.5), first.astype(dy.dtype))
    return (
        unbroadcast(dy * weight, shape_of(a)) if needs[0] else None,
        unbroadcast(dy * (1 - weight), shape_of(b)) if needs[1] else None,
    )


@op
def lerp(input: Array, end: Array, weight: Operand) -> tuple[Array, Backward]:
    """`input + weight * (end - input)`, elementwise.

    Args:
        input: value at weight 0.
        end: value at weight 1.
        weight: Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.
    """
    a, b = match("lerp", input, end)
    distance, w = match("lerp", b - a, weight)

    def backward(dy: Array, needs: Needs) -> Grads:
        along = dy * w
        return (
            unbroadcast(dy - along, input.shape) if needs[0] else None,
            unbroadcast(along, end.shape) if needs[1] else None,
            unbroadcast(dy * distance, shape_of(weight)) if needs[2] else None,
        )

    return a + distance * w, backward


@op
def clamp(input: Array, min: Operand | None = None, max: Operand | None = None) -> tuple[Array, Backward]:
    """`min(max(input, lower), upper)`, elementwise: values limited to an interval.

    The gradient goes to `input` where it lies within the limits, borders included, else to the limit.

    Args:
        input: values.
        min: lower limit, Tensor or number, or None for none.
        max: upper limit, Tensor or number, or None for none. Where it is below `min` it wins.

    Shape:
        input: any; limits that are Tensors broadcast with it.

    Raises:
        ValueError: if both limits are None or the shapes do not broadcast.
    """
    if min is None and max is None:
        raise ValueError("clamp: expected at least one of min and max")
    low = high = None
    y = x = input
    if min is not None:
        y, low = match("clamp", y, min)
        y = np.maximum(y, low)
    if max is not None:
        y, high = match("clamp", y, max)
        y = np.minimum(y, high)

    def backward(dy: Array, needs: Needs) -> Grads:
        above = np.False_ if high is None else np.greater(x if low is None else np.maximum(x, low), high)
        below = np.False_ if low is None else np.less(x, low) & ~above
        return (
            unbroadcast(np.where(above | below, 0, dy), x.shape) if needs[0] else None,
            unbroadcast(np.where(below, dy, 0), shape_of(low)) if needs[1] and low is not None else None,
            unbroadcast(np.where(above, dy, 0), shape_of(high)) if needs[2] and high is not None else None,
        )

    return y, backward


@op
def where(condition: Array, input: Operand, other: Operand) -> tuple[Array, Backward]:
    """`input` where `condition` is true, else `other`, elementwise.

    Args:
        condition: boolean Tensor.
        input: values where it is true, Tensor or number.
        other: values where it is false, Tensor or number.

    Shape:
        operands: broadcastable to one shape, which is that of the result.

    Raises:
        TypeError: if `condition` is not boolean.
        ValueError: if the shapes do not broadcast.
    """
    if condition.dtype != np.bool_:
        raise TypeError(f"where: expected a boolean condition, got {condition.dtype}")
    if not isinstance(input, np.ndarray) and not isinstance(other, np.ndarray):
        input = np.asarray(input, np.float32) if isinstance(input, float) else np.asarray(input)
    a, b = match("where", input, other)
    a_shape, b_shape = shape_of(a), shape_of(b)
    try:
        y = np.where(condition, a, b)
    except ValueError:
        shapes = f"{condition.shape}, {a_shape} and {b_shape}"
        raise ValueError(f"where: shapes {shapes} do not broadcast") from None

    def backward(dy: Array, needs: Needs) -> Grads:
        return (
            None,
            unbroadcast(np.where(condition, dy, 0), a_shape) if needs[1] else None,
            unbroadcast(np.where(condition, 0, dy), b_shape) if needs[2] else None,
        )

    return y, backward


clip = clamp
