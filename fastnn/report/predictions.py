"""What a network of a run says of its test images: the predictions, and the images worth looking at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..evaluation import Calibration, Confusion, calibration, confusion, fit_temperature, wilson_interval
from ..train.plots import softmax

if TYPE_CHECKING:
    from ..data.catalogue import ImageDataset

__all__ = ["Example", "Predictions", "Temperature", "examples"]

_SHOWN = 24
_KEPT_OUT: dict[str, Any] = {"json": False}


@dataclass(frozen=True)
class Example:
    """An image and what was said of it.

    Attributes:
        row: its place among the test images.
        label: the right class.
        predicted: the class that the network gives it.
        probability: how likely the network finds that.
        label_probability: how likely it finds the right class.
        image: (H, W, C).
    """

    row: int
    label: int
    predicted: int
    probability: float
    label_probability: float
    image: npt.NDArray[np.uint8] = field(metadata=_KEPT_OUT)


@dataclass(frozen=True)
class Temperature:
    """What dividing the outputs by a temperature does to their calibration.

    Attributes:
        value: the temperature fitted to all test images.
        after: the calibration, where each half of the test images is divided by the temperature fitted to the other.
    """

    value: float
    after: Calibration


@dataclass(frozen=True)
class Predictions:
    """The network of a run on its test images.

    Attributes:
        checkpoint: whose weights it has, "last" or "best".
        images: how many.
        accuracy: the share of right predictions.
        interval: the ends of its 95 % confidence interval, Wilson's.
        best_accuracy, best_interval: those of the checkpoint `best`; None without one.
        confusion: what is taken for what.
        calibration: whether probabilities are right.
        temperature: what a temperature would change; None without SciPy, or with too few mistakes to fit one.
        mistakes: images that it gets wrong, those it is surest of first.
        surest: images that it gets right, the surest first.
        uncertain: images whose likeliest class is least likely, right or wrong.
        labels: the right classes, (N,).
        scores: outputs, (N, C).
    """

    checkpoint: str
    images: int
    accuracy: float
    interval: tuple[float, float]
    best_accuracy: float | None
    best_interval: tuple[float, float] | None
    confusion: Confusion
    calibration: Calibration
    temperature: Temperature | None
    mistakes: list[Example]
    surest: list[Example]
    uncertain: list[Example]
    labels: npt.NDArray[np.int64] = field(metadata=_KEPT_OUT)
    scores: npt.NDArray[Any] = field(metadata=_KEPT_OUT)

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        """The class that each image is given."""
        classes: npt.NDArray[np.int64] = self.scores.argmax(axis=1)
        return classes

    @classmethod
    def of(
        cls,
        scores: npt.NDArray[Any],
        dataset: ImageDataset,
        checkpoint: str = "last",
        best: npt.NDArray[Any] | None = None,
    ) -> Predictions:
        """Describe outputs.

        Args:
            scores: outputs before softmax, row by row.
            dataset: the images and their labels.
            checkpoint: whose outputs they are.
            best: the outputs of the checkpoint `best`.

        Shape:
            scores (len(dataset), C), best likewise
        """
        labels = np.asarray(dataset.labels).astype(np.int64)
        right = int(np.count_nonzero(scores.argmax(axis=1) == labels))
        best_right = None if best is None else int(np.count_nonzero(best.argmax(axis=1) == labels))
        probabilities = softmax(scores)
        sure = probabilities.max(axis=1)
        wrong = scores.argmax(axis=1) != labels

        def show(rows: npt.NDArray[np.int64], order: npt.NDArray[Any], limit: int = _SHOWN) -> list[Example]:
            return examples(rows[np.argsort(order[rows], kind="stable")][:limit], dataset, probabilities)

        rows = np.arange(len(labels))
        return cls(
            checkpoint=checkpoint,
            images=len(labels),
            accuracy=right / len(labels),
            interval=wilson_interval(right, len(labels)),
            best_accuracy=None if best_right is None else best_right / len(labels),
            best_interval=None if best_right is None else wilson_interval(best_right, len(labels)),
            confusion=confusion(scores, labels, dataset.classes),
            calibration=calibration(probabilities, labels),
            temperature=_temperature(scores, labels),
            mistakes=show(rows[wrong], -sure),
            surest=show(rows[~wrong], -sure, _SHOWN // 2),
            uncertain=show(rows, sure, _SHOWN // 2),
            labels=labels,
            scores=scores,
        )


def examples(
    rows: Sequence[int] | npt.NDArray[np.int64], dataset: ImageDataset, probabilities: npt.NDArray[Any]
) -> list[Example]:
    """Test images with what was said of them, in the order of `rows`."""
    predicted, labels = probabilities.argmax(axis=1), np.asarray(dataset.labels)
    return [
        Example(
            row=int(row),
            label=int(labels[row]),
            predicted=int(predicted[row]),
            probability=float(probabilities[row].max()),
            label_probability=float(probabilities[row, labels[row]]),
            image=dataset[int(row)][0],
        )
        for row in rows
    ]


def _temperature(scores: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Temperature | None:
    """Each half gets the temperature of the other, so that no image is judged by what was fitted to it.

    None without SciPy, and where a half has no mistake: its cross-entropy only falls as the temperature goes to 0.
    """
    halves = slice(0, None, 2), slice(1, None, 2)
    wrong = scores.argmax(axis=1) != labels
    if not all(wrong[half].any() for half in halves):
        return None
    try:
        value = fit_temperature(scores, labels)
    except ImportError:
        return None
    divided = np.empty(scores.shape, np.float64)
    for fitted, judged in (halves, halves[::-1]):
        divided[judged] = scores[judged] / fit_temperature(scores[fitted], labels[fitted])
    return Temperature(value, calibration(softmax(divided), labels))
