"""Rows of the activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import log_softmax as scipy_log_softmax
from scipy.special import softmax as scipy_softmax

from fastnn.autograd import OPS
from fastnn.random import Generator
from fastnn.reference import activation as reference
from fastnn.reference import random as reference_random
from tests.cases import Array, OpCase, distinct, normal


def _case(op: str, definition: Callable[..., Array], suffix: str = "", **options: Any) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return (distinct(rng, 3, 5, 7, dtype=dtype),), options

    def large(rng: np.random.Generator, dtype: Any) -> Any:
        return (normal(rng, 7, 16411, dtype=dtype),), options

    return OpCase(op + suffix, op, sample, definition, batch=(0,), large=large, saved=1.0)


def _prelu(slopes: int, *shape: int) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return (distinct(rng, *shape, dtype=dtype), normal(rng, slopes, dtype=dtype)), {}

    def large(rng: np.random.Generator, dtype: Any) -> Any:
        return (normal(rng, 40, shape[1], 33, 31, dtype=dtype), normal(rng, slopes, dtype=dtype)), {}

    return OpCase(f"prelu-{slopes}-{len(shape)}d", "prelu", sample, reference.prelu_fwd, batch=(0,), large=large)


def _softmax(op: str, definition: Callable[..., Array], dim: int, *shape: int) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return (normal(rng, *shape, dtype=dtype) * 3,), {"dim": dim}

    def large(rng: np.random.Generator, dtype: Any) -> Any:
        return (normal(rng, 300, 17, 19, dtype=dtype) * 3,), {"dim": dim % len(shape)}

    def defined(x: Array, dim: int) -> Array:
        return definition(x, axis=dim)

    name = f"{op}-{dim}-of-{'x'.join(map(str, shape))}"
    return OpCase(name, op, sample, defined, batch=(0,) if dim else (), large=large if len(shape) == 3 else None)


_SEED = 5


def _rrelu(*dtypes: str, training: bool = False) -> OpCase:
    """Random slopes are those of the reference's stream, which depend on the dtype and count positions in memory."""

    def draw(rng: np.random.Generator, dtype: Any, *shape: int) -> Any:
        return (distinct(rng, *shape, dtype=dtype),), {"training": training}

    def defined(x: Array, training: bool) -> Array:
        slope = reference_random.uniform(x.shape, _SEED, dtype=dtypes[0]) if training else 0.5
        return np.where(x > 0, x, x * (1 / 8 + (1 / 3 - 1 / 8) * np.asarray(slope, np.float64)))

    return OpCase(
        f"rrelu-{dtypes[0]}" if training else "rrelu",
        "rrelu",
        lambda rng, dtype: draw(rng, dtype, *((101,) if training else (3, 5, 7))),
        defined,
        lambda x, **options: OPS["rrelu"](x, **options, generator=Generator(_SEED)),
        batch=(0,),
        large=lambda rng, dtype: draw(rng, dtype, 100003),
        dtypes=dtypes,
        saved=1.0,
    )


def _glu(name: str, shape: tuple[int, ...], dim: int) -> OpCase:
    return OpCase(
        f"glu-{name}",
        "glu",
        lambda rng, dtype: ((normal(rng, *shape, dtype=dtype),), {"dim": dim}),
        lambda x, dim: reference.glu_fwd(x, dim),
        batch=(0,) if dim else (),
    )


def _softmin(x: Array, axis: int) -> Array:
    return np.asarray(scipy_softmax(-x, axis=axis))


CASES = [
    _case("relu", reference.relu_fwd),
    _case("relu6", reference.relu6_fwd),
    _case("hardtanh", reference.hardtanh_fwd),
    _case("hardtanh", reference.hardtanh_fwd, "-bounds", min_val=-0.35, max_val=2.15),
    _case("leaky_relu", reference.leaky_relu_fwd),
    _case("leaky_relu", reference.leaky_relu_fwd, "-negative", negative_slope=-0.5),
    _case("elu", reference.elu_fwd),
    _case("elu", reference.elu_fwd, "-alpha", alpha=0.3),
    _case("selu", reference.selu_fwd),
    _case("celu", lambda x, alpha: reference.elu_fwd(x / alpha) * alpha, alpha=0.7),
    _case("gelu", reference.gelu_fwd),
    _case("gelu", reference.gelu_fwd, "-tanh", approximate="tanh"),
    _case("silu", reference.silu_fwd),
    _case("mish", reference.mish_fwd),
    _case("sigmoid", reference.sigmoid_fwd),
    _case("tanh", reference.tanh_fwd),
    _case("softplus", reference.softplus_fwd),
    _case("softplus", reference.softplus_fwd, "-sharp", beta=3.0, threshold=6.0),
    _case("logsigmoid", reference.logsigmoid_fwd),
    _case("softsign", reference.softsign_fwd),
    _case("tanhshrink", lambda x: x - np.tanh(x)),
    _case("hardshrink", reference.hardshrink_fwd),
    _case("hardshrink", reference.hardshrink_fwd, "-wide", lambd=2.15),
    _case("softshrink", reference.softshrink_fwd),
    _case("softshrink", reference.softshrink_fwd, "-wide", lambd=2.15),
    _case("threshold", reference.threshold_fwd, threshold=0.35, value=-2.0),
    _rrelu("float32", "float64"),
    _rrelu("float32", training=True),
    _rrelu("float64", training=True),
    _glu("last", (3, 5, 8), -1),
    _glu("channels", (3, 6, 4, 5), 1),
    _glu("first", (4, 3), 0),
    _case("hardsigmoid", reference.hardsigmoid_fwd),
    _case("hardswish", reference.hardswish_fwd),
    _prelu(1, 3, 4),
    _prelu(1, 2, 5, 3, 4),
    _prelu(5, 2, 5, 3, 4),
    _prelu(37, 3, 37),
    *(
        _softmax(op, definition, dim, *shape)
        for op, definition in (
            ("softmax", scipy_softmax),
            ("log_softmax", scipy_log_softmax),
            ("softmin", _softmin),
        )
        for dim, shape in ((-1, (4, 10)), (0, (6, 5)), (1, (3, 37, 5)), (-1, (2, 3, 70)), (1, (2, 4, 3, 5)), (0, (7,)))
    ),
    OpCase(
        "maxout",
        "maxout",
        lambda rng, dtype: ((distinct(rng, 3, 6, 4, dtype=dtype),), {"pieces": 3}),
        lambda x, pieces: _maxout_by_groups(x, pieces),
        kernel=False,
        batch=(0,),
    ),
]


def _maxout_by_groups(x: Array, pieces: int) -> Array:
    return np.stack([x[:, i : i + pieces].max(axis=1) for i in range(0, x.shape[1], pieces)], axis=1)
