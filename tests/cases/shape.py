"""Rows of the operations that rearrange, join, split and copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.autograd import OPS
from tests.cases import Array, OpCase, normal


def _row(label: str, op: str, shape: tuple[int, ...], args: tuple[Any, ...], reference: Any, **more: Any) -> OpCase:
    """An operation on one tensor with positional options: all of these are linear."""

    def call(x: Any, **_: Any) -> Any:
        return OPS[op](x, *args)

    more = {"kernel": False, "linear": (0,)} | more
    return OpCase(label, op, lambda rng, dtype: ((normal(rng, *shape, dtype=dtype),), {}), reference, call, **more)


def _many(label: str, op: str, shapes: list[tuple[int, ...]], options: dict[str, Any], reference: Any) -> OpCase:
    """An operation on several tensors."""

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return tuple(normal(rng, *shape, dtype=dtype) for shape in shapes), options

    return OpCase(label, op, sample, reference, kernel=False, linear=tuple(range(len(shapes))))


def _einsum(*arrays: Array, equation: str) -> Array:
    return np.asarray(np.einsum(equation, *arrays))


CASES = [
    _row("reshape", "reshape", (3, 4), (2, -1), lambda x: x.reshape(2, 6)),
    _row("reshape-sequence", "reshape", (3, 4), ((4, 3),), lambda x: x.reshape(4, 3)),
    _row("flatten", "flatten", (2, 3, 4), (1,), lambda x: x.reshape(2, 12), batch=(0,)),
    _row("flatten-scalar", "flatten", (), (), lambda x: x.reshape(1)),
    _row("unflatten", "unflatten", (2, 12), (1, (3, -1)), lambda x: x.reshape(2, 3, 4), batch=(0,)),
    _row("permute", "permute", (2, 3, 4), (2, 0, -2), lambda x: x.transpose(2, 0, 1), batch=(0,)),
    _row("transpose", "transpose", (2, 3, 4), (0, -1), lambda x: x.swapaxes(0, 2)),
    _row("movedim", "movedim", (2, 3, 4), (0, -1), lambda x: np.moveaxis(x, 0, -1)),
    _row("movedim-pair", "movedim", (2, 3, 4, 5), ((0, 1), (-1, 0)), lambda x: np.moveaxis(x, (0, 1), (-1, 0))),
    _row("squeeze", "squeeze", (1, 3, 1), (), lambda x: x.squeeze()),
    _row("squeeze-dim", "squeeze", (1, 3, 1), (-1,), lambda x: x.squeeze(-1)),
    _row("squeeze-longer", "squeeze", (1, 3, 1), (1,), lambda x: x),
    _row("unsqueeze", "unsqueeze", (3, 4), (-1,), lambda x: x[..., None], batch=(0,)),
    _row("expand", "expand", (3, 1), (2, -1, 4), lambda x: np.broadcast_to(x, (2, 3, 4))),
    _row("flip", "flip", (2, 3, 4), (0, -1), lambda x: x[::-1, :, ::-1], batch=(0,)),
    _row("roll", "roll", (3, 4), (2, 1), lambda x: np.roll(x, 2, 1), batch=(0,)),
    _row("roll-flat", "roll", (3, 4), (-3,), lambda x: np.roll(x, -3)),
    _row("roll-pair", "roll", (3, 4), ((1, -1), (0, 1)), lambda x: np.roll(x, (1, -1), (0, 1))),
    _row("tril", "tril", (2, 3, 4), (-1,), lambda x: np.tril(x, -1), batch=(0,)),
    _row("triu", "triu", (2, 3, 4), (1,), lambda x: np.triu(x, 1), batch=(0,)),
    _row("diag-vector", "diag", (3,), (-1,), lambda x: np.diag(x, -1)),
    _row("diag-matrix", "diag", (3, 4), (1,), lambda x: np.diag(x, 1)),
    _row("diag-matrix-below", "diag", (4, 3), (-2,), lambda x: np.diag(x, -2)),
    _row("repeat", "repeat", (2, 3), (2, 1, 3), lambda x: np.tile(x, (2, 1, 3))),
    _row("pad", "pad", (2, 3, 4), ((0, 3, 1, 2),), lambda x: np.pad(x, ((0, 0), (1, 2), (0, 3))), batch=(0,)),
    _row(
        "pad-value",
        "pad",
        (3, 4),
        ((1, 2), "constant", 2.5),
        lambda x: np.pad(x, ((0, 0), (1, 2)), constant_values=2.5),
    ),
    _row("pad-negative", "pad", (3, 4), ((-1, 2, 1, -2),), lambda x: np.pad(x[:-2, 1:], ((1, 0), (0, 2)))),
    _row(
        "pad-reflect",
        "pad",
        (2, 3, 4),
        ((3, 2, 1, 2), "reflect"),
        lambda x: np.pad(x, ((0, 0), (1, 2), (3, 2)), "reflect"),
        batch=(0,),
    ),
    _row(
        "pad-replicate",
        "pad",
        (2, 3, 4),
        ((5, 2, 1, 0), "replicate"),
        lambda x: np.pad(x, ((0, 0), (1, 0), (5, 2)), "edge"),
    ),
    _row(
        "pad-circular",
        "pad",
        (2, 3, 4),
        ((3, 4, 1, 0), "circular"),
        lambda x: np.pad(x, ((0, 0), (1, 0), (3, 4)), "wrap"),
    ),
    _row("split", "split", (5, 3), (2,), lambda x: (x[:2], x[2:4], x[4:])),
    _row("split-lengths", "split", (2, 5), ((1, 0, 4), 1), lambda x: (x[:, :1], x[:, :0], x[:, 1:]), batch=(0,)),
    _row("unbind", "unbind", (2, 3), (1,), lambda x: tuple(x.T), batch=(0,)),
    _row("clone", "clone", (2, 3), (), lambda x: x, batch=(0,)),
    _row("contiguous", "contiguous", (2, 3), (), lambda x: x, batch=(0,)),
    _row("to", "to", (2, 3), (np.float64,), lambda x: x, batch=(0,), dtypes=("float64",)),
    _many("cat", "cat", [(2, 3), (2, 1), (2, 4)], {"dim": 1}, lambda *x, dim: np.concatenate(x, dim)),
    _many("cat-last", "cat", [(2, 3, 2), (2, 3, 1)], {"dim": -1}, lambda *x, dim: np.concatenate(x, dim)),
    _many("einsum", "einsum", [(2, 3, 4), (4, 5), (2, 5)], {"equation": "bij,jk,bk->ib"}, _einsum),
    _many("einsum-implicit", "einsum", [(2, 3), (3, 4)], {"equation": "ji,ik"}, _einsum),
    _many("einsum-diagonal", "einsum", [(3, 3, 2), (3, 4)], {"equation": "iij,ik->jk"}, _einsum),
    _many("einsum-free", "einsum", [(3, 2), (4,)], {"equation": "ij,k->i"}, _einsum),
    _many("einsum-dots", "einsum", [(2, 1, 3), (5, 3, 4)], {"equation": "...j,...jk->...k"}, _einsum),
    _many("stack", "stack", [(2, 3)] * 3, {"dim": 1}, lambda *x, dim: np.stack(x, dim)),
    _many("stack-last", "stack", [(2, 3)] * 2, {"dim": -1}, lambda *x, dim: np.stack(x, dim)),
]
