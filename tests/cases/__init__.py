"""One row per operation: how to call it, what it should compute. `tests/test_ops.py` crosses the rows with everything.

A family's rows are the list `CASES` in `tests/cases/<family>.py`. To test a new operation, add a row; to test a corner
of an old one, add another row with the same `op`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Sample = tuple[tuple[Any, ...], Mapping[str, Any]]


@dataclass(frozen=True)
class OpCase:
    """An operation with arguments to try and its definition in float64.

    Args:
        name: the row's name, unique in its family.
        op: the operation's name in `fastnn.autograd.OPS`.
        sample: `sample(rng, dtype) -> (tensors, options)`: the tensor arguments in order, as arrays (float arrays of
            `dtype`), Python numbers or None; and the options by name. Small, and away from kinks: the gradient is
            compared with finite differences.
        reference: `reference(*arrays, **options)`: the definition, on float64 arrays. Returns an array, or a tuple.
        call: `call(*tensors, **options)` where that is not simply the operation of that name.
        rtol: relative tolerance of the float32 results; float64's is 1e-11 at least.
        atol: absolute tolerance of the float32 results, likewise.
        grad_tol: tolerance of float32 directional derivatives, relative to the sum of the absolute terms.
        linear: numbers of the tensor arguments in which the operation is linear; the adjoint test uses them.
        grads: numbers of the tensor arguments that have gradients; None for all float arrays.
        batch: numbers of the tensor arguments whose first dimension is the batch, cut to 0 by the empty-batch test.
        kernel: whether the operation runs kernels of ours, and so is repeated for every instruction set and with one
            and two threads.
        large: a sampler with arguments big enough for several threads; `sample` is used where it is None.
        dtypes: the float dtypes to try.
        saved: the closure may hold this many times the bytes of inputs and outputs together.
    """

    name: str
    op: str
    sample: Callable[[np.random.Generator, np.dtype[Any]], Sample]
    reference: Callable[..., Any]
    call: Callable[..., Any] | None = None
    rtol: float = 1e-5
    atol: float = 1e-6
    grad_tol: float = 1e-4
    linear: tuple[int, ...] = ()
    grads: tuple[int, ...] | None = None
    batch: tuple[int, ...] = ()
    kernel: bool = True
    large: Callable[[np.random.Generator, np.dtype[Any]], Sample] | None = None
    dtypes: tuple[str, ...] = ("float32", "float64")
    saved: float = 2.0

    def __str__(self) -> str:
        return self.name


def cases() -> list[OpCase]:
    """The rows of all families."""
    rows: list[OpCase] = []
    for module in pkgutil.iter_modules(__path__):
        rows.extend(importlib.import_module(f"{__name__}.{module.name}").CASES)
    return rows


def normal(rng: np.random.Generator, *shape: int, dtype: npt.DTypeLike = "float64") -> Array:
    """Standard normal numbers."""
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def positive(rng: np.random.Generator, *shape: int, dtype: npt.DTypeLike = "float64") -> Array:
    """Numbers uniform in [0.5, 2)."""
    return np.asarray(rng.uniform(0.5, 2.0, shape)).astype(dtype)


def distinct(rng: np.random.Generator, *shape: int, dtype: npt.DTypeLike = "float64") -> Array:
    """Numbers in random order at least 0.1 apart and from 0, so that no two tie and none is at a kink."""
    count = int(np.prod(shape))
    values = (rng.permutation(count) - count // 2 + 0.5) * 0.1 + 0.01
    return values.reshape(shape).astype(dtype)


def channels_last(x: Array) -> Array:
    """The same (N, C, *spatial) numbers as convolutions give them: the channels last in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
