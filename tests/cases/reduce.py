"""Rows of the reductions, extremes and orders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import logsumexp

from tests.cases import Array, OpCase, distinct, normal, positive

_DIMS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("all", {}),
    ("dim", {"dim": 1}),
    ("last-kept", {"dim": -1, "keepdim": True}),
    ("pair", {"dim": (0, -1)}),
)


def _numpy(dim: Any = None, keepdim: bool = False) -> dict[str, Any]:
    return {"axis": tuple(dim) if isinstance(dim, list | tuple) else dim, "keepdims": keepdim}


def _rows(
    name: str, reference: Callable[..., Array], draw: Callable[..., Array] = normal, dims: Any = _DIMS, **more: Any
) -> list[OpCase]:
    """One row for each way of naming dimensions."""

    def defined(x: Array, dim: Any = None, keepdim: bool = False, **options: Any) -> Array:
        return reference(x, **_numpy(dim, keepdim), **options)

    def sampler(options: dict[str, Any]) -> Any:
        return lambda rng, dtype: ((draw(rng, 3, 4, 5, dtype=dtype),), options)

    return [OpCase(f"{name}-{label}", name, sampler(o), defined, kernel=False, **more) for label, o in dims]


def _moment(name: str, reference: Callable[..., Array], options: dict[str, Any], ddof: float) -> OpCase:
    return OpCase(
        f"{name}-{options}",
        name,
        lambda rng, dtype: ((normal(rng, 4, 5, dtype=dtype),), options),
        lambda x, dim=None, keepdim=False, **_: reference(x, ddof=ddof, **_numpy(dim, keepdim)),
        kernel=False,
    )


def _norm(p: Any, **options: Any) -> OpCase:
    def reference(x: Array, p: Any, dim: Any = None, keepdim: bool = False) -> Array:
        order = 2 if p in ("fro", None) else p
        lines = x.reshape(-1) if dim is None else x
        return np.linalg.norm(lines, order, -1 if dim is None else dim, keepdim)

    return OpCase(
        f"norm-{p}-{options}",
        "norm",
        lambda rng, dtype: ((distinct(rng, 4, 5, dtype=dtype),), {"p": p, **options}),
        reference,
        kernel=False,
    )


def _picked(x: Array, axis: int, keepdims: bool, best: Any) -> tuple[Array, Array]:
    places = np.expand_dims(best(x, axis), axis)
    values = np.take_along_axis(x, places, axis)
    return (values, places) if keepdims else (values.squeeze(axis), places.squeeze(axis))


def _pick(name: str, best: Any, **options: Any) -> OpCase:
    return OpCase(
        f"{name}-{options}",
        name,
        lambda rng, dtype: ((distinct(rng, 3, 4, 5, dtype=dtype),), options),
        lambda x, dim, keepdim=False: _picked(x, dim, keepdim, best),
        kernel=False,
    )


def _sorted(x: Array, dim: int = -1, descending: bool = False) -> tuple[Array, Array]:
    places = np.argsort(-x if descending else x, axis=dim, kind="stable")
    return np.take_along_axis(x, places, dim), places


def _top(x: Array, k: int, dim: int = -1, largest: bool = True) -> tuple[Array, Array]:
    values, places = _sorted(x, dim, largest)
    return np.take(values, range(k), dim), np.take(places, range(k), dim)


def _distinct(*shape: int, **options: Any) -> Any:
    return lambda rng, dtype: ((distinct(rng, *shape, dtype=dtype),), options)


def _with_zeros(rng: np.random.Generator, *shape: int, dtype: Any) -> Array:
    x = positive(rng, *shape, dtype=dtype)
    x[0, 0, :2] = 0
    x[1, :, 3] = 0
    return x


def _mask(options: dict[str, Any]) -> Any:
    return lambda rng, dtype: ((rng.random((3, 4, 5)) < 0.8,), options)


def _large(name: str, reference: Any, dim: Any, last: bool) -> OpCase:
    """A tensor large enough for the kernels, channels-last in memory or not."""

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        x = normal(rng, 3, 17, 33, 8, dtype=dtype)
        return (x.transpose(0, 3, 1, 2) if last else x,), {"dim": dim}

    return OpCase(f"{name}-large-{dim}-{last}", name, sample, lambda x, dim: reference(x, dim), atol=1e-4, linear=(0,))


_LARGE_DIMS = (None, 0, 3, (2, 3), (0, 2, 3), (0, 1), (1, 3))

CASES = [
    *(
        _large(name, f, dim, last)
        for name, f in (("sum", np.sum), ("mean", np.mean))
        for dim in _LARGE_DIMS
        for last in (0, 1)
    ),
    *_rows("sum", np.sum, linear=(0,), atol=1e-5),
    *_rows("mean", np.mean, linear=(0,)),
    *_rows("prod", np.prod, positive),
    *_rows("amax", np.max, distinct),
    *_rows("amin", np.min, distinct),
    *_rows("logsumexp", lambda x, axis, keepdims: logsumexp(x, axis, keepdims=keepdims)),
    OpCase(
        "sum-dtype",
        "sum",
        lambda rng, dtype: ((rng.integers(0, 9, (3, 4)),), {"dtype": np.float64}),
        lambda x, dtype: np.sum(x, dtype=dtype),
        kernel=False,
        grads=(),
        dtypes=("float64",),
    ),
    OpCase(
        "sum-integers",
        "sum",
        lambda rng, dtype: ((rng.integers(0, 9, (3, 4)).astype(np.uint8),), {"dim": 0}),
        lambda x, dim: x.sum(dim),
        kernel=False,
        grads=(),
        dtypes=("float32",),
    ),
    OpCase(
        "sum-scalar",
        "sum",
        lambda rng, dtype: ((np.array(2.5, dtype),), {"dim": 0}),
        lambda x, dim: x,
        kernel=False,
        linear=(0,),
    ),
    OpCase(
        "prod-zeros",
        "prod",
        lambda rng, dtype: ((_with_zeros(rng, 2, 3, 4, dtype=dtype),), {"dim": (0, 2)}),
        lambda x, dim: x.prod(dim),
        kernel=False,
    ),
    OpCase(
        "logsumexp-large",
        "logsumexp",
        lambda rng, dtype: (((normal(rng, 3, 4) * 1e3).astype(dtype),), {"dim": 1}),
        lambda x, dim: logsumexp(x, dim),
        kernel=False,
    ),
    _moment("var", np.var, {}, 1),
    _moment("var", np.var, {"dim": 0, "keepdim": True}, 1),
    _moment("var", np.var, {"dim": 1, "unbiased": False}, 0),
    _moment("var", np.var, {"dim": (0, 1), "correction": 2}, 2),
    _moment("std", np.std, {}, 1),
    _moment("std", np.std, {"dim": 0, "keepdim": True}, 1),
    _moment("std", np.std, {"dim": 1, "unbiased": False}, 0),
    _moment("std", np.std, {"dim": -1, "correction": 0.5}, 0.5),
    _norm("fro"),
    _norm(2, dim=1),
    _norm(1, dim=0, keepdim=True),
    _norm(3, dim=1),
    _norm(0.5, dim=0),
    _norm(np.inf),
    _norm(-np.inf, dim=1),
    _norm(0, dim=1),
    _norm(None),
    OpCase(
        "cumsum",
        "cumsum",
        lambda rng, dtype: ((normal(rng, 3, 4, dtype=dtype),), {"dim": 1}),
        lambda x, dim: x.cumsum(dim),
        kernel=False,
        linear=(0,),
        batch=(0,),
    ),
    OpCase(
        "cumsum-first",
        "cumsum",
        lambda rng, dtype: ((normal(rng, 3, 4, dtype=dtype),), {"dim": -2}),
        lambda x, dim: x.cumsum(dim),
        kernel=False,
        linear=(0,),
    ),
    OpCase("max", "max", _distinct(3, 4), lambda x: x.max(), kernel=False),
    OpCase("min", "min", _distinct(3, 4), lambda x: x.min(), kernel=False),
    _pick("max", np.argmax, dim=1),
    _pick("max", np.argmax, dim=-1, keepdim=True),
    _pick("min", np.argmin, dim=0),
    _pick("min", np.argmin, dim=2, keepdim=True),
    OpCase("argmax", "argmax", _distinct(3, 4), lambda x: np.argmax(x), kernel=False, grads=()),
    OpCase(
        "argmax-dim",
        "argmax",
        _distinct(3, 4, dim=1, keepdim=True),
        lambda x, dim, keepdim: np.argmax(x, dim, keepdims=keepdim),
        kernel=False,
        grads=(),
    ),
    OpCase("argmin", "argmin", _distinct(3, 4, dim=-2), lambda x, dim: np.argmin(x, dim), kernel=False, grads=()),
    OpCase("sort", "sort", _distinct(3, 4), _sorted, kernel=False, batch=(0,)),
    OpCase("sort-descending", "sort", _distinct(3, 4, dim=0, descending=True), _sorted, kernel=False),
    OpCase(
        "argsort",
        "argsort",
        _distinct(3, 4, descending=True),
        lambda x, descending: np.argsort(-x, kind="stable"),
        kernel=False,
        grads=(),
    ),
    OpCase("topk", "topk", _distinct(3, 6, k=2), _top, kernel=False, batch=(0,)),
    OpCase("topk-smallest", "topk", _distinct(5, 3, k=4, dim=0, largest=False), _top, kernel=False),
    *(
        OpCase(
            f"all-{label}",
            "all",
            _mask(o),
            lambda x, **o: np.all(x, **_numpy(**o)),
            kernel=False,
            grads=(),
            dtypes=("float32",),
        )
        for label, o in _DIMS
    ),
    *(
        OpCase(
            f"any-{label}",
            "any",
            _mask(o),
            lambda x, **o: np.any(x, **_numpy(**o)),
            kernel=False,
            grads=(),
            dtypes=("float32",),
        )
        for label, o in _DIMS
    ),
    OpCase(
        "count_nonzero",
        "count_nonzero",
        _mask({"dim": (0, 1)}),
        lambda x, dim: np.count_nonzero(x, dim),
        kernel=False,
        grads=(),
        dtypes=("float32",),
    ),
]
