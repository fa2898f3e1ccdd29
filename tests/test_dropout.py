"""Dropout and the generator in C against the definition of the random words, and the statistics of the masks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import fastnn
from fastnn import _C, cpu
from fastnn.nn import functional as F
from fastnn.random import Generator
from fastnn.reference import dropout as reference
from fastnn.reference import random


@pytest.fixture(params=cpu.levels())
def _level(request: pytest.FixtureRequest) -> Iterator[None]:
    before = cpu.level()
    cpu.set_level(request.param)
    yield
    cpu.set_level(before)


@pytest.mark.usefixtures("_level")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("seed", "stream"), [(0, 0), (2**64 - 1, 2**63 + 5), (7, 2**32)])
@pytest.mark.parametrize("count", [0, 1, 7, 64, 40_001])
def test_uniform_numbers_are_those_of_the_reference(dtype: str, seed: int, stream: int, count: int) -> None:
    y = np.empty(count, dtype)
    _C.random_uniform(y, seed, stream)
    np.testing.assert_array_equal(y, random.uniform(count, seed, stream, dtype))


@pytest.mark.usefixtures("_level")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.999, 1 - 1e-12])
def test_mask_is_that_of_the_reference(dtype: str, p: float) -> None:
    x = np.ones(33_333, dtype)
    y = F.dropout(x, p, generator=Generator(3))
    np.testing.assert_array_equal(y.data != 0, reference.dropout_mask(x.shape, p, 3))


def test_mask_counts_positions_in_memory() -> None:
    last = np.ones((2, 5, 6, 7), np.float32)
    y = F.dropout(last.transpose(0, 3, 1, 2), 0.5, generator=Generator(3))
    np.testing.assert_array_equal(y.data.transpose(0, 2, 3, 1), reference.dropout_fwd(last, 0.5, 3))


def test_backward_of_a_differently_laid_gradient() -> None:
    x = fastnn.Tensor(np.ones((2, 3, 4, 5), np.float32), True)
    y = F.dropout(x, 0.5, generator=Generator(3))
    y.backward(np.ones((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(x.grad.numpy(), y.data)  # type: ignore[union-attr]


def test_dropped_is_zero_even_if_it_was_nan() -> None:
    y = F.dropout(np.full(1000, np.nan, np.float32), 0.5, generator=Generator(3)).data
    assert set(np.isnan(y)) == {True, False}
    assert (y[~np.isnan(y)] == 0).all()
    z = F.dropout2d(np.full((4, 40, 2, 2), np.inf, np.float32), 0.5, generator=Generator(3)).data
    assert set(np.unique(z)) == {0.0, np.inf}


def test_draws_differ_and_repeat_with_the_seed() -> None:
    x = np.ones(200, np.float32)
    fastnn.manual_seed(5)
    first, second = F.dropout(x).data, F.dropout(x).data
    fastnn.manual_seed(5)
    again = F.dropout(x).data
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)


def test_share_of_zeros_and_mean() -> None:
    y = F.dropout(np.ones(1_000_000, np.float32), 0.3, generator=Generator(11)).data
    assert abs((y == 0).mean() - 0.3) < 4 * (0.3 * 0.7 / 1e6) ** 0.5
    assert abs(float(y.mean()) - 1) < 0.005
