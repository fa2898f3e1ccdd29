"""Rows of matrix products and the linear layer. NumPy's float64 product is the definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.reference import linear as reference
from tests.cases import Array, OpCase, normal


def _product(name: str, left: tuple[int, ...], right: tuple[int, ...], turned: str = "", **options: Any) -> OpCase:
    """A row for `matmul`; operands named in `turned` ("a", "b") lie transposed in memory."""

    def operand(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...], letter: str) -> Array:
        if letter in turned:
            return normal(rng, *shape[:-2], shape[-1], shape[-2], dtype=dtype).swapaxes(-1, -2)
        return normal(rng, *shape, dtype=dtype)

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return (operand(rng, dtype, left, "a"), operand(rng, dtype, right, "b")), {}

    options.setdefault("rtol", 2e-5)
    return OpCase(name, "matmul", sample, np.matmul, linear=(0, 1), atol=2e-5, **options)


def _large_product(rng: np.random.Generator, dtype: Any) -> Any:
    return (normal(rng, 203, 310, dtype=dtype), normal(rng, 310, 117, dtype=dtype)), {}


def _long_product(rng: np.random.Generator, dtype: Any) -> Any:
    """Few results of long sums, as weight gradients have: cut along the inner dimension."""
    return (normal(rng, 7000, 20, dtype=dtype).T, normal(rng, 7000, 33, dtype=dtype)), {}


def _linear(name: str, rows: tuple[int, ...], features: int, outputs: int, bias: bool = True) -> OpCase:
    def draw(rng: np.random.Generator, dtype: Any, rows: tuple[int, ...]) -> Any:
        x, w = normal(rng, *rows, features, dtype=dtype), normal(rng, outputs, features, dtype=dtype)
        return (x, w, normal(rng, outputs, dtype=dtype) if bias else None), {}

    return OpCase(
        name,
        "linear",
        lambda rng, dtype: draw(rng, dtype, rows),
        reference.linear_fwd,
        rtol=2e-5,
        atol=2e-5,
        linear=(0, 1) if not bias else (),
        batch=(0,),
        large=lambda rng, dtype: draw(rng, dtype, (400, *rows[1:])),
    )


CASES = [
    _product("matmul", (5, 7), (7, 3), large=_large_product),
    _product("matmul-long", (6, 40), (40, 5), turned="a", large=_long_product),
    _product("matmul-a-turned", (13, 18), (18, 35), turned="a"),
    _product("matmul-b-turned", (13, 18), (18, 35), turned="b"),
    _product("matmul-both-turned", (9, 4), (4, 17), turned="ab"),
    _product("matmul-few-rows", (2, 45), (45, 9), turned="b"),
    _product("matmul-deep", (3, 600), (600, 4), rtol=1e-4),
    _product("matmul-batch", (3, 4, 5), (3, 5, 6)),
    _product("matmul-batch-turned", (3, 4, 5), (3, 5, 6), turned="ab"),
    _product("matmul-broadcast", (2, 1, 4, 5), (3, 5, 6)),
    _product("matmul-one-matrix", (4, 3, 5), (5, 6)),
    _product("matmul-vector-left", (5,), (5, 6)),
    _product("matmul-vector-right", (4, 5), (5,)),
    _product("matmul-dot", (5,), (5,)),
    _product("matmul-empty-sum", (3, 0), (0, 4)),
    _linear("linear", (6,), 5, 4),
    _linear("linear-no-bias", (6,), 17, 33, bias=False),
    _linear("linear-one-row", (1,), 84, 10),
    _linear("linear-rows", (3, 2), 7, 4),
]
