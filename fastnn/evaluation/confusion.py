"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..report import Report
from ..report.style import literal
from ..train.metrics import ConfusionMatrix

__all__ = ["Confusion", "confusion"]

_NUMBERED = 20
_LONGEST_NAME = 20


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

    def most_confused(self, limit: int = 10) -> list[tuple[int, int, int]]:
        """The commonest mistakes as (right class, predicted class, times), the commonest first.

        Args:
            limit: at most so many.
        """
        wrong = self.counts * (1 - np.eye(len(self.counts), dtype=np.int64))
        cells = np.argsort(-wrong, axis=None, kind="stable")[:limit]
        found = [(*divmod(int(cell), len(wrong)), int(wrong.flat[cell])) for cell in cells]
        return [(right, predicted, times) for right, predicted, times in found if times]

    def draw(self, figure: Any) -> None:
        """The share of its row by colour, and in per cent as a number, for up to 20 classes."""
        from matplotlib.colors import LinearSegmentedColormap

        axes = figure.subplots()
        shares = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        # From transparent to full, so that the picture suits a light and a dark ground.
        ramp = LinearSegmentedColormap.from_list("shares", [(0.0, 0.45, 0.7, 0.0), (0.0, 0.45, 0.7, 1.0)])
        figure.colorbar(axes.imshow(shares, cmap=ramp, vmin=0, vmax=1), label="share of the row", shrink=0.8)
        places, few = range(len(self.classes)), len(self.classes) <= _NUMBERED
        names = [literal(_short(name)) for name in self.classes]
        size = 8 if few else max(2.5, 250 / len(self.classes))
        turned = (
            {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names), default=0) > 3 else {}
        )
        axes.set_xticks(places, names, fontsize=size, **turned)
        axes.set_yticks(places, names, fontsize=size)
        for i, j in zip(*np.nonzero(self.counts), strict=True) if few else ():
            colour = {"color": "white"} if shares[i, j] > 0.7 else {}
            axes.text(j, i, _percent(shares[i, j]), ha="center", va="center", fontsize=7, **colour)
        axes.grid(False)
        axes.set(
            xlabel="predicted", ylabel="right", title=f"Per cent of each class (accuracy {100 * self.accuracy:.2f} %)"
        )


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if 0.001 <= share < 0.9995 else f"{100 * share:.0f}"


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
