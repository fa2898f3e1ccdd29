"""Boosting: each model learns most from the rows that those before it got wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..data import Dataset, Subset, WeightedRandomSampler
from ..train.learner import Learner, Model, labels_of
from ..train.predictor import Predictor

if TYPE_CHECKING:
    from ..transforms import Views

__all__ = ["Boosting", "boosting"]


@dataclass(frozen=True)
class Boosting:
    """Models and their votes.

    Attributes:
        models: the models, in the order of their training.
        alphas: the weight α of each one's vote.
        errors: the weighted training error of each.
        weights: the rows' weights after the last round, adding up to 1.
    """

    models: tuple[Model, ...]
    alphas: tuple[float, ...]
    errors: tuple[float, ...]
    weights: npt.NDArray[np.float64]

    def predictor(self, views: Views | None = None) -> Predictor:
        """The weighted vote `argmax_c Σ_m α_m [model m says c]`."""
        return Predictor(self.models, combine="votes", weights=self.alphas, views=views)


def boosting(
    learner: Learner,
    dataset: Dataset,
    rounds: int = 10,
    *,
    learning_rate: float = 1.0,
    resample: bool = False,
    seed: int = 0,
) -> Boosting:
    """AdaBoost for any number of classes K (SAMME).

        err = Σ wᵢ [model(xᵢ) ≠ yᵢ] / Σ wᵢ
        α   = η (log((1 - err) / err) + log(K - 1))
        wᵢ ← wᵢ exp(α [model(xᵢ) ≠ yᵢ])

    starting from equal weights. For two classes it is AdaBoost. A model without error ends the training with a vote of
    1; one that is no better than guessing, `err ≥ 1 - 1/K`, ends it and is left out.

    Args:
        learner: what trains, a weak learner; round m gets the seed `seed + m` and the weights.
        dataset: the training data.
        rounds: at most so many models.
        learning_rate: η, shrinks every vote.
        resample: draw the training rows with probabilities w instead of handing over weights, for learners that
            cannot use them.
        seed: of the trainings and of resampling.

    Raises:
        ValueError: if `rounds` or `learning_rate` is impossible, there is one class only, or the first model is no
            better than guessing.

    Source: Zhu, Zou, Rosset, Hastie, "Multi-class AdaBoost", Statistics and Its Interface 2, 2009; Freund, Schapire,
    "A decision-theoretic generalization of on-line learning and an application to boosting", 1997.

    Example:
        >>> from fastnn import data, models, nn, optim
        >>> from fastnn.train import NetworkLearner
        >>> weak = lambda: nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 10))
        >>> found = boosting(NetworkLearner(weak, lambda p: optim.Adam(p, lr=0.1), epochs=1), data.Digits(), 3)
        >>> len(found.models), all(alpha > 0 for alpha in found.alphas)
        (3, True)
    """
    if rounds < 1 or not learning_rate > 0:
        raise ValueError(f"boosting: expected rounds >= 1 and learning_rate > 0, got {rounds} and {learning_rate}")
    labels = labels_of(dataset)
    classes = len(np.unique(labels))
    if classes < 2:
        raise ValueError(f"boosting: expected at least 2 classes, got {classes}")
    weights = np.full(len(labels), 1 / len(labels))
    models: list[Model] = []
    alphas: list[float] = []
    errors: list[float] = []
    for number in range(rounds):
        model = _fit(learner, dataset, seed + number, weights, resample)
        wrong = Predictor(model).classes(learner.batches(dataset)) != labels
        error = float(weights[wrong].sum() / weights.sum())
        if error >= 1 - 1 / classes:
            if not models:
                raise ValueError(f"boosting: the first model is no better than guessing, its error is {error:.3g}")
            break
        models.append(model)
        errors.append(error)
        if error <= 0:
            alphas.append(1.0)
            break
        alpha = learning_rate * (math.log((1 - error) / error) + math.log(classes - 1))
        alphas.append(alpha)
        weights = weights * np.exp(alpha * wrong)
        weights /= weights.sum()
    return Boosting(tuple(models), tuple(alphas), tuple(errors), weights)


def _fit(learner: Learner, dataset: Dataset, seed: int, weights: npt.NDArray[np.float64], resample: bool) -> Model:
    """One round: the rows with their weights, or rows drawn with them."""
    if not resample:
        return learner.fit(dataset, seed, weights)
    rows = WeightedRandomSampler(weights, len(dataset)).order(seed, 0)
    return learner.fit(Subset(dataset, rows), seed)
