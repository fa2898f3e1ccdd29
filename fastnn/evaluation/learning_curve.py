"""Learning curves: how a score grows with the number of training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data import Dataset, RandomSampler, Subset
from ..report import Report
from ..train.learner import Learner, labels_of
from ..train.predictor import Predictor
from .splits import Score, accuracy

__all__ = ["LearningCurve", "learning_curve"]


@dataclass(frozen=True)
class LearningCurve(Report):
    """What `learning_curve` found.

    Attributes:
        sizes: numbers of training rows.
        train: scores on the training rows themselves, (sizes, repeats).
        test: scores on the test rows, likewise.
    """

    sizes: list[int]
    train: npt.NDArray[np.float64]
    test: npt.NDArray[np.float64]

    def draw(self, figure: Any) -> None:
        """Means and standard deviations; the gap is what more data, or regularisation, may close."""
        axes = figure.subplots()
        for values, label in ((self.train, "training rows"), (self.test, "test rows")):
            mean, std = values.mean(axis=1), values.std(axis=1)
            axes.plot(self.sizes, mean, ".-", label=label)
            axes.fill_between(self.sizes, mean - std, mean + std, alpha=0.2)
        axes.set(xlabel="training rows", ylabel="score")
        axes.legend(frameon=False)


def learning_curve(
    learner: Learner,
    dataset: Dataset,
    test: Dataset,
    sizes: Sequence[float],
    *,
    repeats: int = 3,
    score: Score = accuracy,
    seed: int = 0,
) -> LearningCurve:
    """Train on more and more rows, several times, and score on training and test rows.

    Within one repeat the smaller training sets are parts of the larger ones.

    Args:
        learner: what trains; repeat r gets the seed `seed + r`.
        dataset: where training rows come from.
        test: what is scored, the same for all.
        sizes: numbers of rows, or fractions of the dataset up to 1.0 (a float).
        repeats: how often, each time with another order of the rows.
        score: maps probabilities (N, C) and labels (N,) to a number; the accuracy by default.
        seed: of the orders and the trainings.

    Raises:
        ValueError: if there is no size, one is not between 1 and len(dataset) rows, or `repeats` < 1.

    Example:
        >>> from fastnn import data, models, optim
        >>> from fastnn.train import NetworkLearner
        >>> make = lambda: models.create("mlp", 10, 1, 8)
        >>> learner = NetworkLearner(make, lambda p: optim.Adam(p, lr=3e-3), epochs=2)
        >>> curve = learning_curve(learner, data.Digits(), data.Digits(train=False), (50, 0.5), repeats=1)
        >>> curve.sizes, bool(curve.test[1, 0] > curve.test[0, 0])
        ([50, 721], True)
    """
    rows = [int(size * len(dataset)) if isinstance(size, float) else int(size) for size in sizes]
    if not rows or min(rows) < 1 or max(rows) > len(dataset) or repeats < 1:
        raise ValueError(
            f"learning_curve: expected sizes of 1 to {len(dataset)} rows and repeats >= 1, "
            f"got {list(sizes)} and {repeats}"
        )
    found = np.empty((2, len(rows), repeats))
    for repeat in range(repeats):
        order = RandomSampler(dataset).order(seed, repeat)
        for place, size in enumerate(rows):
            part = Subset(dataset, order[:size])
            predictor = Predictor(learner.fit(part, seed + repeat))
            for row, data in enumerate((part, test)):
                found[row, place, repeat] = score(predictor.probabilities(learner.batches(data)), labels_of(data))
    return LearningCurve(rows, found[0], found[1])
