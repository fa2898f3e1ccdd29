"""Rows of dropout: the mask is that of the reference, bit for bit."""

from __future__ import annotations

from typing import Any

from fastnn.autograd import OPS
from fastnn.random import Generator
from fastnn.reference import dropout as reference
from tests.cases import Array, OpCase, normal

SEED = 2**40 + 17


def _case(
    op: str, suffix: str, shape: tuple[int, ...], large: tuple[int, ...], p: float, training: bool = True, **more: Any
) -> OpCase:
    def sample(shape: tuple[int, ...]) -> Any:
        return lambda rng, dtype: ((normal(rng, *shape, dtype=dtype),), {"p": p, "training": training, **more})

    def call(x: Any, **options: Any) -> Any:
        return OPS[op](x, generator=Generator(SEED), **options)

    def defined(x: Array, p: float, training: bool, scale_at_test: bool = False, mode: str = "") -> Array:
        if not training:
            return reference.scale_for_test(x, p) if scale_at_test else x
        if op == "dropout":
            return reference.dropout_fwd(x, p, SEED, inverted=not scale_at_test)
        if op == "stochastic_depth":
            return reference.stochastic_depth_fwd(x, p, mode, SEED, inverted=not scale_at_test)
        return reference.feature_dropout_fwd(x, p, SEED, inverted=not scale_at_test)

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
    _case("dropout", "unscaled", (101,), (300001,), 0.3, scale_at_test=True),
    _case("dropout", "scaled-eval", (101,), (101,), 0.3, training=False, scale_at_test=True),
    _case("dropout1d", "half", (5, 7, 9), (40, 33, 200), 0.5),
    _case("dropout2d", "third", (5, 18, 3, 3), (40, 18, 20, 20), 0.3),
    _case("dropout2d", "eval", (5, 18, 3, 3), (5, 18, 3, 3), 0.3, training=False),
    _case("dropout2d", "unscaled", (5, 18, 3, 3), (5, 18, 3, 3), 0.3, scale_at_test=True),
    _case("dropout2d", "scaled-eval", (5, 18, 3, 3), (5, 18, 3, 3), 0.3, training=False, scale_at_test=True),
    _case("dropout3d", "half", (3, 5, 2, 3, 2), (30, 5, 20, 8, 8), 0.5),
    _case("stochastic_depth", "rows", (9, 18, 3, 3), (60, 18, 20, 20), 0.4, mode="row"),
    _case("stochastic_depth", "rows-flat", (9, 5), (3000, 50), 0.4, mode="row"),
    _case("stochastic_depth", "vector", (9,), (9,), 0.4, mode="row"),
    _case("stochastic_depth", "all", (3, 4, 2), (3, 4, 2), 1.0, mode="row"),
    _case("stochastic_depth", "batch", (4, 5, 2), (4, 5, 2), 0.5, mode="batch"),
    _case("stochastic_depth", "unscaled", (9, 5), (9, 5), 0.4, mode="row", scale_at_test=True),
    _case("stochastic_depth", "eval", (9, 5), (9, 5), 0.4, training=False, mode="row"),
    _case("stochastic_depth", "scaled-eval", (9, 5), (9, 5), 0.4, training=False, mode="row", scale_at_test=True),
]
