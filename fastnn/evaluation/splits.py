"""Dividing data for training and evaluation: splits, folds, and cross-validation over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ..data import Dataset, Subset, random_split
from ..report import Report
from ..train.learner import Learner, labels_of
from ..train.predictor import Predictor

__all__ = ["CrossValidation", "Fold", "accuracy", "cross_validate", "k_fold", "split"]

Array: TypeAlias = npt.NDArray[Any]
Score: TypeAlias = Callable[[Array, Array], float]


class Fold(NamedTuple):
    """One division of a dataset."""

    train: Subset
    test: Subset


def accuracy(probabilities: Array, labels: Array) -> float:
    """The share of rows whose likeliest class is the right one: `mean(argmax p = y)`.

    Shape:
        probabilities (N, C), labels (N,)
    """
    return float(np.mean(np.argmax(probabilities, axis=1) == labels))


def split(
    dataset: Dataset, fractions: Sequence[float] = (0.8, 0.1, 0.1), *, stratified: bool = True, seed: int = 0
) -> list[Subset]:
    """Divide a dataset at random into parts, such as training, validation and test.

    Args:
        dataset: what to divide.
        fractions: of the parts; they add up to 1.
        stratified: give every part the classes in the same shares, as nearly as whole rows allow (scikit-learn's
            `train_test_split`); otherwise see `fastnn.data.random_split`.
        seed: of the division.

    Returns:
        One Subset per fraction; together they hold every row once.

    Raises:
        ImportError: without scikit-learn, if stratified.
        ValueError: if the fractions do not add up to 1, or a class is too small to be in every part.

    Example:
        >>> from fastnn.data import Digits
        >>> [len(part) for part in split(Digits(), (0.5, 0.25, 0.25))]
        [721, 360, 361]
    """
    if not stratified:
        return random_split(dataset, fractions, seed)
    if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"split: expected positive fractions that add up to 1, got {list(fractions)}")
    selection = _model_selection("split")
    labels, rest = labels_of(dataset), np.arange(len(dataset))
    parts: list[Subset] = []
    left = 1.0
    for fraction in fractions[:-1]:
        part, rest = selection.train_test_split(
            rest, train_size=fraction / left, stratify=labels[rest], random_state=seed
        )
        parts.append(Subset(dataset, part))
        left -= fraction
    return [*parts, Subset(dataset, rest)]


def k_fold(dataset: Dataset, folds: int = 5, *, stratified: bool = True, seed: int | None = 0) -> list[Fold]:
    """Divide a dataset into k parts, each of which is the test part of one fold (scikit-learn's `StratifiedKFold`).

    Args:
        dataset: what to divide.
        folds: k, at least 2.
        stratified: give every part the classes in the same shares; otherwise `KFold`.
        seed: of the order before the division; None keeps the rows in order.

    Returns:
        k pairs of Subsets (train, test).

    Raises:
        ImportError: without scikit-learn.
        ValueError: if there are fewer than k rows, or fewer than k of every class if stratified.

    Example:
        >>> from fastnn.data import Digits
        >>> [len(fold.test) for fold in k_fold(Digits(), 4)]
        [361, 361, 360, 360]
    """
    selection = _model_selection("k_fold")
    kind = selection.StratifiedKFold if stratified else selection.KFold
    splitter = kind(folds, shuffle=seed is not None, random_state=seed)
    rows = np.arange(len(dataset))
    pairs = splitter.split(rows, labels_of(dataset) if stratified else None)
    return [Fold(Subset(dataset, train), Subset(dataset, test)) for train, test in pairs]


@dataclass(frozen=True)
class CrossValidation(Report):
    """What `cross_validate` found.

    Attributes:
        scores: of the test part of each fold.
        mean: their mean.
        std: their standard deviation, with divisor k - 1.
    """

    scores: list[float]
    mean: float
    std: float

    def draw(self, figure: Any) -> None:
        """A bar for each fold, the mean as a line."""
        axes = figure.subplots()
        axes.bar(range(1, len(self.scores) + 1), self.scores)
        axes.axhline(self.mean, color="C3", linewidth=1.0)
        axes.set(xlabel="fold", ylabel="score", title=f"{self.mean:.4g} ± {self.std:.2g}")


def cross_validate(
    learner: Learner,
    dataset: Dataset,
    *,
    folds: int = 5,
    stratified: bool = True,
    score: Score = accuracy,
    seed: int = 0,
) -> CrossValidation:
    """Train on all but one part of a dataset and score on that part, for each of k parts.

    The folds share most of their training rows, so `std / √k` understates the error of the mean.

    Args:
        learner: what trains; it gets the seeds seed, seed + 1, ...
        dataset: the data.
        folds, stratified: see `k_fold`.
        score: maps probabilities (N, C) and labels (N,) to a number; the accuracy by default.
        seed: of the division and of the trainings.

    Source: Stone, "Cross-validatory choice and assessment of statistical predictions", 1974.
    """
    scores = []
    for number, fold in enumerate(k_fold(dataset, folds, stratified=stratified, seed=seed)):
        model = learner.fit(fold.train, seed + number)
        scores.append(float(score(Predictor(model).probabilities(learner.batches(fold.test)), labels_of(fold.test))))
    return CrossValidation(scores, float(np.mean(scores)), float(np.std(scores, ddof=1)))


def _model_selection(owner: str) -> Any:
    try:
        from sklearn import model_selection
    except ImportError:
        raise ImportError(f"{owner} needs scikit-learn: pip install fastnn[sklearn]") from None
    return model_selection
