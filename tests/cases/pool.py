"""Rows of pooling: tiling, gapped and overlapping windows, channel counts around the vectors' edges, 1-D to 3-D."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.reference import adaptive_pool, pool
from tests.cases import Array, OpCase, distinct, normal


def _max_fwd(x: Array, kernel_size: Any, return_indices: bool = False, **options: Any) -> Any:
    y, index = pool.max_pool_fwd(x, kernel_size, **options)
    return (y, index) if return_indices else y


def _avg_fwd(x: Array, kernel_size: Any, **options: Any) -> Array:
    return pool.avg_pool_fwd(x, kernel_size, **options)


def _adaptive_max_fwd(x: Array, output_size: Any, return_indices: bool = False) -> Any:
    y, index = adaptive_pool.adaptive_max_pool_fwd(x, output_size)
    return (y, index) if return_indices else y


_DEFINED = {
    "max": _max_fwd,
    "avg": _avg_fwd,
    "adaptive_max": _adaptive_max_fwd,
    "adaptive_avg": adaptive_pool.adaptive_avg_pool_fwd,
}


def _case(kind: str, label: str, shape: tuple[int, ...], large: bool = False, **options: Any) -> OpCase:
    """A row of `<kind>_pool<n>d`; `large` also runs it on enough images for several threads."""
    op = f"{kind}_pool{len(shape) - 2}d"

    def draw(rng: np.random.Generator, dtype: Any, images: int) -> Any:
        make = distinct if kind.endswith("max") else normal
        return (make(rng, images, *shape[1:], dtype=dtype),), options

    return OpCase(
        f"{op}-{label}",
        op,
        lambda rng, dtype: draw(rng, dtype, shape[0]),
        _DEFINED[kind],
        linear=(0,) if kind.endswith("avg") else (),
        batch=(0,),
        large=(lambda rng, dtype: draw(rng, dtype, 40)) if large else None,
    )


def _both(label: str, shape: tuple[int, ...], large: bool = False, **options: Any) -> list[OpCase]:
    return [_case(kind, label, shape, large, **options) for kind in ("max", "avg")]


CASES = [
    *_both("2x2", (2, 16, 8, 8), large=True, kernel_size=2),
    *_both("2x2-few-channels", (2, 6, 8, 6), large=True, kernel_size=2, stride=2),
    *_both("2x2-many-channels", (2, 90, 4, 6), kernel_size=2),
    *_both("2x2-ragged", (3, 5, 7, 9), large=True, kernel_size=2),
    *_both("3x3-tiling", (2, 18, 9, 6), kernel_size=3),
    *_both("3x3-overlap", (9, 20, 9, 8), large=True, kernel_size=3, stride=2, padding=1),
    *_both("3x3-dense", (2, 3, 6, 7), kernel_size=3, stride=1, padding=1),
    *_both("uneven", (2, 66, 10, 11), kernel_size=(3, 2), stride=(2, 3), padding=(1, 0)),
    *_both("ceil", (1, 3, 10, 11), kernel_size=3, stride=2, padding=1, ceil_mode=True),
    *_both("ceil-ragged", (2, 4, 7, 7), kernel_size=2, ceil_mode=True),
    *_both("gaps", (2, 4, 8, 7), large=True, kernel_size=2, stride=3),
    *_both("one-pixel", (2, 4, 1, 1), kernel_size=1),
    *_both("1d", (2, 3, 11), kernel_size=3, stride=2, padding=1),
    *_both("1d-tiling", (2, 40, 12), large=True, kernel_size=4),
    *_both("3d", (2, 5, 6, 5, 7), kernel_size=(2, 3, 2), stride=2, padding=1),
    *_both("3d-tiling", (2, 16, 4, 4, 6), large=True, kernel_size=2),
    _case("max", "dilation", (2, 18, 12, 11), large=True, kernel_size=3, dilation=2),
    _case("max", "dilation-ceil", (2, 3, 12, 11), kernel_size=3, stride=2, padding=1, dilation=(2, 3), ceil_mode=True),
    _case("max", "indices", (2, 5, 9, 8), kernel_size=3, stride=2, padding=1, return_indices=True),
    _case("max", "indices", (2, 5, 9), kernel_size=2, return_indices=True),
    _case("max", "indices", (2, 3, 4, 4, 4), kernel_size=2, stride=1, return_indices=True),
    _case("avg", "exclude-pad", (2, 5, 9, 8), kernel_size=3, stride=2, padding=1, count_include_pad=False),
    _case("avg", "exclude-pad-ceil", (2, 5, 9, 8), kernel_size=4, stride=3, padding=2, ceil_mode=True,
          count_include_pad=False),
    _case("avg", "include-pad-ceil", (2, 5, 9, 8), kernel_size=4, stride=3, padding=2, ceil_mode=True),
    _case("avg", "divisor", (2, 5, 8, 8), kernel_size=3, stride=2, divisor_override=5),
    _case("avg", "divisor", (2, 3, 5, 5, 5), kernel_size=3, stride=2, divisor_override=7),
    *[
        _case(kind, label, shape, large, output_size=size)
        for kind in ("adaptive_max", "adaptive_avg")
        for label, shape, large, size in (
            ("global", (2, 16, 8, 8), True, 1),
            ("bins", (3, 5, 7, 9), True, (3, 4)),
            ("bins-larger-than-input", (2, 70, 5, 5), False, (7, None)),
            ("1d", (2, 3, 13), False, 5),
            ("3d", (2, 3, 5, 6, 7), False, (2, 3, 4)),
        )
    ],
    _case("adaptive_max", "indices", (2, 5, 7, 9), output_size=3, return_indices=True),
]  # fmt: skip
