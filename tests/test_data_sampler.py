"""The orders of samplers: what they visit, how often, and on what they depend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fastnn import data
from fastnn.data.order import Purpose, bits, permutation, uniforms

LABELS = np.repeat([0, 1, 5], [70, 20, 10])


def all_samplers():
    return [
        data.SequentialSampler(range(10)),
        data.RandomSampler(range(10)),
        data.RandomSampler(range(10), replacement=True),
        data.RandomSampler(range(10), num_samples=33),
        data.SubsetRandomSampler([3, 5, 9]),
        data.WeightedRandomSampler([1, 2, 3, 0], 12),
        data.WeightedRandomSampler([1, 2, 3, 0], 3, replacement=False),
        data.ClassBalancedSampler(LABELS),
    ]


@pytest.mark.parametrize("sampler", all_samplers(), ids=lambda s: type(s).__name__)
def test_order_depends_on_seed_and_epoch_alone(sampler):
    first = sampler.order(7, 3)
    assert first.dtype == np.int64
    assert first.shape == (len(sampler),)
    sampler.order(1, 1)
    assert np.array_equal(sampler.order(7, 3), first)
    if isinstance(sampler, data.SequentialSampler):
        assert first.tolist() == list(range(10))
    elif len(sampler) > 5:
        assert not np.array_equal(sampler.order(7, 4), first)
        assert not np.array_equal(sampler.order(8, 3), first)
        assert not np.array_equal(sampler.order(3, 7), first)


def philox_4x64_10(counter, key):
    """The block function as Salmon et al. (2011) define it, in Python's integers."""
    mask = 2**64 - 1
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * c2, 2**64)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return [c0, c1, c2, c3]


def test_streams_are_philox_4x64_10():
    # The first answer is Random123's own known-answer vector for counter and key zero.
    assert philox_4x64_10((0, 0, 0, 0), (0, 0)) == [
        0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B,
    ]  # fmt: skip
    words = bits(2**63 + 5, 17, Purpose.SPLIT).random_raw(8)
    expected = [philox_4x64_10((block, 0, 0, 4), (2**63 + 5, 17)) for block in (1, 2)]
    assert words.tolist() == expected[0] + expected[1]


def test_orders_are_frozen():
    """An order stored as a seed must outlive upgrades of NumPy and of this package."""
    assert data.RandomSampler(range(10)).order(0, 0).tolist() == [8, 7, 4, 2, 6, 5, 9, 0, 1, 3]
    assert data.ClassBalancedSampler([0, 0, 0, 1]).order(5, 2).tolist() == [3, 2, 3, 0]
    assert data.WeightedRandomSampler([1, 2, 3], 6).order(1, 1).tolist() == [2, 1, 0, 2, 2, 2]
    (part,) = data.random_split(data.TensorDataset(np.arange(6)), [6], seed=2)
    assert part.indices.tolist() == [0, 4, 3, 2, 5, 1]


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 200))
def test_permutation_is_one(seed, epoch, count):
    order = permutation(bits(seed, epoch, Purpose.SHUFFLE), count)
    assert sorted(order.tolist()) == list(range(count))


def test_permutations_are_uniform():
    counts = np.zeros(24)
    for epoch in range(4800):
        order = permutation(bits(0, epoch, Purpose.SHUFFLE), 4)
        # The Lehmer code numbers the 24 permutations of four.
        counts[sum(int((order[i + 1 :] < order[i]).sum()) * f for i, f in enumerate([6, 2, 1]))] += 1
    assert stats.chisquare(counts).pvalue > 0.001


def test_uniforms_are_uniform():
    values = uniforms(bits(3, 0, Purpose.WEIGHTED), 20_000)
    assert values.min() >= 0
    assert values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 0.001


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (2**64, 0), (0, -1)])
def test_seed_and_epoch_out_of_range(seed, epoch):
    with pytest.raises(ValueError, match=r"in \[0, 2\^64\)"):
        data.RandomSampler(range(3)).order(seed, epoch)


def test_random_sampler_beyond_the_dataset_repeats_whole_permutations():
    order = data.RandomSampler(range(10), num_samples=25).order(0, 0)
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert len(set(order[20:].tolist())) == 5


