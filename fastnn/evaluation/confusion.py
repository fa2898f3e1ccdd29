"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..report import Report
from ..train.metrics import ConfusionMatrix

__all__ = ["Confusion", "confusion"]


@dataclass(frozen=True)
class Confusion(Report):
    """What `confusion` found.

    Attributes:
        counts: (C, C): rows are right classes, columns predicted ones.
        classes: names.
        accuracy: the share on the diagonal.
        balanced_accuracy: the mean of the recalls of classes that occur.
        precision: for each class, the share of its predictions that are right; NaN if it was never predicted.
        recall: for each class, the share of its rows that were found; NaN if it does not occur.
        f1: `2 precision recall / (precision + recall)`, that is `2 TP / (2 TP + FP + FN)`; NaN if neither.
    """

    size: ClassVar[tuple[float, float]] = (6.6, 5.8)

    counts: npt.NDArray[np.int64]
    classes: list[str]
    accuracy: float
    balanced_accuracy: float
    precision: list[float]
    recall: list[float]
    f1: list[float]

    def draw(self, figure: Any) -> None:
        """The shares of each row by colour, the counts as numbers."""
        axes = figure.subplots()
        shares = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        figure.colorbar(axes.imshow(shares, cmap="Blues", vmin=0, vmax=1), label="share of the row")
        places = range(len(self.classes))
        axes.set_xticks(places, self.classes, rotation=60, fontsize=8)
        axes.set_yticks(places, self.classes, fontsize=8)
        if len(self.classes) <= 20:
            for i, j in zip(*np.nonzero(self.counts), strict=True):
                colour = "white" if shares[i, j] > 0.5 else "black"
                axes.text(j, i, str(self.counts[i, j]), ha="center", va="center", fontsize=7, color=colour)
        axes.set(xlabel="predicted", ylabel="right", title=f"accuracy {100 * self.accuracy:.2f} %")


def confusion(scores: npt.ArrayLike, labels: npt.ArrayLike, classes: Sequence[str] | None = None) -> Confusion:
    """Count the predictions of each class for each class, and derive precision and recall.

    Args:
        scores: a score for each class; the highest is the prediction, the first of equal ones.
        labels: the right classes.
        classes: names; by default the numbers.

    Shape:
        scores (N, C), labels (N,)

    Raises:
        ValueError: if shapes or numbers of classes do not fit.

    Example:
        >>> found = confusion([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [0, 1, 1])
        >>> found.counts.tolist(), found.recall
        ([[1, 0], [1, 1]], [1.0, 0.5])
    """
    outputs, targets = np.asarray(scores), np.asarray(labels)
    if outputs.ndim != 2 or (classes is not None and len(classes) != outputs.shape[1]):
        raise ValueError(f"confusion: expected scores (N, C) and C names, got {outputs.shape} and {classes!r}")
    matrix = ConfusionMatrix(outputs.shape[1])
    matrix.update(outputs, targets)
    counts = matrix.compute()
    right, rows, columns = np.diag(counts).astype(np.float64), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall, f1 = right / columns, right / rows, 2 * right / (rows + columns)
    names = [str(i) for i in range(len(counts))] if classes is None else list(classes)
    occurring = recall[rows > 0]
    return Confusion(
        counts,
        names,
        float(right.sum() / max(counts.sum(), 1)),
        float(occurring.mean()) if len(occurring) else float("nan"),
        precision.tolist(),
        recall.tolist(),
        f1.tolist(),
    )
