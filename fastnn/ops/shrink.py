"""Activations that set a neighbourhood of 0, or what is below a threshold, to a constant: entries of the table in C."""

from __future__ import annotations

from ..autograd import Array, op
from .pointwise import Activated, pointwise

__all__ = ["hardshrink", "softshrink", "tanhshrink", "threshold"]


@op
def hardshrink(input: Array, lambd: float = 0.5) -> Activated:
    """`input` where `|input| > lambd`, else 0.

    Args:
        input: float32 or float64.
        lambd: half the width of the interval that becomes 0, at least 0.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if `lambd` is negative.

    Source: Donoho, Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81, 1994.
    """
    if not lambd >= 0:
        raise ValueError(f"hardshrink: expected lambd of at least 0, got {lambd}")
    return pointwise("hardshrink", "hardshrink", input, lambd)


@op
def softshrink(input: Array, lambd: float = 0.5) -> Activated:
    """`input - lambd` above `lambd`, `input + lambd` below `-lambd`, else 0: the proximal map of `lambd |x|`.

    Args:
        input: float32 or float64.
        lambd: by how much values move towards 0, at least 0.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if `lambd` is negative.

    Source: Donoho, Johnstone, 1994.

    Example:
        >>> softshrink(fastnn.tensor([-2.0, 0.25, 1.0])).tolist()
        [-1.5, 0.0, 0.5]
    """
    if not lambd >= 0:
        raise ValueError(f"softshrink: expected lambd of at least 0, got {lambd}")
    return pointwise("softshrink", "softshrink", input, lambd)


@op
def threshold(input: Array, threshold: float, value: float, inplace: bool = False) -> Activated:
    """`input` where it is above the threshold, else `value`, with derivative 0.

    Args:
        input: float32 or float64.
        threshold: what is at or below it is replaced.
        value: what stands there then.
        inplace: accepted for PyTorch's sake; the input is never changed.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
    """
    return pointwise("threshold", "threshold", input, threshold, value)


@op
def tanhshrink(input: Array) -> Activated:
    """`input - tanh(input)`. Shapes and errors as `hardshrink`."""
    return pointwise("tanhshrink", "tanhshrink", input)