def test_random_sampler_with_replacement():
    order = data.RandomSampler(range(5), replacement=True, num_samples=10_000).order(0, 0)
    assert stats.chisquare(np.bincount(order, minlength=5)).pvalue > 0.001


def test_subset_random_sampler():
    order = data.SubsetRandomSampler(np.array([9, 3, 5])).order(1, 0)
    assert sorted(order.tolist()) == [3, 5, 9]


def test_weighted_with_replacement_follows_the_weights():
    weights = np.array([0.0, 1.0, 0.0, 5.0, 2.0, 0.0])
    counts = np.bincount(data.WeightedRandomSampler(weights, 40_000).order(11, 0), minlength=6)
    assert counts[[0, 2, 5]].tolist() == [0, 0, 0]
    assert stats.chisquare(counts[[1, 3, 4]], 40_000 * np.array([1, 5, 2]) / 8).pvalue > 0.001


def test_weighted_without_replacement_follows_successive_draws():
    weights = np.array([1.0, 2.0, 0.0, 4.0])
    sampler = data.WeightedRandomSampler(weights, 2, replacement=False)
    counts: dict[tuple[int, ...], int] = {}
    draws = 6000
    for epoch in range(draws):
        pair = tuple(sampler.order(0, epoch).tolist())
        counts[pair] = counts.get(pair, 0) + 1
    expected = {(a, b): weights[a] / 7 * weights[b] / (7 - weights[a]) for a in (0, 1, 3) for b in (0, 1, 3) if a != b}
    assert set(counts) == set(expected)
    observed = [counts[pair] for pair in expected]
    assert stats.chisquare(observed, draws * np.array(list(expected.values()))).pvalue > 0.001


@pytest.mark.parametrize(
    ("weights", "count", "replacement"),
    [([-1, 2], 1, True), ([np.nan], 1, True), ([np.inf], 1, True), ([[1]], 1, True), ([0, 0], 1, True),
     ([1, 0, 1], 3, False), ([1], -1, True)],
)  # fmt: skip
def test_weighted_refuses(weights, count, replacement):
    with pytest.raises(ValueError, match="WeightedRandomSampler"):
        data.WeightedRandomSampler(weights, count, replacement)


def test_class_balanced_counts_are_exact():
    for epoch in range(5):
        order = data.ClassBalancedSampler(LABELS).order(0, epoch)
        assert sorted(np.bincount(LABELS[order])[[0, 1, 5]]) == [33, 33, 34]
        visits = np.bincount(order, minlength=100)
        assert visits[:70].max() == 1
        assert set(visits[70:90]) <= {1, 2}
        assert set(visits[90:]) <= {3, 4}


def test_class_balanced_mixes_the_classes_and_reaches_every_row():
    seen = np.zeros(100, int)
    for epoch in range(40):
        order = data.ClassBalancedSampler(LABELS, 60).order(0, epoch)
        assert np.bincount(LABELS[order])[[0, 1, 5]].tolist() == [20, 20, 20]
        assert len(set(LABELS[order[:20]].tolist())) == 3
        seen += np.bincount(order, minlength=100)
    assert seen.min() > 0


def test_class_balanced_refuses():
    with pytest.raises(TypeError, match="integer labels"):
        data.ClassBalancedSampler([0.5, 1.5])
    with pytest.raises(ValueError, match=r"labels \(N,\)"):
        data.ClassBalancedSampler([[0], [1]])
    with pytest.raises(ValueError, match="cannot draw 3 samples from 0 rows"):
        data.ClassBalancedSampler([], 3)


def test_empty():
    for sampler in (
        data.SequentialSampler([]),
        data.RandomSampler([]),
        data.SubsetRandomSampler([]),
        data.WeightedRandomSampler([], 0),
        data.ClassBalancedSampler([]),
    ):
        assert len(sampler) == 0
        assert sampler.order(0, 0).tolist() == []
    with pytest.raises(ValueError, match="cannot draw 1 samples from 0 rows"):
        data.RandomSampler([], num_samples=1)
