"""Rows of pooling: tiling, gapped and overlapping windows, channel counts around the vectors' edges, 1-D to 3-D."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.reference import adaptive_pool, pool
from tests.cases import Array, OpCase, distinct, normal, positive


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


def _relu_max(label: str, shape: tuple[int, ...], large: bool = False, **options: Any) -> OpCase:
    """A row of the maximum of windows of the ReLU, on numbers of which `distinct` makes half negative."""

    def draw(rng: np.random.Generator, dtype: Any, images: int) -> Any:
        return (distinct(rng, images, *shape[1:], dtype=dtype),), options

    return OpCase(
        f"relu_max_pool2d-{label}",
        "relu_max_pool2d",
        lambda rng, dtype: draw(rng, dtype, shape[0]),
        lambda x, kernel_size, **more: pool.relu_max_pool_fwd(x, kernel_size, **more),
        batch=(0,),
        large=(lambda rng, dtype: draw(rng, dtype, 40)) if large else None,
    )


def _lp_fwd(x: Array, p: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False, *, axes: int) -> Array:
    return pool.lp_pool_fwd(x, p, kernel_size, stride, ceil_mode)


def _lp(label: str, p: float, shape: tuple[int, ...], **options: Any) -> OpCase:
    """A row of power pooling; numbers above 0, but for the even exponent."""
    draw = normal if p == 2 else positive
    return OpCase(
        f"lp_pool{len(shape) - 2}d-{label}",
        "lp_pool",
        lambda rng, dtype: ((draw(rng, *shape, dtype=dtype), p), {**options, "axes": len(shape) - 2}),
        _lp_fwd,
        batch=(0,),
        saved=4.0,
    )


def _fractional_fwd(x: Array, samples: Array, kernel_size: tuple[int, ...], output_size: tuple[int, ...]) -> Any:
    """Window by window, as the docstring defines it."""
    axes = len(kernel_size)
    y, index = np.zeros((*x.shape[:2], *output_size)), np.zeros((*x.shape[:2], *output_size), np.int64)
    for plane in np.ndindex(*x.shape[:2]):
        u = samples[plane] if axes == 3 else samples[plane][::-1]
        for o in np.ndindex(*output_size):
            start = []
            for i, k, n, out, sample in zip(o, kernel_size, x.shape[2:], output_size, u, strict=True):
                alpha = (n - k) / max(out - 1, 1)
                start.append(n - k if i == out - 1 else int((i + sample) * alpha) - int(sample * alpha))
            window = x[(*plane, *(slice(s, s + k) for s, k in zip(start, kernel_size, strict=True)))]
            first = np.unravel_index(window.argmax(), window.shape)
            y[(*plane, *o)] = window.max()
            index[(*plane, *o)] = np.ravel_multi_index(np.add(first, start), x.shape[2:])
    return y, index


def _fractional(label: str, shape: tuple[int, ...], kernel: tuple[int, ...], out: tuple[int, ...]) -> OpCase:
    def draw(rng: np.random.Generator, dtype: Any) -> Any:
        samples = rng.random((*shape[:2], len(kernel)))
        return (distinct(rng, *shape, dtype=dtype), samples), {"kernel_size": kernel, "output_size": out}

    return OpCase(
        f"fractional_max_pool{len(kernel)}d-{label}",
        "fractional_max_pool",
        draw,
        _fractional_fwd,
        grads=(0,),
        batch=(0, 1),
        kernel=False,
    )


CASES = [
    _lp("2", 2, (2, 5, 8, 9), kernel_size=3, stride=2),
    _lp("3", 3, (2, 5, 8, 9), kernel_size=(2, 3)),
    _lp("fraction", 1.5, (2, 5, 8, 9), kernel_size=2, stride=1),
    _lp("ceil", 2, (2, 5, 8, 9), kernel_size=3, stride=2, ceil_mode=True),
    _lp("1", 1, (2, 3, 9), kernel_size=2),
    _lp("4", 4, (2, 3, 5, 4, 6), kernel_size=2),
    _fractional("ratio", (2, 3, 9, 8), (2, 2), (6, 5)),
    _fractional("uneven", (2, 3, 7, 12), (3, 1), (4, 7)),
    _fractional("one", (2, 3, 7, 5), (2, 3), (1, 1)),
    _fractional("volume", (2, 2, 6, 5, 7), (2, 2, 3), (4, 3, 3)),
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
    _relu_max("2x2", (2, 16, 8, 8), large=True, kernel_size=2),
    _relu_max("2x2-few-channels", (2, 6, 8, 6), large=True, kernel_size=2),
    _relu_max("2x2-ragged", (3, 5, 7, 9), large=True, kernel_size=2),
    _relu_max("2x2-many-channels", (2, 90, 5, 7), kernel_size=2),
    _relu_max("3x3-overlap", (9, 20, 9, 8), large=True, kernel_size=3, stride=2, padding=1),
    _relu_max("3x3-few-channels", (9, 3, 9, 8), kernel_size=3, stride=1, padding=1),
    _relu_max("uneven", (2, 66, 10, 11), kernel_size=(3, 2), stride=(2, 3), padding=(1, 0)),
    _relu_max("ceil", (2, 4, 7, 7), kernel_size=2, ceil_mode=True),
    _relu_max("dilation", (2, 18, 12, 11), kernel_size=3, dilation=2),
    _relu_max("gaps", (2, 4, 8, 7), kernel_size=2, stride=3),
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
