"""The vector mathematics of the kernels against extended precision, in units in the last place, and its extremes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.special

from fastnn import _C, cpu

Array = np.ndarray[Any, Any]
LONG = np.longdouble


def _sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS: dict[str, tuple[Callable[[Array], Array], tuple[float, ...], float]] = {
    # name in activations.def: definition, parameters, bound in units in the last place
    "exp": (np.exp, (), 1.5),
    "log": (np.log, (), 1.5),
    "log1p": (np.log1p, (), 2.0),
    "tanh": (np.tanh, (), 4.0),
    "sigmoid": (_sigmoid, (), 4.0),
    "erf": (lambda x: scipy.special.erf(x.astype(np.float64)).astype(LONG), (), 4.0),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), (1.0, 1.0, 1.0), 2.0),
    "softplus": (_softplus, (1.0, 1e30), 3.0),
}


@pytest.fixture(params=cpu.levels())
def _level(request: pytest.FixtureRequest) -> Iterator[None]:
    before = cpu.level()
    cpu.set_level(request.param)
    yield
    cpu.set_level(before)


def _apply(name: str, x: Array, *parameters: float) -> Array:
    y = np.empty_like(x)
    _C.activation_fwd(_C.ACTIVATIONS[name], x, y, *parameters)
    return y


def _arguments(dtype: type) -> Array:
    """All magnitudes of both signs, the range of exp in detail, and the special values."""
    rng, info = np.random.default_rng(0), np.finfo(dtype)
    top, smallest = (90, -45) if dtype is np.float32 else (712, -323)
    parts = [
        rng.uniform(-top - 40, top, 100_000),
        rng.normal(size=100_000) * 5,
        10 ** rng.uniform(smallest, np.log10(float(info.max)), 50_000),
        -(10 ** rng.uniform(smallest, np.log10(float(info.max)), 50_000)),
        [np.inf, -np.inf, np.nan, 0.0, -0.0, info.max, info.min, info.tiny, -info.tiny],
        [info.smallest_subnormal, -info.smallest_subnormal, 1.0, -1.0, info.eps, 1 + info.eps, 1 - info.epsneg],
    ]
    return np.concatenate(parts).astype(dtype)


@pytest.mark.usefixtures("_level")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_units_in_the_last_place(name: str, dtype: type) -> None:
    definition, parameters, bound = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        x = _arguments(dtype)
        wide = definition(x.astype(LONG))
        right = wide.astype(dtype)
    y = _apply(name, x, *parameters)
    finite = np.isfinite(right)
    np.testing.assert_array_equal(y[~finite], right[~finite])
    with np.errstate(over="ignore"):
        unit = np.spacing(np.abs(right[finite])).astype(LONG)
    errors = np.abs(y[finite].astype(LONG) - wide[finite]) / unit
    worst = int(errors.argmax())
    assert errors[worst] <= bound, (x[finite][worst], y[finite][worst], right[finite][worst])


@pytest.mark.usefixtures("_level")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_do_not_see_each_other(dtype: type) -> None:
    x = _arguments(dtype)[::997].copy()
    for name, (_, parameters, _) in FUNCTIONS.items():
        whole = _apply(name, x, *parameters)
        alone = np.concatenate([_apply(name, x[i : i + 1].copy(), *parameters) for i in range(len(x))])
        np.testing.assert_array_equal(whole, alone)


@pytest.mark.usefixtures("_level")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(_C.ACTIVATIONS))
def test_nan_stays_nan(name: str, dtype: type) -> None:
    x = np.full(35, np.nan, dtype)
    parameters = {"elu": (1.0, 1.0, 1.0), "softplus": (1.0, 20.0), "hardtanh": (-1.0, 1.0)}.get(name, ())
    assert np.isnan(_apply(name, x, *parameters)).all()


@pytest.mark.usefixtures("_level")
def test_gelu_keeps_its_digits_in_the_left_tail() -> None:
    x = np.linspace(-5, 5, 10_001).astype(np.float32)
    wide = x.astype(np.float64) * scipy.special.ndtr(x.astype(np.float64))
    np.testing.assert_allclose(_apply("gelu", x), wide, rtol=5e-6, atol=1e-30)
