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


def test_affine_parameters(rng: SampleGenerator) -> None:
    transform = T.RandomAffine((-10, 30), translate=(0.1, 0.25), scale=(0.5, 2.0), shear=(-5, 5, 0, 20))
    params = transform.sample(rng, N, (400, 1000))
    assert stats.kstest(params["angle"], stats.uniform(-10, 40).cdf).pvalue > ALARM
    assert stats.kstest(params["scale"][:, 0], stats.uniform(0.5, 1.5).cdf).pvalue > ALARM
    np.testing.assert_array_equal(params["scale"][:, 0], params["scale"][:, 1])
    assert stats.kstest(params["shear"][:, 0], stats.uniform(-5, 10).cdf).pvalue > ALARM
    assert stats.kstest(params["shear"][:, 1], stats.uniform(0, 20).cdf).pvalue > ALARM
    right, down = params["translate"].astype(int).T
    for shift, most in ((right, 100), (down, 100)):
        assert shift.min() >= -most
        assert shift.max() <= most
        assert_uniform(shift[np.abs(shift) < most], -most + 1, most)  # the ends are half as likely
    assert abs(np.corrcoef(params["angle"], right)[0, 1]) < 5.5 / np.sqrt(N)


def test_rotation_stretch_and_blur_parameters(rng: SampleGenerator) -> None:
    assert stats.kstest(T.RandomRotation(25).sample(rng, N, (8, 8))["angle"], stats.uniform(-25, 50).cdf).pvalue > ALARM
    scale = T.RandomStretch((0.5, 2), (1, 4)).sample(rng, N, (8, 8))["scale"]
    assert stats.kstest(np.log2(scale[:, 0]), stats.uniform(-1, 2).cdf).pvalue > ALARM
    assert stats.kstest(np.log2(scale[:, 1]), stats.uniform(0, 2).cdf).pvalue > ALARM
    assert (
        stats.kstest(T.GaussianBlur(3, (1, 3)).sample(rng, N, (8, 8))["sigma"], stats.uniform(1, 2).cdf).pvalue > ALARM
    )


def test_colour_parameters(rng: SampleGenerator) -> None:
    params = T.ColorJitter(0.4, (0.5, 2.0), 1.5, 0.1).sample(rng, N, (8, 8))
    for column, (low, high) in enumerate([(0.6, 1.4), (0.5, 2.0), (0.0, 2.5), (-0.1, 0.1)]):
        factor = params["factor"][:, column]
        assert stats.kstest(factor, stats.uniform(low, high - low).cdf).pvalue > ALARM
    orders = params["order"] @ [64, 16, 4, 1]
    names, counts = np.unique(orders, return_counts=True)
    assert len(names) == 24
    assert stats.chisquare(counts).pvalue > ALARM
    alpha = T.RandomPCAColor((1, 1, 1), np.eye(3).tolist(), 0.3).sample(rng, N, (8, 8))["alpha"]
    assert stats.kstest(alpha.ravel(), stats.norm(0, 0.3).cdf).pvalue > ALARM


def test_randaugment_parameters(rng: SampleGenerator) -> None:
    params = T.RandAugment(2).sample(rng, N, (8, 8))
    pairs = params["operation"] @ [14, 1]
    assert_uniform(pairs, 0, 196)
    for column in params["negative"].T:
        assert stats.binomtest(int(column.sum()), N, 0.5).pvalue > ALARM


@pytest.mark.parametrize("p", [0.0, 0.2, 1.0])
def test_probabilities(rng: SampleGenerator, p: float) -> None:
    for transform, name, value in (
        (T.RandomInvert(p), "changed", True),
        (T.RandomGrayscale(p), "gray", True),
        (T.RandomApply([T.RandomInvert()], p), "applied", True),
        (T.RandomAdjustSharpness(2, p), "factor", 2.0),
    ):
        happened = int((transform.sample(rng, N, (8, 8))[name] == value).sum())
        assert stats.binomtest(happened, N, p).pvalue > ALARM


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_mixing_shares(rng: SampleGenerator, alpha: float) -> None:
    share = T.MixUp(alpha=alpha, per_image=True).sample(rng, N, (32, 32))["share"]
    assert stats.kstest(share, stats.beta(alpha, alpha).cdf).pvalue > ALARM
    cut = T.CutMix(alpha=alpha, per_image=True).sample(rng, N, (32, 32))
    top, left, height, width = cut["boxes"].T
    assert min(top.min(), left.min(), height.min(), width.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 32
    np.testing.assert_allclose(cut["share"], 1 - height * width / 32**2)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_shares_of_batches(alpha: float) -> None:
    """One share for each of 20,000 batches; centres of CutMix boxes that no edge cuts off are uniform."""
    shares, centres = [], []
    for batch in range(20_000):
        rng = SampleGenerator(11, 0, np.arange(2 * batch, 2 * batch + 2))
        share = T.MixUp(alpha=alpha).sample(rng, 2, (64, 64))["share"]
        assert share[0] == share[1]
        shares.append(share[0])
        top, left, height, width = T.CutMix(alpha=alpha).sample(rng, 2, (64, 64))["boxes"][0]
        if 0 < height < 20 and min(top, left) > 0 and max(top + height, left + width) < 64:
            centres.append((top + height // 2, left + width // 2))
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > ALARM
    inner = np.array([c for c in centres if min(c) >= 10 and max(c) < 54])
    for axis in (0, 1):
        assert_uniform(inner[:, axis], 10, 54)


@pytest.mark.slow
def test_long_runs_of_flips_and_crops() -> None:
    """Two million images: rates to a tenth of a percent, at a false-alarm rate of 1e-7 each."""
    n = 2_000_000
    rng = SampleGenerator(99, 1, np.arange(n))
    flips = T.RandomHorizontalFlip().sample(rng, n, (32, 32))["flip"]
    assert stats.binomtest(int(flips.sum()), n, 0.5).pvalue > ALARM
    params = T.RandomCrop(32, padding=4).sample(rng, n, (32, 32))
    assert_uniform(params["top"] * 9 + params["left"], 0, 81)
    table = np.histogram2d(flips, params["left"], bins=(2, 9))[0]
    assert stats.chi2_contingency(table).pvalue > ALARM
    same = flips[1:] == flips[:-1]
    assert stats.binomtest(int(same.sum()), n - 1, 0.5).pvalue > ALARM
