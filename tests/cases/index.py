"""Rows of the operations that choose elements and put them in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.autograd import OPS
from tests.cases import Array, OpCase, normal

_ROWS, _COLUMNS = np.array([2, 0, 2, -1]), np.array([1, 1, 1, 0])
_MASK = np.array([True, False, True])


def _get(label: str, key: Any) -> OpCase:
    return OpCase(
        f"getitem-{label}",
        "getitem",
        lambda rng, dtype: ((normal(rng, 3, 4, 5, dtype=dtype),), {"key": key}),
        lambda x, key: x[key],
        kernel=False,
        linear=(0,),
    )


def _put(label: str, key: Any, shape: tuple[int, ...] | None) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        value = 2.0 if shape is None else normal(rng, *shape, dtype=dtype)
        return (normal(rng, 3, 4, 5, dtype=dtype), value), {"key": key}

    def reference(x: Array, value: Any, key: Any) -> Array:
        y = x.copy()
        y[key] = value
        return y

    linear = (0,) if shape is None else (0, 1)
    return OpCase(f"index_put-{label}", "index_put", sample, reference, kernel=False, linear=linear)


def _with_index(name: str, options: dict[str, Any], index: Any, reference: Any) -> OpCase:
    """`op(input, dim, index)`, the index standing between or behind the options."""

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return (normal(rng, 3, 4, dtype=dtype),), options

    def call(x: Any, dim: int) -> Any:
        return OPS[name](x, dim, index)

    return OpCase(f"{name}-{options['dim']}", name, sample, reference, call, kernel=False, linear=(0,))


def _scatter(name: str, dim: int, source: bool, reference: Any) -> OpCase:
    index = np.array([[0, 2, 0, 1], [2, 0, 2, 0]]) if dim in (0, -2) else np.array([[3, 0], [1, 1], [0, 2]])

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return (normal(rng, 3, 4, dtype=dtype), normal(rng, 3, 4, dtype=dtype) if source else 1.5), {"dim": dim}

    def call(x: Any, src: Any, dim: int) -> Any:
        return OPS[name](x, dim, index, src)

    def defined(x: Array, src: Any, dim: int) -> Array:
        y = x.copy()
        for place in np.ndindex(index.shape):
            target = list(place)
            target[dim] = int(index[place])
            value = src[place] if source else src
            y[tuple(target)] = reference(y[tuple(target)], value)
        return y

    linear = (0, 1) if source else (0,)
    return OpCase(f"{name}-{dim}-{source}", name, sample, defined, call, kernel=False, linear=linear)


def _gather(x: Array, dim: int, index: Array) -> Array:
    y = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        source = list(place)
        source[dim] = index[place]
        y[place] = x[tuple(source)]
    return y


_INDEX_0 = np.array([[0, 2, 0], [2, 2, 1]])
_INDEX_1 = np.array([[3, 0, 3, 3, 1], [1, 1, 0, 2, 2]])

CASES = [
    _get("number", 1),
    _get("numbers", (1, 2, 3)),
    _get("slice", slice(1, None)),
    _get("step", (slice(None), slice(None, None, 2))),
    _get("backwards", (slice(None), slice(None, None, -1))),
    _get("new", (None, 0, ..., None)),
    _get("ellipsis", (..., -1)),
    _get("array", _ROWS),
    _get("arrays", (_ROWS, _COLUMNS)),
    _get("apart", (_ROWS, slice(None), _COLUMNS)),
    _get("matrix", (slice(None), np.array([[0, 1], [1, 3]]))),
    _get("mask", _MASK),
    _get("mask-and-number", (_MASK, 0)),
    _get("none-chosen", np.zeros(0, np.int64)),
    _get("full-mask", np.arange(60).reshape(3, 4, 5) % 3 == 0),
    _put("slice", slice(1, None), (2, 4, 5)),
    _put("broadcast", (slice(None), 0), (5,)),
    _put("number", (1, ...), None),
    _put("array", _ROWS, (4, 4, 5)),
    _put("arrays", (_ROWS, _COLUMNS), (5,)),
    _put("mask", _MASK, (2, 4, 5)),
    _put("all", ..., (4, 1)),
    _with_index("gather", {"dim": 0}, _INDEX_0, lambda x, dim: _gather(x, dim, _INDEX_0)),
    _with_index("gather", {"dim": -1}, _INDEX_1, lambda x, dim: _gather(x, dim, _INDEX_1)),
    _with_index("index_select", {"dim": 1}, np.array([3, 0, 3]), lambda x, dim: x[:, [3, 0, 3]]),
    _with_index("index_select", {"dim": -2}, np.array([1, 1]), lambda x, dim: x[[1, 1]]),
    OpCase(
        "take_along_dim",
        "take_along_dim",
        lambda rng, dtype: ((normal(rng, 3, 4, dtype=dtype), np.array([[1, 1, 3]])), {"dim": 1}),
        lambda x, i, dim: np.take_along_axis(x, np.broadcast_to(i, (3, 3)), dim),
        kernel=False,
        linear=(0,),
    ),
    OpCase(
        "take_along_dim-flat",
        "take_along_dim",
        lambda rng, dtype: ((normal(rng, 3, 4, dtype=dtype), np.array([11, 2, 2])), {}),
        lambda x, i: x.ravel()[i],
        kernel=False,
        linear=(0,),
    ),
    OpCase(
        "take_along_dim-spread",
        "take_along_dim",
        lambda rng, dtype: ((normal(rng, 1, 4, dtype=dtype), np.array([[1], [3], [3]])), {"dim": 1}),
        lambda x, i, dim: x[0][i],
        kernel=False,
        linear=(0,),
    ),
    _scatter("scatter_add", 0, True, lambda old, new: old + new),
    _scatter("scatter_add", 1, True, lambda old, new: old + new),
    _scatter("scatter", 0, True, lambda old, new: new),
    _scatter("scatter", -1, True, lambda old, new: new),
    _scatter("scatter", 1, False, lambda old, new: new),
    OpCase(
        "masked_fill",
        "masked_fill",
        lambda rng, dtype: ((normal(rng, 3, 4, dtype=dtype), rng.random(4) < 0.5, -2.0), {}),
        lambda x, mask, value: np.where(mask, value, x),
        kernel=False,
        batch=(0,),
    ),
    OpCase(
        "masked_fill-tensor",
        "masked_fill",
        lambda rng, dtype: ((normal(rng, 3, 4, dtype=dtype), rng.random((3, 1)) < 0.5, np.array(0.5, dtype)), {}),
        lambda x, mask, value: np.where(mask, value, x),
        kernel=False,
        linear=(0, 2),
    ),
    OpCase(
        "masked_select",
        "masked_select",
        lambda rng, dtype: ((normal(rng, 3, 4, dtype=dtype), rng.random((3, 1)) < 0.6), {}),
        lambda x, mask: x[np.broadcast_to(mask, x.shape)],
        kernel=False,
        linear=(0,),
    ),
    OpCase(
        "nonzero",
        "nonzero",
        lambda rng, dtype: ((rng.integers(0, 2, (3, 4)),), {}),
        np.argwhere,
        kernel=False,
        grads=(),
    ),
    OpCase(
        "one_hot",
        "one_hot",
        lambda rng, dtype: ((rng.integers(0, 3, (2, 4)),), {"num_classes": 3}),
        lambda i, num_classes: np.eye(num_classes, dtype=np.int64)[i],
        kernel=False,
        grads=(),
        dtypes=("float32",),
        batch=(0,),
    ),
]
