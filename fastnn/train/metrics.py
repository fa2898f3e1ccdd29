"""Metrics that are gathered batch by batch: weighted mean, accuracy, top-k, confusion matrix.

A metric is fed with `update`, read with `compute` and emptied with `reset`. Its `state_dict` holds plain numbers,
so that a run interrupted in the middle of an epoch goes on with exactly the sums it had.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Accuracy", "ConfusionMatrix", "Mean", "Metric", "TopK"]

Array = npt.NDArray[Any]


class Metric(ABC):
    """What is measured of a network's outputs over several batches.

    Subclasses keep their sums in attributes that are numbers or lists of numbers, and name them in `sums`.
    """

    sums: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forget all batches."""

    @abstractmethod
    def update(self, output: Array, target: Array) -> None:
        """Add one batch.

        Args:
            output: a score for each class.
            target: the right class, or a probability for each class.

        Shape:
            output (N, C); target (N,) integer or (N, C) floating.

        Raises:
            ValueError: if the shapes do not fit.
        """

    @abstractmethod
    def compute(self) -> Any:
        """The value over all batches since `reset`; NaN if there were none."""

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, as plain numbers."""
        return {name: getattr(self, name) for name in self.sums}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from sums that `state_dict` gave.

        Raises:
            ValueError: if a sum is missing or unknown.
        """
        if set(state) != set(self.sums):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected {', '.join(self.sums)}, got {', '.join(state)}"
            )
        for name in self.sums:
            setattr(self, name, state[name])


class Mean:
    """A weighted mean: `Σ wᵢ vᵢ / Σ wᵢ`, for losses weighted by batch size.

    Example:
        >>> mean = Mean()
        >>> mean.add(1.0, weight=3)
        >>> mean.add(5.0, weight=1)
        >>> mean.value
        2.0
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.weight = 0

    def add(self, value: float, weight: int = 1) -> None:
        """Add a value that stands for `weight` rows."""
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float:
        """The mean so far; NaN if nothing was added."""
        return self.total / self.weight if self.weight else math.nan

    def state_dict(self) -> dict[str, float]:
        """Both sums."""
        return {"total": self.total, "weight": self.weight}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from sums that `state_dict` gave."""
        self.total, self.weight = float(state["total"]), int(state["weight"])


class TopK(Metric):
    """The share of rows whose right class is among the k with the highest scores.

    Of equal scores the class with the lower number counts as higher, as in `argmax`. Rows with a NaN are wrong.

    Args:
        k: at least 1.

    Raises:
        ValueError: if k is less.

    Example:
        >>> import numpy as np
        >>> top2 = TopK(2)
        >>> top2.update(np.array([[0.1, 0.7, 0.2], [0.8, 0.15, 0.05]]), np.array([2, 2]))
        >>> top2.compute()
        0.5
    """

    sums = ("correct", "count")

    def __init__(self, k: int) -> None:
        if k < 1:
            raise ValueError(f"TopK: expected k >= 1, got {k}")
        self.k = k
        super().__init__()

    def reset(self) -> None:
        self.correct = 0
        self.count = 0

    def update(self, output: Array, target: Array) -> None:
        classes = target_classes(type(self).__name__, output, target)
        own = np.take_along_axis(output, classes[:, None], axis=1)
        earlier = np.arange(output.shape[1]) < classes[:, None]
        ahead = np.count_nonzero((output > own) | ((output == own) & earlier), axis=1)
        self.correct += int(np.count_nonzero((ahead < self.k) & ~np.isnan(output).any(axis=1)))
        self.count += len(classes)

    def compute(self) -> float:
        return self.correct / self.count if self.count else math.nan


class Accuracy(TopK):
    """The share of rows whose right class has the highest score: `TopK` with k = 1.

    Example:
        >>> import numpy as np
        >>> accuracy = Accuracy()
        >>> accuracy.update(np.eye(4), np.array([0, 1, 2, 0]))
        >>> accuracy.compute()
        0.75
    """

    def __init__(self) -> None:
        super().__init__(1)


class ConfusionMatrix(Metric):
    """How often class i was taken for class j.

    Args:
        num_classes: the number of classes C.

    Shape:
        compute() -> (C, C) int64: rows are right classes, columns predicted ones.

    Raises:
        ValueError: if there is no class.

    Example:
        >>> import numpy as np
        >>> matrix = ConfusionMatrix(2)
        >>> matrix.update(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1]))
        >>> matrix.compute().tolist()
        [[1, 0], [1, 0]]
    """

    sums = ("counts",)

    def __init__(self, num_classes: int) -> None:
        if num_classes < 1:
            raise ValueError(f"ConfusionMatrix: expected num_classes >= 1, got {num_classes}")
        self.num_classes = num_classes
        super().__init__()

    def reset(self) -> None:
        self.counts: list[int] = [0] * self.num_classes**2

    def update(self, output: Array, target: Array) -> None:
        classes = target_classes("ConfusionMatrix", output, target)
        if output.shape[1] != self.num_classes:
            raise ValueError(
                f"ConfusionMatrix: expected scores of {self.num_classes} classes, got shape {output.shape}"
            )
        cells = classes * self.num_classes + output.argmax(axis=1)
        added = np.bincount(cells, minlength=self.num_classes**2)
        self.counts = (np.asarray(self.counts) + added).tolist()

    def compute(self) -> npt.NDArray[np.int64]:
        return np.array(self.counts, np.int64).reshape(self.num_classes, self.num_classes)


def target_classes(owner: str, output: Array, target: Array) -> npt.NDArray[np.int64]:
    """The class of each row, from classes or from probabilities.

    Shape:
        output (N, C), target (N,) or (N, C) -> (N,)

    Raises:
        ValueError: if the shapes do not fit, or a class is out of range.
    """
    if output.ndim != 2 or target.shape not in (output.shape[:1], output.shape):
        raise ValueError(
            f"{owner}: expected scores (N, C) and targets (N,) or (N, C), got {output.shape} and {target.shape}"
        )
    classes = (target.argmax(axis=1) if target.ndim == 2 else target).astype(np.int64)
    if len(classes) and not 0 <= classes.min() <= classes.max() < output.shape[1]:
        raise ValueError(f"{owner}: expected classes from 0 to {output.shape[1] - 1}, got {classes.max()}")
    return classes
