"""Rows of running products and extremes, slices added by index, and special functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from tests.cases import Array, OpCase, distinct, normal, positive


def _row(name: str, op: str, sample: Any, reference: Any, **more: Any) -> OpCase:
    return OpCase(name, op, sample, reference, **({"kernel": False} | more))


def _scan(op: str, draw: Any, reference: Any, dim: int) -> OpCase:
    return _row(
        f"{op}-{dim}", op, lambda rng, dtype: ((draw(rng, 3, 4, 5, dtype=dtype),), {"dim": dim}),
        lambda x, dim: reference(x, dim),
    )  # fmt: skip


def _some_zeros(rng: np.random.Generator, *shape: int, dtype: Any) -> Array:
    x = normal(rng, *shape, dtype=dtype)
    return np.where(rng.random(shape) < 0.3, 0, x).astype(dtype)


def _running(name: str) -> Any:
    """Values and last places, element by element."""
    better = np.greater_equal if name == "cummax" else np.less_equal

    def along(line: Array) -> tuple[Array, Array]:
        places, best = [], 0
        for i, value in enumerate(line):
            best = i if better(value, line[best]) else best
            places.append(best)
        return line[places], np.array(places)

    def defined(x: Array, dim: int) -> tuple[Array, Array]:
        lines = np.moveaxis(x, dim, -1)
        y, index = np.empty(lines.shape), np.empty(lines.shape, np.int64)
        for at in np.ndindex(lines.shape[:-1]):
            y[at], index[at] = along(lines[at])
        return np.moveaxis(y, -1, dim), np.moveaxis(index, -1, dim)

    return defined


def _index_add(x: Array, dim: int, index: Array, source: Array, alpha: float = 1) -> Array:
    y = np.moveaxis(x, dim, 0).copy()
    for place, part in zip(index, np.moveaxis(source, dim, 0), strict=True):
        y[place] += alpha * part
    return np.moveaxis(y, 0, dim)


def _probabilities(rng: np.random.Generator, *shape: int, dtype: Any) -> Array:
    return rng.uniform(0.05, 0.95, shape).astype(dtype)


def _each(op: str, draw: Any, reference: Any, suffix: str = "", **options: Any) -> OpCase:
    return _row(
        op + suffix, op, lambda rng, dtype: ((draw(rng, 4, 5, dtype=dtype),), options), reference, batch=(0,)
    )  # fmt: skip


CASES = [
    *(_scan("cumprod", draw, np.cumprod, dim) for draw, dim in ((normal, 1), (positive, -1))),
    _row("cumprod-zeros", "cumprod", lambda rng, dtype: ((_some_zeros(rng, 4, 6, dtype=dtype),), {"dim": 1}),
         lambda x, dim: np.cumprod(x, dim)),
    *(_scan(op, distinct, _running(op), dim) for op in ("cummax", "cummin") for dim in (0, -2)),
    _row("index_add", "index_add",
         lambda rng, dtype: ((normal(rng, 3, 4, 2, dtype=dtype), 1, np.array([3, 0, 3]),
                              normal(rng, 3, 3, 2, dtype=dtype)), {"alpha": 0.5}),
         _index_add, linear=(0, 3)),
    _each("erf", normal, scipy.special.erf),
    _each("logit", _probabilities, lambda x: np.log(x / (1 - x))),
    _each("logit", _probabilities, lambda x, eps: scipy.special.logit(np.clip(x, eps, 1 - eps)), "-eps", eps=0.311),
    _each("frac", distinct, lambda x: x - np.trunc(x)),
    _each("sinc", distinct, np.sinc),
    _row("logaddexp", "logaddexp",
         lambda rng, dtype: ((normal(rng, 3, 4, dtype=dtype), normal(rng, 4, dtype=dtype)), {}), np.logaddexp),
    _each("nan_to_num", normal, lambda x: x),
]  # fmt: skip
