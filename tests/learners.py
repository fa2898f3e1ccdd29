"""Learners for tests: scikit-learn's estimators behind fastnn's interface, and data for them."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastnn
from fastnn.data import Subset, TensorDataset
from fastnn.train import Learner


def columns(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    """All of a dataset as (x, y)."""
    x, y = dataset.batch(np.arange(len(dataset)))
    return x, y


class SklearnLearner(Learner):
    """What `make(seed)` gives, trained on the rows; its scores are its predicted probabilities' logarithms."""

    def __init__(self, make: Any) -> None:
        self.make = make
        self.trained: list[Any] = []

    def fit(self, dataset, seed, weights=None):
        x, y = columns(dataset)
        estimator = (
            self.make(seed).fit(x, y, sample_weight=weights) if weights is not None else self.make(seed).fit(x, y)
        )
        self.trained.append(estimator)

        def model(inputs):
            return fastnn.Tensor(np.log(np.maximum(estimator.predict_proba(inputs.data), 1e-300)))

        return model


def blobs(rows: int = 300, classes: int = 3, features: int = 4, seed: int = 0) -> TensorDataset:
    """Overlapping Gaussian clouds, float64, one per class."""
    rng = np.random.default_rng(seed)
    centres = 1.2 * np.random.default_rng(99).standard_normal((classes, features))
    y = rng.integers(0, classes, rows)
    return TensorDataset(centres[y] + rng.standard_normal((rows, features)), y)


def rows_of(part: Any) -> np.ndarray:
    """The rows of the innermost dataset that a Subset stands for."""
    assert isinstance(part, Subset)
    return part.indices
