"""Distributions of sampled parameters.

Seeds are fixed, so a test that passes once passes always; the bounds are such that a new seed or generator
would fail a correct distribution with probability below 1e-6 in each test.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fastnn import transforms as T
from fastnn.random import SampleGenerator

N = 40_000
ALARM = 1e-7


@pytest.fixture
def rng() -> SampleGenerator:
    return SampleGenerator(2024, 3, np.arange(N))


def assert_uniform(values: np.ndarray, low: int, high: int) -> None:
    """Chi-square test of integers against the uniform distribution on low .. high - 1."""
    assert values.min() >= low
    assert values.max() < high
    assert stats.chisquare(np.bincount(values - low, minlength=high - low)).pvalue > ALARM


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_flips_are_binomial(rng: SampleGenerator, p: float) -> None:
    for transform in (T.RandomHorizontalFlip(p), T.RandomVerticalFlip(p)):
        flips = int(transform.sample(rng, N, (8, 8))["flip"].sum())
        assert stats.binomtest(flips, N, p).pvalue > ALARM


def test_crops_are_uniform_and_independent(rng: SampleGenerator) -> None:
    params = T.RandomCrop((32, 30), padding=(3, 4)).sample(rng, N, (32, 32))
    assert_uniform(params["top"], 0, 9)
    assert_uniform(params["left"], 0, 9)
    table = np.histogram2d(params["top"], params["left"], bins=9)[0]
    assert stats.chi2_contingency(table).pvalue > ALARM


def test_cutout_centres_are_uniform(rng: SampleGenerator) -> None:
    boxes = T.Cutout((4, 7)).sample(rng, N, (10, 12))["boxes"]
    assert_uniform(boxes[:, 0], -2, 8)
    assert_uniform(boxes[:, 1], -3, 9)
    assert (boxes[:, 2:] == (4, 7)).all()


def test_resized_crops(rng: SampleGenerator) -> None:
    """On an image large enough that roundings and rejected boxes do not show."""
    box = T.RandomResizedCrop(8, scale=(0.05, 0.2)).sample(rng, N, (4000, 4000))["box"]
    top, left, height, width = box.T.astype(np.float64)
    area = height * width / 4000**2
    assert stats.kstest(area, stats.uniform(0.05, 0.15).cdf).pvalue > ALARM
    log_ratio = np.log(width / height)
    assert stats.kstest(log_ratio, stats.uniform(-np.log(4 / 3), 2 * np.log(4 / 3)).cdf).pvalue > ALARM
    assert stats.kstest(top / (4000 - height), "uniform").pvalue > ALARM
    assert stats.kstest(left / (4000 - width), "uniform").pvalue > ALARM
    assert abs(stats.spearmanr(area, log_ratio).statistic) < 5.5 / np.sqrt(N)


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (3, 50)])
def test_resized_crops_stay_inside_small_images(rng: SampleGenerator, size: tuple[int, int]) -> None:
    top, left, height, width = T.RandomResizedCrop(8).sample(rng, N, size)["box"].T
    assert min(top.min(), left.min()) >= 0
    assert min(height.min(), width.min()) >= 1
    assert (top + height).max() <= size[0]
    assert (left + width).max() <= size[1]


def test_erasing(rng: SampleGenerator) -> None:
    boxes = T.RandomErasing(0.25, scale=(0.02, 0.1), ratio=(0.5, 2.0)).sample(rng, N, (3000, 3000))["boxes"]
    erased = boxes[boxes[:, 2] > 0].astype(np.float64)
    assert stats.binomtest(len(erased), N, 0.25).pvalue > ALARM
    top, left, height, width = erased.T
    assert stats.kstest(height * width / 3000**2, stats.uniform(0.02, 0.08).cdf).pvalue > ALARM
    assert stats.kstest(np.log(height / width), stats.uniform(-np.log(2), 2 * np.log(2)).cdf).pvalue > ALARM
    assert stats.kstest(top / (3000 - height), "uniform").pvalue > ALARM
    assert stats.kstest(left / (3000 - width), "uniform").pvalue > ALARM


def test_epochs_and_seeds_differ() -> None:
    transform = T.Compose([T.RandomCrop(28, padding=4), T.RandomErasing()])
    seen = [
        transform.sample(SampleGenerator(seed, epoch, np.arange(50)), 50, (32, 32))
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        for name in seen[0]:
            assert (seen[a][name] != seen[b][name]).any(), name
