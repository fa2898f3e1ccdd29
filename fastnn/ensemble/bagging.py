"""Bagging: models trained on bootstrap resamples, averaged or put to the vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data import Dataset, RandomSampler, Subset
from ..train.learner import Learner, Model, labels_of
from ..train.predictor import Combine, Predictor

if TYPE_CHECKING:
    from ..transforms import Views

__all__ = ["Bagging", "bagging"]


@dataclass(frozen=True)
class Bagging:
    """Models trained on resamples of one dataset.

    Attributes:
        models: the models.
        rows: the rows that each was trained on, with repeats.
        votes: for each row, the mean probabilities by the models that were not trained on it; NaN in rows that
            every model was trained on. (N, C)
        out_of_bag_accuracy: the accuracy of `votes`, an estimate that needs no test data; NaN if there are none.
    """

    models: tuple[Model, ...]
    rows: tuple[npt.NDArray[np.int64], ...]
    votes: npt.NDArray[np.float64]
    out_of_bag_accuracy: float

    def predictor(self, combine: Combine = "votes", views: Views | None = None) -> Predictor:
        """All models as one predictor; "votes" is Breiman's form."""
        return Predictor(self.models, combine=combine, views=views)


def bagging(learner: Learner, dataset: Dataset, members: int = 10, *, seed: int = 0) -> Bagging:
    """Train models on bootstrap resamples of a dataset (bootstrap aggregating).

    A resample of N rows drawn with replacement leaves out each row with probability `(1 - 1/N)^N`, about 37 %.
    Averaging lowers the variance of the error, the more the less the models agree, and leaves the bias.

    Args:
        learner: what trains; member m gets the seed `seed + m`.
        dataset: the training data.
        members: how many models.
        seed: of resampling and trainings.

    Raises:
        ValueError: if `members` is less than 1.

    Source: Breiman, "Bagging predictors", Machine Learning 24, 1996; out of bag: Breiman 2001.

    Example:
        >>> from fastnn import data, models, optim
        >>> from fastnn.train import NetworkLearner
        >>> make = lambda: models.create("mlp", 10, 1, 8)
        >>> learner = NetworkLearner(make, lambda p: optim.Adam(p, lr=3e-3), epochs=1)
        >>> found = bagging(learner, data.Digits(), 3)
        >>> len(found.models), 0.5 < found.out_of_bag_accuracy < 1
        (3, True)
    """
    if members < 1:
        raise ValueError(f"bagging: expected members >= 1, got {members}")
    sampler = RandomSampler(dataset, replacement=True)
    models: list[Model] = []
    drawn: list[npt.NDArray[np.int64]] = []
    total: Any = 0.0
    counts = np.zeros(len(dataset))
    for number in range(members):
        rows = sampler.order(seed, number)
        model = learner.fit(Subset(dataset, rows), seed + number)
        left_out = np.setdiff1d(np.arange(len(dataset)), rows)
        if left_out.size:
            found = Predictor(model).probabilities(learner.batches(Subset(dataset, left_out)))
            part = np.zeros((len(dataset), found.shape[1]))
            part[left_out] = found
            total = total + part
            counts[left_out] += 1
        models.append(model)
        drawn.append(rows)
    votes = np.full((len(dataset), 0), np.nan)
    seen = counts > 0
    share = np.nan
    if seen.any():
        votes = np.full(total.shape, np.nan)
        votes[seen] = total[seen] / counts[seen, None]
        share = float(np.mean(votes[seen].argmax(axis=1) == labels_of(dataset)[seen]))
    return Bagging(tuple(models), tuple(drawn), votes, share)
