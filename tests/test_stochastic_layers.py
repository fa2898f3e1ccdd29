"""Dropout in both forms, channel dropout, DropConnect, stochastic depth and noise: their distributions.

Every statistical test looks at a statistic with a known distribution and fails for one seed in 100,000 (two-sided
normal tail at 4.417), if the code is right. Seeds are fixed, so a test that passes once passes always.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import Tensor, nn
from fastnn.random import Generator

TAIL = 4.417
"""Standard deviations beyond which a normal number lies once in 100,000 times."""


def share_is(hits: int, trials: int, p: float) -> None:
    """`hits` in `trials` independent ones of probability p."""
    assert abs(hits - trials * p) < TAIL * math.sqrt(trials * p * (1 - p)) + 0.5


def independent(mask: Any, p: float) -> None:
    """Neighbours in every direction: the share of pairs that are both dropped is p²."""
    for dim in range(mask.ndim):
        n = mask.shape[dim]
        if n > 1:
            first, second = mask.take(range(n - 1), dim), mask.take(range(1, n), dim)
            # Pairs overlap, which adds covariance: the variance is at most 1 + 2 (p - p²) / (p² (1 - p²)) p² of that.
            pairs, both = first.size, p * p
            variance = pairs * (both * (1 - both) + 2 * (p**3 - p**4))
            assert abs(np.sum(first & second) - pairs * both) < TAIL * math.sqrt(variance) + 0.5


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("scale_at_test", [False, True])
def test_dropout_drops_elements_independently(p: float, scale_at_test: bool) -> None:
    layer = nn.Dropout(p, scale_at_test=scale_at_test, generator=Generator(1))
    y = layer(Tensor(np.ones((500, 400), np.float32))).data
    dropped = y == 0
    share_is(int(dropped.sum()), dropped.size, p)
    independent(dropped, p)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 if scale_at_test else 1 / (1 - p))}


@pytest.mark.parametrize(("kind", "spatial"), [(nn.Dropout1d, (5,)), (nn.Dropout2d, (3, 2)), (nn.Dropout3d, (2, 2, 2))])
@pytest.mark.parametrize("scale_at_test", [False, True])
def test_spatial_dropout_drops_whole_channels(kind: Any, spatial: tuple[int, ...], scale_at_test: bool) -> None:
    layer = kind(0.3, scale_at_test=scale_at_test, generator=Generator(2))
    y = layer(Tensor(np.ones((300, 100, *spatial), np.float32))).data.reshape(300, 100, -1)
    dropped = (y == 0).all(axis=2)
    np.testing.assert_array_equal(dropped, (y == 0).any(axis=2))
    share_is(int(dropped.sum()), dropped.size, 0.3)
    independent(dropped, 0.3)
    assert y.max() == np.float32(1 if scale_at_test else 1 / 0.7)


@pytest.mark.parametrize("scale_at_test", [False, True])
def test_stochastic_depth_drops_samples_or_batches(scale_at_test: bool) -> None:
    options = {"scale_at_test": scale_at_test, "generator": Generator(3)}
    y = nn.StochasticDepth(0.2, "row", **options)(Tensor(np.ones((50_000, 3), np.float32))).data
    dropped = (y == 0).all(axis=1)
    np.testing.assert_array_equal(dropped, (y == 0).any(axis=1))
    share_is(int(dropped.sum()), dropped.size, 0.2)
    independent(dropped, 0.2)
    assert y.max() == np.float32(1 if scale_at_test else 1.25)
    layer = nn.StochasticDepth(0.2, "batch", **options)
    draws = np.array([layer(Tensor(np.ones((4, 2), np.float32))).data for _ in range(4000)])
    dropped = (draws == 0).all(axis=(1, 2))
    np.testing.assert_array_equal(dropped, (draws == 0).any(axis=(1, 2)))
    share_is(int(dropped.sum()), dropped.size, 0.2)


def test_drop_connect_drops_weights_once_for_the_batch() -> None:
    layer = nn.DropConnectLinear(300, 400, bias=False, p=0.4, generator=Generator(4))
    layer.weight.data[...] = 1.0
    y = layer(Tensor(np.eye(300, dtype=np.float32))).data  # Wᵀ, masked
    dropped = y == 0
    share_is(int(dropped.sum()), dropped.size, 0.4)
    independent(dropped, 0.4)
    assert y.max() == np.float32(1 / 0.6)
    again = layer(Tensor(np.eye(300, dtype=np.float32))).data
    assert (again != y).any()
    rows = layer(Tensor(np.ones((2, 300), np.float32))).data
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-6)


def test_drop_connect_for_filters_and_its_gradient() -> None:
    layer = nn.DropConnectConv2d(8, 16, 3, padding=1, p=0.5, generator=Generator(5)).double()
    x = Tensor(np.random.default_rng(0).standard_normal((2, 8, 5, 5)), requires_grad=True)
    state = layer.generator.get_state()
    layer(x).sum().backward()
    layer.generator.set_state(state)
    masked = F.dropout(Tensor(layer.weight.data), 0.5, generator=layer.generator).data
    plain = Tensor(masked.copy(), requires_grad=True)
    other = Tensor(x.data.copy(), requires_grad=True)
    F.conv2d(other, plain, Tensor(layer.bias.data), padding=1).sum().backward()
    np.testing.assert_allclose(x.grad.data, other.grad.data, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(layer.weight.grad.data, plain.grad.data * (masked != 0) * 2, rtol=1e-12)
    share_is(int((masked == 0).sum()), masked.size, 0.5)
    assert list(layer.state_dict()) == ["weight", "bias"]
    np.testing.assert_array_equal(layer.eval()(x).data, F.conv2d(x, layer.weight, layer.bias, padding=1).data)


def test_noise_on_inputs_is_normal() -> None:
    from scipy import stats

    x = np.full((300, 400), 2.0, np.float32)
    layer = nn.GaussianNoise(0.5, generator=Generator(6))
    z = (layer(Tensor(x)).data.astype(np.float64) - 2) / 0.5
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-5
    assert abs(z.mean()) < TAIL / math.sqrt(z.size)
    np.testing.assert_array_equal(layer.eval()(Tensor(x)).data, x)


LAYERS: list[Callable[[Generator], nn.Module]] = [
    lambda g: nn.Dropout(0.3, generator=g),
    lambda g: nn.Dropout(0.3, scale_at_test=True, generator=g),
    lambda g: nn.Dropout2d(0.3, generator=g),
    lambda g: nn.Dropout2d(0.3, scale_at_test=True, generator=g),
    lambda g: nn.StochasticDepth(0.3, generator=g),
    lambda g: nn.StochasticDepth(0.3, scale_at_test=True, generator=g),
    lambda g: nn.GaussianNoise(0.3, generator=g),
]


@pytest.mark.parametrize("make", LAYERS)
def test_evaluation_is_the_mean_of_training(make: Callable[[Generator], nn.Module]) -> None:
    """Over 2,000 draws of each of 48 elements; a Bonferroni-corrected normal bound."""
    x = Tensor(np.random.default_rng(0).standard_normal((4, 3, 2, 2)))
    layer = make(Generator(7))
    draws = np.array([layer(x).data for _ in range(2000)])
    expected = layer.eval()(x).data
    error = draws.std(axis=0) / math.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - expected) < 5.2 * error).all()  # 48 elements, one seed in 100,000


@pytest.mark.parametrize("make", LAYERS)
def test_equal_seeds_give_equal_bits_on_any_number_of_threads(make: Callable[[Generator], nn.Module]) -> None:
    x = Tensor(np.random.default_rng(0).standard_normal((40, 30, 20, 20)).astype(np.float32))
    before = fastnn.get_num_threads()
    results = []
    for seed, threads in ((1, 1), (1, 2), (2, 2)):
        fastnn.set_num_threads(threads)
        results.append(make(Generator(seed))(x).data)
    fastnn.set_num_threads(before)
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


def test_a_residual_branch_is_skipped_by_dropped_samples() -> None:
    body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.StochasticDepth(0.5, "row", generator=Generator(8)))
    x = Tensor(np.random.default_rng(0).standard_normal((64, 3, 4, 4)).astype(np.float32))
    y = nn.Residual(body)(x).data
    branch = body[0](x).data
    skipped = np.array([np.array_equal(a, b) for a, b in zip(y, x.data)])
    assert 15 < skipped.sum() < 49
    np.testing.assert_allclose(y[~skipped], (x.data + 2 * branch)[~skipped], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.StochasticDepth(1.5), "StochasticDepth: expected 0 <= p <= 1"),
        (lambda: nn.StochasticDepth(0.5, "column"), "expected mode 'row' or 'batch'"),
        (lambda: nn.DropConnectLinear(2, 3, p=-0.1), "DropConnectLinear: expected 0 <= p <= 1"),
        (lambda: nn.DropConnectConv2d(2, 3, 1, p=2), "DropConnectConv2d: expected 0 <= p <= 1"),
        (lambda: nn.GaussianNoise(-1.0), "GaussianNoise: expected std >= 0"),
        (lambda: F.stochastic_depth(Tensor(np.ones(2)), 0.5, "column"), "expected mode"),
        (lambda: F.stochastic_depth(Tensor(np.ones(())), 0.5, "row"), "without dimensions"),
    ],
)
def test_impossible_arguments_are_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
