"""The number format bfloat16: the upper half of a float32, as `fastnn.autocast` rounds to it."""

from __future__ import annotations

import numpy as np

from ._typing import Array

__all__ = ["round_to_bfloat16"]


def round_to_bfloat16(x: Array) -> Array:
    """The nearest numbers of 8 significant bits, ties to the even one, in the dtype of `x`.

    With a sign, 8 bits of exponent and 7 stored bits of mantissa, bfloat16 has float32's range and relative steps of
    2⁻⁷ between neighbours: `|round(x) - x| <= 2⁻⁹ 2^ceil(log2 |x|)`. Numbers from 255.5/256 · 2¹²⁸ on become
    infinite; NaN stays NaN.

    Args:
        x: floats whose size is normal in float32, or zero; smaller ones, which units take for zero, keep 8 bits here.

    Shape:
        x (*) -> (*)

    Example:
        >>> round_to_bfloat16(np.array([1 + 2**-8, 1 + 3 * 2**-8, 3.14159]))
        array([1.      , 1.015625, 3.140625])
    """
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    rounded = np.ldexp(np.rint(mantissa * 256), exponent - 8)
    return np.where(np.abs(rounded) < 2.0**128, rounded, np.copysign(np.inf, rounded)).astype(x.dtype)
