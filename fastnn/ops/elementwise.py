"""Elementwise operations."""

from __future__ import annotations

from typing import Any

from ..autograd import Array, Backward, Operand, op
from .broadcast import match, reduce_to


def _meta(operand: Operand) -> tuple[tuple[int, ...], Any] | None:
    return None if not hasattr(operand, "shape") else (operand.shape, operand.dtype)


@op
def add(input: Operand, other: Operand, *, alpha: float = 1) -> tuple[Array, Backward]:
    """`input + alpha * other`, elementwise, broadcasting."""
    a, b = match("add", input, other)
    one, two = _meta(input), _meta(other)

    def backward(dy: Array, needs: tuple[bool, ...]) -> tuple[Array | None, Array | None]:
        da = reduce_to(dy, *one) if needs[0] and one else None
        db = reduce_to(dy if alpha == 1 else dy * alpha, *two) if needs[1] and two else None
        return da, db

    return a + b if alpha == 1 else a + alpha * b, backward  # type: ignore[return-value]


@op
def mul(input: Operand, other: Operand) -> tuple[Array, Backward]:
    """`input * other`, elementwise, broadcasting."""
    a, b = match("mul", input, other)
    one, two = _meta(input), _meta(other)

    def backward(dy: Array, needs: tuple[bool, ...]) -> tuple[Array | None, Array | None]:
        da = reduce_to(dy * b, *one) if needs[0] and one else None
        db = reduce_to(dy * a, *two) if needs[1] and two else None
        return da, db

    return a * b, backward  # type: ignore[return-value]
