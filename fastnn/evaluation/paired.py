"""Two networks on the same test rows: who is right where, and whether the difference is more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..report import Report

__all__ = ["PairedComparison", "compare_predictions"]


@dataclass(frozen=True)
class PairedComparison(Report):
    """What `compare_predictions` found.

    Attributes:
        both: rows that both get right.
        only_first: rows that the first alone gets right, b.
        only_second: rows that the second alone gets right, c.
        neither: rows that both get wrong.
        agreement: the share of rows with the same prediction, right or wrong.
        difference: the accuracy of the first minus that of the second, `(b - c) / N`.
        low, high: the ends of the confidence interval of the difference.
        confidence: how often such intervals hold the true value.
        p_value: of McNemar's exact test: were both equally good, b and c would differ at least as much this often.
    """

    size: ClassVar[tuple[float, float]] = (6.4, 1.7)

    both: int
    only_first: int
    only_second: int
    neither: int
    agreement: float
    difference: float
    low: float
    high: float
    confidence: float
    p_value: float

    def __str__(self) -> str:
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.difference:+.2f} points ({low:+.2f} to {high:+.2f}), McNemar p = {self.p_value:.2g}"

    def draw(self, figure: Any) -> None:
        """The rows that one of the two alone gets right, side by side."""
        axes = figure.subplots()
        axes.barh(["first", "second"], [self.only_first, self.only_second], height=0.55)
        axes.invert_yaxis()
        axes.set(xlabel="rows that it alone gets right", title=str(self))


def compare_predictions(
    first: npt.ArrayLike, second: npt.ArrayLike, labels: npt.ArrayLike, *, confidence: float = 0.95
) -> PairedComparison:
    """Compare the predictions of two networks row by row, which tells more than their two accuracies.

    The interval adds a half to each of the four counts: with b and c the rows that one alone gets right, N rows and
    `b* = b + 1/2, c* = c + 1/2, N* = N + 2`, it is `(b* - c*) / N* ± z √(b* + c* - (b* - c*)² / N*) / N*`. The test is
    exact, `p = min(1, 2 P[B ≤ min(b, c)])` for B binomial with b + c trials of 1/2.

    Args:
        first: predicted classes of the one.
        second: predicted classes of the other.
        labels: the right classes.
        confidence: of the interval, between 0 and 1.

    Shape:
        each (N,)

    Raises:
        ValueError: if the arrays are empty, of different lengths or not whole numbers, or `confidence` is impossible.

    Source: McNemar, Psychometrika 1947; Dietterich, "Approximate statistical tests for comparing supervised
    classification learning algorithms", 1998; Agresti, Min, "Simple improved confidence intervals for comparing matched
    proportions", Statistics in Medicine 2005.

    Example:
        >>> found = compare_predictions([0, 1, 1, 1], [0, 0, 0, 1], [0, 1, 1, 0])
        >>> found.only_first, found.only_second, found.difference, found.p_value
        (2, 0, 0.5, 0.5)
    """
    columns = [np.asarray(each) for each in (first, second, labels)]
    shapes = [each.shape for each in columns]
    if (
        columns[0].ndim != 1
        or not len(columns[0])
        or len(set(shapes)) != 1
        or any(c.dtype.kind not in "iu" for c in columns)
    ):
        raise ValueError(f"compare_predictions: expected three arrays (N,) of classes, N > 0, got shapes {shapes}")
    if not 0 < confidence < 1:
        raise ValueError(f"compare_predictions: expected 0 < confidence < 1, got {confidence}")
    one, other, right = columns
    count = len(right)
    b = int(np.count_nonzero((one == right) & (other != right)))
    c = int(np.count_nonzero((one != right) & (other == right)))
    both = int(np.count_nonzero((one == right) & (other == right)))
    centre = (b - c) / (count + 2)
    width = math.sqrt(b + c + 1 - (b - c) ** 2 / (count + 2)) / (count + 2)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return PairedComparison(
        both=both,
        only_first=b,
        only_second=c,
        neither=count - both - b - c,
        agreement=float(np.mean(one == other)),
        difference=(b - c) / count,
        low=max(centre - z * width, -1.0),
        high=min(centre + z * width, 1.0),
        confidence=confidence,
        p_value=_mcnemar(b, c),
    )


def _mcnemar(b: int, c: int) -> float:
    """`min(1, 2 P[B ≤ min(b, c)])`, in logarithms so that no power under- or overflows."""
    trials, few = b + c, min(b, c)
    logs = [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in range(few + 1)]
    largest = max(logs)
    tail = math.fsum(math.exp(each - largest) for each in logs)
    return min(1.0, 2 * tail * math.exp(largest - trials * math.log(2)))
