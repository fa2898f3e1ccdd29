"""Rows of the transposed convolutions: every dimension and option, channels around the vector lengths."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.reference import conv as reference
from tests.cases import OpCase, normal


def _case(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    bias: bool = False,
    large: tuple[int, ...] | None = None,
    **options: Any,
) -> OpCase:
    """A row: input (N, C, *spatial), weight (C, out / groups, *taps) and options."""
    op = f"conv_transpose{len(w) - 2}d"

    def draw(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Any:
        b = normal(rng, w[1] * options.get("groups", 1), dtype=dtype) if bias else None
        return (normal(rng, *shape, dtype=dtype), normal(rng, *w, dtype=dtype), b), options

    terms = float(np.sqrt(w[0] * np.prod(w[2:])))  # a sum of n products of normal numbers is of size sqrt(n)
    return OpCase(
        f"{op}-{name}",
        op,
        lambda rng, dtype: draw(rng, dtype, x),
        reference.conv_transpose_fwd,
        rtol=2e-5,
        atol=5e-6 * terms,
        linear=() if bias else (0, 1),
        batch=(0,),
        large=None if large is None else lambda rng, dtype: draw(rng, dtype, large),
        saved=4.0,
    )


CASES = [
    _case("plain", (2, 5, 6, 7), (5, 6, 3, 3), bias=True),
    _case("16", (2, 16, 8, 8), (16, 32, 3, 3), padding=1, bias=True, large=(9, 16, 20, 20)),
    _case("33", (2, 18, 5, 6), (18, 33, 3, 3), padding=1),
    _case("doubling", (2, 8, 5, 6), (8, 5, 4, 4), stride=2, padding=1, bias=True, large=(8, 8, 20, 20)),
    _case("doubling-3x3", (2, 8, 5, 6), (8, 5, 3, 3), stride=2, padding=1, output_padding=1, bias=True),
    _case("mixed", (2, 3, 4, 5), (3, 4, 3, 2), stride=(3, 2), padding=(2, 0), output_padding=(2, 1), bias=True),
    _case("stride-over", (2, 3, 4, 4), (3, 4, 1, 1), stride=3, output_padding=2),
    _case("1x1", (2, 9, 5, 4), (9, 35, 1, 1), bias=True),
    _case("wide-padding", (1, 2, 5, 5), (2, 3, 2, 2), padding=2),
    _case("groups", (2, 6, 5, 4), (6, 4, 3, 3), groups=3, stride=2, padding=1, bias=True),
    _case("depthwise", (2, 21, 6, 5), (21, 1, 3, 3), groups=21, padding=1),
    _case("depthwise-stride", (2, 5, 4, 5), (5, 1, 4, 4), groups=5, stride=2, padding=1, bias=True),
    _case("dilation", (2, 3, 5, 4), (3, 4, 3, 3), dilation=2, padding=1, bias=True),
    _case("dilation-stride", (2, 3, 5, 4), (3, 4, 2, 3), dilation=(1, 3), stride=2, output_padding=1),
    _case("one-output", (2, 4, 5, 6), (4, 1, 5, 5), padding=2),
    _case("plain", (2, 5, 9), (5, 7, 3), bias=True),
    _case("all", (2, 4, 7), (4, 3, 4), stride=3, padding=2, output_padding=1, groups=2, dilation=2, bias=True),
    _case("plain", (2, 3, 3, 4, 3), (3, 4, 2, 3, 2), padding=(0, 1, 0), bias=True),
    _case("all", (1, 4, 3, 2, 4), (4, 3, 2, 3, 2), stride=(2, 1, 2), output_padding=(1, 0, 0), groups=2, bias=True),
]
