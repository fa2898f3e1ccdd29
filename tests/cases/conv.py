"""Rows of the convolutions: every algorithm, dimension and option, sizes around the tiles' and vectors' edges."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn.autograd import OPS
from fastnn.reference import conv as reference
from tests.cases import OpCase, normal


def _conv(
    name: str,
    x: tuple[int, ...],
    w: tuple[int, ...],
    bias: bool = False,
    algorithm: str = "auto",
    large: tuple[int, ...] | None = None,
    **options: Any,
) -> OpCase:
    """A row: input (N, C, *spatial) and weight shapes, options, and the algorithm that must be able to do it."""
    op = f"conv{len(w) - 2}d"

    def draw(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...]) -> Any:
        b = normal(rng, w[0], dtype=dtype) if bias else None
        return (normal(rng, *shape, dtype=dtype), normal(rng, *w, dtype=dtype), b), options

    def call(*tensors: Any, **options: Any) -> Any:
        before = fastnn.backends.conv.algorithm
        fastnn.backends.conv.algorithm = algorithm
        try:
            return OPS[op](*tensors, **options)
        finally:
            fastnn.backends.conv.algorithm = before

    # A sum of n products of normal numbers is of size sqrt(n); Winograd's rounding error is up to four times the
    # direct sum's (docs/kernels/winograd.md), as large for small results as for large ones.
    terms = float(np.sqrt(np.prod(w[1:])))
    return OpCase(
        name,
        op,
        lambda rng, dtype: draw(rng, dtype, x),
        reference.conv_fwd,
        call=call,
        rtol=2e-5,
        atol=5e-6 * terms,
        linear=() if bias else (0, 1),
        batch=(0,),
        large=None if large is None else lambda rng, dtype: draw(rng, dtype, large),
        saved=4.0,
    )


def _each(name: str, x: tuple[int, ...], w: tuple[int, ...], *algorithms: str, **options: Any) -> list[OpCase]:
    return [_conv(f"{name}-{a}", x, w, algorithm=a, **options) for a in algorithms]


CASES = [
    # 3x3, stride 1: all three algorithms; ragged tiles, channels around the vector lengths
    *_each("conv2d-3x3", (2, 5, 9, 7), (6, 5, 3, 3), "winograd", "direct", "im2col", padding=1, bias=True),
    *_each("conv2d-3x3-16", (2, 16, 8, 8), (16, 16, 3, 3), "auto", "direct", padding=1, large=(9, 16, 20, 20)),
    *_each("conv2d-3x3-33", (1, 18, 5, 6), (33, 18, 3, 3), "winograd", "direct", padding=(2, 0)),
    *_each("conv2d-3x3-one-pixel", (3, 4, 1, 1), (7, 4, 3, 3), "winograd", "direct", "im2col", padding=1),
    *_each("conv2d-3x3-valid", (2, 3, 11, 6), (4, 3, 3, 3), "winograd", "direct", padding="valid"),
    # direct: strides, odd filters, padding of all kinds
    *_each("conv2d-stride", (2, 6, 9, 8), (20, 6, 3, 3), "auto", "im2col", stride=2, padding=1, large=(8, 6, 33, 33)),
    *_each("conv2d-stride-3", (2, 3, 10, 11), (5, 3, 2, 4), "auto", stride=(3, 2), padding=(1, 3), bias=True),
    *_each("conv2d-stride-over", (2, 3, 7, 7), (4, 3, 1, 1), "auto", stride=3),
    *_each("conv2d-5x5", (2, 1, 12, 12), (6, 1, 5, 5), "auto", padding=2, bias=True, large=(16, 1, 28, 28)),
    *_each("conv2d-2x2", (2, 3, 6, 5), (24, 3, 2, 2), "auto", bias=True),
    *_each("conv2d-same", (2, 3, 6, 5), (4, 3, 4, 2), "auto", padding="same"),
    *_each("conv2d-wide-padding", (1, 2, 3, 3), (3, 2, 2, 2), "auto", padding=4),
    *_each("conv2d-tall", (2, 3, 14, 1), (4, 3, 5, 1), "auto", padding=(2, 0)),
    # 1x1
    *_each("conv2d-1x1", (2, 9, 5, 4), (35, 9, 1, 1), "auto", "direct", "im2col", bias=True, large=(8, 9, 40, 40)),
    *_each("conv2d-1x1-padding", (2, 3, 3, 4), (5, 3, 1, 1), "auto", padding=1),
    # groups and depthwise
    *_each("conv2d-groups", (2, 6, 7, 7), (4, 3, 3, 3), "auto", groups=2, padding=1, bias=True),
    *_each("conv2d-depthwise", (2, 21, 7, 6), (21, 1, 3, 3), "auto", groups=21, padding=1, large=(8, 21, 40, 40)),
    *_each("conv2d-depthwise-stride", (2, 5, 8, 7), (5, 1, 3, 3), "auto", groups=5, padding=1, stride=2, bias=True),
    *_each("conv2d-depthwise-5x4", (1, 3, 9, 8), (3, 1, 5, 4), "auto", groups=3, padding=(2, 1), stride=(1, 3)),
    *_each("conv2d-multiplier", (2, 3, 6, 6), (6, 1, 3, 3), "auto", groups=3, padding=1),
    *_each(
        "conv2d-groups-16", (2, 48, 9, 7), (32, 24, 3, 3), "auto", "direct", "im2col", groups=2, padding=1, bias=True
    ),
    *_each("conv2d-groups-wide", (2, 32, 6, 17), (80, 16, 3, 3), "winograd", "direct", groups=2, padding=1),
    *_each(
        "conv2d-groups-merged", (2, 32, 9, 8), (32, 4, 3, 3), "auto", "direct", "im2col", groups=8, padding=1, bias=True
    ),
    *_each("conv2d-groups-merged-all", (2, 12, 5, 8), (16, 6, 3, 3), "auto", "winograd", groups=2, padding=1),
    *_each("conv2d-depthwise-dilation", (2, 18, 9, 12), (18, 1, 3, 3), "auto", groups=18, dilation=(2, 3), padding=2),
    *_each("conv2d-depthwise-over", (3, 17, 3, 2), (17, 1, 5, 5), "auto", groups=17, padding=4, stride=(3, 2)),
    *_each("conv2d-depthwise-7x7", (1, 33, 11, 19), (33, 1, 7, 7), "auto", "im2col", groups=33, padding=3, bias=True),
    *_each("conv2d-groups-stride", (2, 10, 8, 9), (15, 2, 3, 2), "auto", "im2col", groups=5, stride=2, padding=1),
    *_each("conv2d-groups-1x1", (3, 34, 4, 5), (6, 17, 1, 1), "auto", groups=2, bias=True, large=(8, 34, 40, 40)),
    *_each("conv2d-groups-dilation", (2, 8, 11, 9), (36, 4, 3, 3), "auto", groups=2, dilation=(3, 2), padding=2),
    # dilation
    *_each("conv2d-dilation", (2, 3, 9, 10), (4, 3, 3, 3), "auto", dilation=2, padding=2, bias=True),
    *_each("conv2d-dilation-16", (2, 18, 8, 16), (17, 18, 3, 3), "auto", "im2col", dilation=2, padding=2, bias=True),
    *_each("conv2d-dilation-rows", (2, 5, 12, 7), (33, 5, 3, 3), "auto", dilation=(4, 1), padding=(4, 1)),
    *_each("conv2d-dilation-over", (2, 3, 4, 3), (4, 3, 3, 3), "auto", dilation=5, padding=5),
    *_each("conv2d-dilation-stride", (2, 3, 9, 10), (4, 3, 3, 2), "auto", dilation=(1, 3), stride=(2, 2), padding=1),
    *_each("conv2d-dilation-common", (2, 4, 15, 13), (6, 4, 3, 4), "auto", dilation=(4, 2), stride=(2, 4), padding=3),
    *_each("conv2d-dilation-stride-3", (2, 3, 14, 11), (5, 3, 4, 3), "auto", dilation=(2, 3), stride=(3, 2), padding=2),
    # direct, channels enough that taps in the padding are left out: more or fewer of them, at one end or both, and none
    # that all pixels of a row see
    *_each("conv2d-edges-5x5", (2, 17, 6, 15), (18, 17, 5, 5), "auto", "im2col", padding=2, bias=True),
    *_each("conv2d-edges-stride", (2, 20, 7, 30), (34, 20, 3, 4), "auto", "im2col", stride=2, padding=(1, 2)),
    *_each("conv2d-edges-narrow", (2, 16, 5, 3), (16, 16, 5, 7), "auto", padding=(2, 3), bias=True),
    *_each("conv2d-edges-groups", (2, 34, 6, 18), (40, 17, 3, 5), "auto", "im2col", groups=2, padding=2, bias=True),
    *_each("conv2d-edges-dilation", (2, 16, 7, 33), (5, 16, 3, 5), "auto", dilation=(2, 3), padding=(2, 5)),
    *_each("conv2d-edges-all", (2, 16, 4, 6), (20, 16, 1, 2), "auto", dilation=3, padding=2),
    *_each("conv2d-edges-outside", (1, 16, 2, 2), (20, 16, 3, 3), "direct", padding=4, bias=True),
    # other dimensions
    *_each("conv1d", (2, 5, 17), (7, 5, 3), "auto", "im2col", padding=1, bias=True),
    *_each("conv1d-stride", (2, 2, 16), (3, 2, 4), "auto", stride=3, dilation=2, padding=2),
    *_each("conv1d-groups", (2, 4, 9), (6, 2, 3), "auto", groups=2),
    *_each("conv3d", (2, 3, 5, 6, 4), (4, 3, 3, 3, 2), "auto", padding=(1, 1, 0), bias=True),
    *_each("conv3d-stride", (1, 4, 6, 5, 7), (4, 2, 2, 3, 3), "auto", stride=(2, 1, 2), groups=2, dilation=(1, 2, 1)),
]
