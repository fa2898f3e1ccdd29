"""Rows of dropout: the mask is that of the reference, bit for bit."""

from __future__ import annotations

from typing import Any

from fastnn.autograd import OPS
from fastnn.random import Generator
from fastnn.reference import dropout as reference
from tests.cases import Array, OpCase, normal

SEED = 2**40 + 17


def _case(
    op: str, suffix: str, shape: tuple[int, ...], large: tuple[int, ...], p: float, training: bool = True
) -> OpCase:
    def sample(shape: tuple[int, ...]) -> Any:
        return lambda rng, dtype: ((normal(rng, *shape, dtype=dtype),), {"p": p, "training": training})

    def call(x: Any, **options: Any) -> Any:
        return OPS[op](x, generator=Generator(SEED), **options)

    def defined(x: Array, p: float, training: bool) -> Array:
        if not training:
            return x
        if op == "dropout":
            return reference.dropout_fwd(x, p, SEED)
        return reference.feature_dropout_fwd(x, p, SEED)

    return OpCase(
        f"{op}-{suffix}", op, sample(shape), defined, call, rtol=1e-6, batch=(0,), linear=(0,), large=sample(large)
    )


CASES = [
    # One dimension: the mask counts positions in memory, so it depends on the layout of more.
    _case("dropout", "half", (101,), (300001,), 0.5),
    _case("dropout", "tenth", (67,), (300001,), 0.1),
    _case("dropout", "all", (5,), (5,), 1.0),
    _case("dropout", "none", (5,), (5,), 0.0),
    _case("dropout", "eval", (5,), (5,), 0.5, training=False),
    _case("dropout1d", "half", (5, 7, 9), (40, 33, 200), 0.5),
    _case("dropout2d", "third", (5, 18, 3, 3), (40, 18, 20, 20), 0.3),
    _case("dropout2d", "eval", (5, 18, 3, 3), (5, 18, 3, 3), 0.3, training=False),
    _case("dropout3d", "half", (3, 5, 2, 3, 2), (30, 5, 20, 8, 8), 0.5),
]
