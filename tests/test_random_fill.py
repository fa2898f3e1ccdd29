"""Uniform and normal tensors from the kernels: their definition, threads, levels, distribution, and arguments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

import fastnn
from fastnn import _C
from fastnn.random import Generator
from fastnn.reference import random


@pytest.fixture
def _restored() -> Iterator[None]:
    level, threads = fastnn.cpu.level(), fastnn.get_num_threads()
    yield
    fastnn.cpu.set_level(level)
    fastnn.set_num_threads(threads)


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("level", fastnn.cpu.levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_is_as_defined(level: str, dtype: str) -> None:
    fastnn.cpu.set_level(level)
    tolerance = {"rtol": 3e-6, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-14}
    for count in (0, 1, 31, 64, 65, 40_003):
        y = np.empty(count, dtype)
        _C.random_normal(y, 2**40 + 3, 5, 2.0, 3.0)
        np.testing.assert_allclose(y, 2 + 3 * random.normal(count, 2**40 + 3, 5, "float64" if dtype == "float64"
                                                           else "float32").astype("float64"), **tolerance)  # fmt: skip


@pytest.mark.usefixtures("_restored")
def test_same_bits_on_any_number_of_threads() -> None:
    found = []
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        found.append([fastnn.randn(300_007, generator=Generator(3)).data.tobytes(),
                      fastnn.rand(300_007, generator=Generator(3)).data.tobytes()])  # fmt: skip
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_laws(dtype: str) -> None:
    """Kolmogorov-Smirnov; the seeds are fixed, so no false alarm."""
    z = fastnn.randn(200_000, dtype=dtype, generator=Generator(1)).data
    assert stats.kstest(z, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(z.reshape(-1, 2, 32)[:, 0].ravel(), z.reshape(-1, 2, 32)[:, 1].ravel())[0, 1]) < 0.01
    assert abs(stats.kurtosis(z)) < 0.05
    assert stats.kstest(fastnn.rand(200_000, dtype=dtype, generator=Generator(1)).data, "uniform").pvalue > 1e-3


def test_filling_tensors_of_other_kinds() -> None:
    x = fastnn.zeros(3, 4).T
    assert x.normal_(5.0, 2.0, generator=Generator(2)) is x
    np.testing.assert_array_equal(x.data, fastnn.zeros(4, 3).normal_(5.0, 2.0, generator=Generator(2)).data)
    half = fastnn.zeros(1000, dtype="float16").normal_(generator=Generator(2))
    assert 0.9 < half.data.astype("float64").std() < 1.1
    assert fastnn.zeros(100, dtype="int64").uniform_(0, 10, generator=Generator(2)).data.max() > 5
    with pytest.raises(ValueError, match="std of at least 0"):
        x.normal_(0, -1.0)


def test_normal_with_means_and_deviations() -> None:
    z = fastnn.randn(2, 3, generator=Generator(9)).data
    mean, std = fastnn.tensor([1.0, 2.0, 3.0]), fastnn.tensor([[0.0], [2.0]])
    np.testing.assert_allclose(fastnn.normal(mean, std, generator=Generator(9)).data, mean.data + std.data * z)
    np.testing.assert_allclose(fastnn.normal(1.0, 2.0, (2, 3), generator=Generator(9)).data, 1 + 2 * z)
    assert fastnn.normal(mean.double(), 1.0).dtype == np.float64
    with pytest.raises(TypeError, match="expected a size"):
        fastnn.normal()
    with pytest.raises(ValueError, match="std of at least 0"):
        fastnn.normal(0.0, -1.0, (2,))
    with pytest.raises(ValueError, match="do not broadcast"):
        fastnn.normal(mean, 1.0, (2,))


def test_bernoulli() -> None:
    p = fastnn.tensor([[0.0, 1.0, 0.3]]).expand(20_000, 3)
    drawn = fastnn.bernoulli(p, generator=Generator(4)).data
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn[:, 0].max() == 0
    assert drawn[:, 1].min() == 1
    assert abs(drawn[:, 2].mean() - 0.3) < 5 * (0.21 / 20_000) ** 0.5
    with pytest.raises(ValueError, match="from 0 to 1"):
        fastnn.bernoulli(fastnn.tensor([1.5]))
