"""Random numbers: known answers, independence of threads and batches, distributions, state."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

import fastnn
from fastnn import cpu
from fastnn.random import Generator, SampleGenerator, philox4x32


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_known_answers(counter: list[int], key: tuple[int, int], expected: list[int]) -> None:
    """The test vectors of the Random123 library (kat_vectors, philox 4 32 10)."""
    found = philox4x32(np.array([[word] * 2 for word in counter], np.uint64), key)
    assert found[:, 0].tolist() == expected
    assert found[:, 1].tolist() == expected


def test_the_default_generator_starts_anew_from_a_seed() -> None:
    fastnn.manual_seed(5)
    first = fastnn.rand(4), fastnn.randn(4), fastnn.randint(10, (4,)), fastnn.randperm(5)
    fastnn.manual_seed(5)
    second = fastnn.rand(4), fastnn.randn(4), fastnn.randint(10, (4,)), fastnn.randperm(5)
    for a, b in zip(first, second, strict=True):
        assert a.tolist() == b.tolist()
    assert fastnn.rand(4).tolist() != first[0].tolist()
    assert fastnn.initial_seed() == 5


def test_state_can_be_saved_and_restored() -> None:
    generator = Generator(3)
    generator.rng()
    state = generator.get_state()
    assert state == (3, 1)
    values = generator.rng().random(3)
    generator.set_state(state)
    np.testing.assert_array_equal(generator.rng().random(3), values)
    twin = pickle.loads(pickle.dumps(generator))
    assert twin.get_state() == generator.get_state()
    assert twin.stream() == generator.stream() == (3, 2)
    before = fastnn.get_rng_state()
    fastnn.rand(1)
    fastnn.set_rng_state(before)
    assert fastnn.get_rng_state() == before
    assert "seed=3" in repr(generator)


def test_streams_differ_by_seed_and_number() -> None:
    a, b = Generator(1), Generator(2)
    draws = [a.rng().random() for _ in range(3)] + [b.rng().random() for _ in range(3)]
    assert len(set(draws)) == 6


def test_explicit_generators_leave_the_default_one_alone() -> None:
    before = fastnn.get_rng_state()
    x = fastnn.rand(3, generator=Generator(1))
    assert x.tolist() == fastnn.rand(3, generator=Generator(1)).tolist()
    assert x.tolist() == fastnn.zeros(3).uniform_(generator=Generator(1)).tolist()
    assert fastnn.get_rng_state() == before


def test_factories_draw_what_they_say() -> None:
    x = fastnn.rand(10000)
    assert x.dtype == fastnn.float32
    assert stats.kstest(x.data, "uniform").pvalue > 1e-4
    assert stats.kstest(fastnn.randn(10000, dtype=fastnn.float64).data, "norm").pvalue > 1e-4
    assert stats.kstest((fastnn.zeros(10000).normal_(2, 3).data - 2) / 3, "norm").pvalue > 1e-4
    assert set(fastnn.randint(2, 5, (100,)).tolist()) == {2, 3, 4}
    assert sorted(fastnn.randperm(20).tolist()) == list(range(20))
    assert fastnn.rand_like(x).shape == fastnn.randn_like(x).shape == x.shape
    for bad in (lambda: fastnn.randint(5, 5, (1,)), lambda: fastnn.zeros(1, device="gpu")):
        with pytest.raises(ValueError, match=r"randint|zeros"):
            bad()
    with pytest.raises(TypeError, match="rand: expected float32 or float64"):
        fastnn.rand(3, dtype=fastnn.int64)


@pytest.mark.parametrize(("bad", "error"), [(-1, ValueError), (2**64, ValueError), (1.5, TypeError), (True, TypeError)])
def test_bad_seeds_raise(bad: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="seed"):
        fastnn.manual_seed(bad)
    with pytest.raises(error, match="seed"):
        SampleGenerator(bad, 0, [0])


def test_seed_draws_a_new_one() -> None:
    state = fastnn.get_rng_state()
    assert fastnn.seed() != fastnn.seed()
    fastnn.set_rng_state(state)


def _draw(generator: SampleGenerator) -> list[np.ndarray[Any, Any]]:
    return [
        generator.uniform(),
        generator.uniform(-1, 2, k=3),
        generator.integers(0, 7),
        generator.integers(0, 7, k=5),
        generator.normal(),
        generator.normal(k=3),
        generator.bernoulli(0.3),
    ]


def test_samples_do_not_depend_on_the_batch() -> None:
    whole = _draw(SampleGenerator(9, 2, range(50)))
    order = [31, 7, 7, 0]
    for part, rows in zip(_draw(SampleGenerator(9, 2, order)), whole, strict=True):
        np.testing.assert_array_equal(part, rows[order])


def test_samples_depend_on_seed_epoch_index_and_call() -> None:
    values = [
        SampleGenerator(seed, epoch, [index]).uniform()[0]
        for seed in (1, 2**40)
        for epoch in (0, 1)
        for index in (0, 9)
    ]
    generator = SampleGenerator(1, 0, [0])
    values += [generator.uniform()[0], generator.uniform()[0]]
    assert len(set(values)) == 9


def test_shapes_dtypes_and_ranges() -> None:
    generator = SampleGenerator(0, 0, range(4000))
    assert len(generator) == 4000
    uniform = generator.uniform(-1, 2, k=2)
    assert uniform.shape == (4000, 2)
    assert uniform.dtype == np.float64
    assert -1 <= uniform.min() < -0.9
    assert 1.9 < uniform.max() < 2
    integers = generator.integers(2, 5)
    assert integers.shape == (4000,)
    assert integers.dtype == np.int64
    assert set(integers.tolist()) == {2, 3, 4}
    rows = generator.integers(np.arange(4000), np.arange(4000) + 2, k=3)
    assert set((rows - np.arange(4000)[:, None]).ravel().tolist()) == {0, 1}
    assert not generator.bernoulli(0).any()
    assert generator.bernoulli(1).all()
    assert generator.bernoulli(np.linspace(0, 1, 4000)).mean() == pytest.approx(0.5, abs=0.05)
    with pytest.raises(ValueError, match="low < high"):
        generator.integers(3, 3)
    for bad in (
        lambda: SampleGenerator(0, 0, [-1]),
        lambda: SampleGenerator(0, -1, [0]),
        lambda: SampleGenerator(0, 0, [[1]]),
    ):
        with pytest.raises(ValueError, match="SampleGenerator"):
            bad()


def test_distributions_of_samples() -> None:
    generator = SampleGenerator(7, 0, range(5000))
    assert stats.kstest(generator.uniform(), "uniform").pvalue > 1e-4
    assert stats.kstest(generator.uniform(k=4).ravel(), "uniform").pvalue > 1e-4
    assert stats.kstest(generator.normal(), "norm").pvalue > 1e-4
    assert stats.kstest(generator.normal(k=3).ravel(), "norm").pvalue > 1e-4
    counts = np.bincount(generator.integers(0, 7, k=4).ravel())
    assert stats.chisquare(counts).pvalue > 1e-4
    pairs = generator.uniform(k=2)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.06


def test_empty_batches() -> None:
    assert all(len(drawn) == 0 for drawn in _draw(SampleGenerator(0, 0, [])))


@pytest.fixture(params=cpu.levels())
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    before = cpu.level()
    cpu.set_level(request.param)
    yield request.param
    cpu.set_level(before)


@pytest.mark.usefixtures("level")
def test_sample_numbers_are_philox_as_documented() -> None:
    """The kernel against the cipher written in NumPy, whose answers are known."""
    samples, seed, epoch = np.array([0, 5, 2**32 - 1, 7, 8]), 2**40 + 3, 9
    for count in (1, 2, 3, 8):
        generator = SampleGenerator(seed, epoch, samples)
        generator.uniform()
        found = generator.uniform(k=count)
        for row, sample in enumerate(samples):
            for j in range(count):
                counter = np.array([[j // 2], [1], [sample], [epoch]], np.uint64)
                words = philox4x32(counter, (seed % 2**32, seed >> 32))[:, 0]
                bits = int(words[2 * (j % 2)]) | int(words[2 * (j % 2) + 1]) << 32
                assert found[row, j] == (bits >> 11) * 2.0**-53


def test_sample_numbers_have_the_same_bits_on_any_number_of_threads() -> None:
    before, results = fastnn.get_num_threads(), []
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        results.append(SampleGenerator(3, 0, np.arange(60_001)).uniform(k=3))
    fastnn.set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])


def test_lasting_numbers_do_not_depend_on_the_epoch() -> None:
    drawn = [SampleGenerator(3, epoch, [4, 1]).lasting().uniform() for epoch in (0, 1, 1000)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert (drawn[0] != SampleGenerator(3, 0, [4, 1]).uniform()).all()


@pytest.mark.parametrize("shape", [0.2, 0.4, 1.0, 1.7, 20.0])
def test_gamma_and_beta(shape: float) -> None:
    """Kolmogorov-Smirnov tests at a false-alarm rate of 1e-6 each."""
    generator = SampleGenerator(5, 1, range(20_000))
    assert stats.kstest(generator.gamma(shape), stats.gamma(shape).cdf).pvalue > 1e-6
    assert stats.kstest(generator.beta(shape, 1.5, k=2).ravel(), stats.beta(shape, 1.5).cdf).pvalue > 1e-6
    symmetric = generator.beta(shape, shape)
    assert np.isfinite(symmetric).all()
    assert stats.kstest(symmetric, stats.beta(shape, shape).cdf).pvalue > 1e-6
    with pytest.raises(ValueError, match="positive shape"):
        generator.beta(0.0, 1.0)
