"""How certain a measured figure is: bootstrap confidence intervals, and that of a share without resampling."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..report import Report

__all__ = ["Interval", "bootstrap_interval", "wilson_interval"]

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Interval(Report):
    """A bootstrap confidence interval.

    Attributes:
        estimate: the statistic of the data.
        low, high: the ends of the interval; both the estimate if it is the same in every resample.
        confidence: how often such intervals hold the true value.
        standard_error: the standard deviation over resamples.
        distribution: the statistic of each resample.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    standard_error: float
    distribution: npt.NDArray[np.float64]

    def __str__(self) -> str:
        return f"{self.estimate:.4g} ({100 * self.confidence:g} %: {self.low:.4g} to {self.high:.4g})"

    def draw(self, figure: Any) -> None:
        """A histogram of the resamples with the interval."""
        axes = figure.subplots()
        axes.hist(self.distribution, bins=50)
        axes.axvspan(self.low, self.high, color="C1", alpha=0.3)
        axes.axvline(self.estimate, color="C3", linewidth=1.5)
        axes.set(xlabel="statistic", ylabel="resamples", title=str(self))


def bootstrap_interval(
    *data: npt.ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    confidence: float = 0.95,
    resamples: int = 9999,
    method: Literal["BCa", "basic", "percentile"] = "BCa",
    seed: int = 0,
) -> Interval:
    """A confidence interval from resampling rows with replacement (`scipy.stats.bootstrap`).

    For an accuracy, `data` is 1 where a prediction is right and 0 where it is wrong; for the difference of two networks
    on one test set, the differences row by row, or both columns and a statistic of two arguments.

    Args:
        data: one array, or several of one length whose rows belong together.
        statistic: maps the arrays to a number; if it takes `axis`, all resamples go through it at once.
        confidence: of the interval, between 0 and 1.
        resamples: how many.
        method: 'BCa' (bias-corrected and accelerated), 'percentile' or 'basic'.
        seed: of the resampling.

    Shape:
        each of data (N,)

    Raises:
        ImportError: without SciPy.
        ValueError: if the data are empty, of different lengths, or `confidence` or `resamples` is impossible.

    Source: Efron, "Better bootstrap confidence intervals", JASA 1987.

    Example:
        >>> right = np.array([1] * 90 + [0] * 10)
        >>> interval = bootstrap_interval(right, resamples=999)
        >>> interval.estimate, 0.8 < interval.low < 0.9 < interval.high < 0.97
        (0.9, True)
    """
    try:
        from scipy import stats
    except ImportError:
        raise ImportError("bootstrap_interval needs SciPy: pip install fastnn[scipy]") from None
    columns = [np.asarray(each, np.float64) for each in data]
    if not columns or len({each.shape for each in columns}) != 1 or columns[0].ndim != 1 or len(columns[0]) < 2:
        raise ValueError(
            "bootstrap_interval: expected one or more arrays (N,) of one length N >= 2, "
            f"got shapes {[each.shape for each in columns]}"
        )
    if not 0 < confidence < 1 or resamples < 1:
        raise ValueError(
            f"bootstrap_interval: expected 0 < confidence < 1 and resamples >= 1, got {confidence} and {resamples}"
        )
    estimate = float(statistic(*columns))
    with warnings.catch_warnings():
        # Data without spread make BCa undefined; what is returned for them is below.
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            columns,
            statistic,
            paired=True,
            confidence_level=confidence,
            n_resamples=resamples,
            method=method,
            rng=np.random.default_rng(seed),
        )
    drawn = np.asarray(found.bootstrap_distribution, np.float64)
    low, high = (float(end) for end in found.confidence_interval)
    if np.ptp(drawn) == 0:
        low = high = estimate
    return Interval(estimate, low, high, confidence, float(found.standard_error), drawn)


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """A confidence interval of a share, such as an accuracy, from counts alone.

        (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n),    p = successes / n, z the quantile of the normal

    It stays within [0, 1], also where every trial succeeded or none did.

    Args:
        successes: how many were right.
        trials: n, of how many.
        confidence: of the interval, between 0 and 1.

    Returns:
        Its ends.

    Raises:
        ValueError: unless `0 <= successes <= trials`, `trials >= 1` and `0 < confidence < 1`.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.

    Example:
        >>> low, high = wilson_interval(90, 100)
        >>> round(low, 4), round(high, 4)
        (0.8256, 0.9448)
    """
    if not 0 <= successes <= trials or trials < 1 or not 0 < confidence < 1:
        raise ValueError(
            "wilson_interval: expected 0 <= successes <= trials, trials >= 1 and 0 < confidence < 1, "
            f"got {successes}, {trials} and {confidence}"
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p, squared = successes / trials, z * z / trials
    centre, half = p + squared / 2, z * math.sqrt(p * (1 - p) / trials + squared / (4 * trials))
    # Rounding must not push the ends past those of an interval that touches 0 or 1.
    return max((centre - half) / (1 + squared), 0.0), min((centre + half) / (1 + squared), 1.0)
