"""Rows of the elementwise operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.cases import Array, OpCase, distinct, normal, positive


def _one(draw: Callable[..., Array], *shape: int, **options: Any) -> Any:
    return lambda rng, dtype: ((draw(rng, *(shape or (3, 4)), dtype=dtype),), options)


def _unary(name: str, reference: Callable[[Array], Array], draw: Callable[..., Array] = normal) -> OpCase:
    return OpCase(name, name, _one(draw), reference, batch=(0,), kernel=False)


def _pair(name: str, reference: Callable[..., Array], draw: Callable[..., Array] = normal, **more: Any) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return (draw(rng, 3, 4, dtype=dtype), draw(rng, 3, 4, dtype=dtype)), {}

    return OpCase(name, name, sample, reference, kernel=False, **({"batch": (0, 1)} | more))


def _broadcast(name: str, reference: Callable[..., Array], draw: Callable[..., Array] = positive) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return (draw(rng, 2, 3, 1, 5, dtype=dtype), draw(rng, 3, 4, 1, dtype=dtype)), {}

    return OpCase(f"{name}-broadcast", name, sample, reference, kernel=False, batch=(0,))


def _number(name: str, reference: Callable[..., Array], value: float, first: bool = False) -> OpCase:
    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        x = positive(rng, 3, 4, dtype=dtype)
        return ((value, x) if first else (x, value)), {}

    return OpCase(f"{name}-{'first' if first else 'number'}-{value}", name, sample, reference, kernel=False)


def _flat(name: str, reference: Callable[[Array], Array]) -> OpCase:
    """A function that is constant almost everywhere."""

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        return ((rng.integers(-3, 3, (3, 4)) + rng.uniform(0.1, 0.4, (3, 4))).astype(dtype),), {}

    return OpCase(name, name, sample, reference, kernel=False)


def _unit(rng: np.random.Generator, *shape: int, dtype: Any) -> Array:
    return rng.uniform(-0.9, 0.9, shape).astype(dtype)


def _above_one(rng: np.random.Generator, *shape: int, dtype: Any) -> Array:
    return rng.uniform(1.2, 3.0, shape).astype(dtype)


def _away(rng: np.random.Generator, *shape: int, dtype: Any) -> Array:
    """Dividends and divisors of no simple ratio, of both signs."""
    x = rng.uniform(0.6, 3.0, shape) * rng.choice([-1, 1], shape)
    return np.asarray(x).astype(dtype)


def _integers(rng: np.random.Generator, dtype: Any) -> Any:
    return (rng.integers(0, 4, (3, 4)), rng.integers(0, 4, (3, 4))), {}


def _ties(rng: np.random.Generator, dtype: Any) -> Any:
    x = rng.integers(0, 3, (3, 4)).astype(dtype)
    return (x, rng.integers(0, 3, (3, 4)).astype(dtype)), {}


def _compare(name: str, reference: Callable[..., Array], sample: Any = _ties) -> OpCase:
    return OpCase(name, name, sample, reference, kernel=False, grads=(), dtypes=("float32",))


def _clamp(a: Array, low: Any = None, high: Any = None) -> Array:
    y = a if low is None else np.maximum(a, low)
    return y if high is None else np.minimum(y, high)


def _special(rng: np.random.Generator, dtype: Any) -> Any:
    return (np.array([1.0, np.nan, np.inf, -np.inf, 0.0], dtype),), {}


def _large(name: str, reference: Callable[..., Array], *shapes: tuple[int, ...]) -> OpCase:
    """Operands large enough for the kernels, the first one channels-last in memory; an empty shape is a number."""

    def sample(rng: np.random.Generator, dtype: Any) -> Any:
        drawn = [_away(rng, *shape, dtype=dtype) if shape else 1.7 for shape in shapes]
        lead = drawn[0]
        if isinstance(lead, np.ndarray) and lead.ndim == 4:
            drawn[0] = np.ascontiguousarray(lead.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        return tuple(drawn), {}

    return OpCase(f"{name}-large-{shapes}", name, sample, reference)


_IMAGE = (3, 8, 17, 33)
_SHAPES = ((_IMAGE, _IMAGE), (_IMAGE, (1, 8, 1, 1)), (_IMAGE, ()), ((), _IMAGE), ((201, 64), (64,)), (_IMAGE, (33,)))
_ARITHMETIC = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}

CASES = [
    *(_large(name, f, *shapes) for name, f in _ARITHMETIC.items() for shapes in _SHAPES),
    _pair("add", np.add, linear=(0, 1)),
    _pair("sub", np.subtract, linear=(0, 1)),
    _pair("mul", np.multiply, linear=(0, 1)),
    _pair("div", np.divide, _away, linear=(0,)),
    _pair("pow", np.power, positive),
    _pair("maximum", np.maximum),
    _pair("minimum", np.minimum),
    _pair("atan2", np.arctan2),
    _pair("remainder", np.remainder, _away),
    _pair("fmod", np.fmod, _away),
    *(_broadcast(name, f) for name, f in {"add": np.add, "sub": np.subtract, "mul": np.multiply}.items()),
    *(_broadcast(name, f) for name, f in {"div": np.divide, "pow": np.power, "atan2": np.arctan2}.items()),
    *(_broadcast(name, f) for name, f in {"maximum": np.maximum, "minimum": np.minimum}.items()),
    *(_number("pow", np.power, value) for value in (0, 1, 2, 3, -1, 0.5)),
    *(_number("mul", np.multiply, value) for value in (2, -0.5)),
    _number("add", np.add, 2.5),
    _number("sub", np.subtract, 2.5, first=True),
    _number("sub", np.subtract, 2),
    _number("mul", np.multiply, 3, first=True),
    _number("div", np.divide, 3),
    _number("div", np.divide, 3.0, first=True),
    _number("pow", np.power, 2, first=True),
    _number("remainder", np.remainder, 0.7),
    _number("maximum", np.maximum, 1.0),
    _number("minimum", np.minimum, 1, first=True),
    OpCase(
        "add-alpha",
        "add",
        lambda rng, dtype: ((normal(rng, 3, dtype=dtype), normal(rng, 2, 3, dtype=dtype)), {"alpha": 0.3}),
        lambda a, b, alpha: a + alpha * b,
        kernel=False,
        linear=(0, 1),
    ),
    OpCase(
        "sub-alpha",
        "sub",
        lambda rng, dtype: ((normal(rng, 3, dtype=dtype), normal(rng, 2, 3, dtype=dtype)), {"alpha": 0.3}),
        lambda a, b, alpha: a - alpha * b,
        kernel=False,
        linear=(0, 1),
    ),
    OpCase(
        "floor_divide",
        "floor_divide",
        lambda rng, dtype: ((_away(rng, 20, dtype=dtype), _away(rng, 20, dtype=dtype)), {}),
        np.floor_divide,
        kernel=False,
    ),
    OpCase(
        "div-floor",
        "div",
        lambda rng, dtype: ((_away(rng, 20, dtype=dtype), _away(rng, 20, dtype=dtype)), {"rounding_mode": "floor"}),
        lambda a, b, rounding_mode: np.floor(a / b),
        kernel=False,
    ),
    OpCase(
        "div-trunc",
        "div",
        lambda rng, dtype: ((_away(rng, 20, dtype=dtype), _away(rng, 20, dtype=dtype)), {"rounding_mode": "trunc"}),
        lambda a, b, rounding_mode: np.trunc(a / b),
        kernel=False,
    ),
    _unary("exp", np.exp),
    _unary("exp2", np.exp2),
    _unary("expm1", np.expm1),
    _unary("log", np.log, positive),
    _unary("log2", np.log2, positive),
    _unary("log10", np.log10, positive),
    _unary("log1p", np.log1p, positive),
    _unary("sqrt", np.sqrt, positive),
    _unary("rsqrt", lambda x: x**-0.5, positive),
    _unary("reciprocal", lambda x: 1 / x, positive),
    _unary("sin", np.sin),
    _unary("cos", np.cos),
    _unary("tan", np.tan, _unit),
    _unary("asin", np.arcsin, _unit),
    _unary("acos", np.arccos, _unit),
    _unary("atan", np.arctan),
    _unary("sinh", np.sinh),
    _unary("cosh", np.cosh),
    _unary("asinh", np.arcsinh),
    _unary("acosh", np.arccosh, _above_one),
    _unary("atanh", np.arctanh, _unit),
    _unary("neg", np.negative),
    _unary("abs", np.abs, distinct),
    _unary("square", np.square),
    _flat("sign", np.sign),
    _flat("floor", np.floor),
    _flat("ceil", np.ceil),
    _flat("trunc", np.trunc),
    _flat("round", np.round),
    OpCase(
        "lerp",
        "lerp",
        lambda rng, dtype: (
            (normal(rng, 3, 4, dtype=dtype), normal(rng, 4, dtype=dtype), normal(rng, 3, 1, dtype=dtype)),
            {},
        ),
        lambda a, b, w: a + w * (b - a),
        kernel=False,
        linear=(2,),
    ),
    OpCase(
        "lerp-number",
        "lerp",
        lambda rng, dtype: ((normal(rng, 3, dtype=dtype), normal(rng, 3, dtype=dtype), 0.3), {}),
        lambda a, b, w: a + w * (b - a),
        kernel=False,
    ),
    OpCase(
        "clamp",
        "clamp",
        lambda rng, dtype: ((distinct(rng, 5, 4, dtype=dtype), -0.33, 0.35), {}),
        _clamp,
        kernel=False,
        batch=(0,),
    ),
    OpCase(
        "clamp-below",
        "clamp",
        lambda rng, dtype: ((distinct(rng, 5, 4, dtype=dtype), None, 0.35), {}),
        _clamp,
        kernel=False,
    ),
    OpCase(
        "clamp-above", "clamp", lambda rng, dtype: ((distinct(rng, 5, 4, dtype=dtype), 0), {}), _clamp, kernel=False
    ),
    OpCase(
        "clamp-tensors",
        "clamp",
        lambda rng, dtype: (
            (normal(rng, 5, 4, dtype=dtype), normal(rng, 4, dtype=dtype), normal(rng, 5, 1, dtype=dtype)),
            {},
        ),
        _clamp,
        kernel=False,
    ),
    OpCase(
        "where",
        "where",
        lambda rng, dtype: (
            (rng.random((3, 1, 4)) < 0.5, normal(rng, 2, 4, dtype=dtype), normal(rng, 1, dtype=dtype)),
            {},
        ),
        np.where,
        kernel=False,
        linear=(1, 2),
    ),
    OpCase(
        "where-number",
        "where",
        lambda rng, dtype: ((rng.random(6) < 0.5, normal(rng, 6, dtype=dtype), 0.0), {}),
        np.where,
        kernel=False,
        linear=(1,),
        batch=(0, 1),
    ),
    _compare("eq", np.equal),
    _compare("ne", np.not_equal),
    _compare("lt", np.less),
    _compare("le", np.less_equal),
    _compare("gt", np.greater),
    _compare("ge", np.greater_equal),
    _compare("isclose", np.isclose),
    _compare("logical_and", np.logical_and),
    _compare("logical_or", np.logical_or),
    _compare("logical_xor", np.logical_xor),
    _compare("bitwise_and", np.bitwise_and, _integers),
    _compare("bitwise_or", np.bitwise_or, _integers),
    _compare("bitwise_xor", np.bitwise_xor, _integers),
    _compare("bitwise_not", np.bitwise_not, lambda rng, dtype: ((rng.integers(0, 9, 5),), {})),
    _compare("logical_not", np.logical_not, _special),
    _compare("isnan", np.isnan, _special),
    _compare("isinf", np.isinf, _special),
    _compare("isfinite", np.isfinite, _special),
]
