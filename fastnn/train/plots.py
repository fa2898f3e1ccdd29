"""Pictures of a run: learning curves, and a contact sheet of mistakes. They need matplotlib, the extra `plot`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..report import new_figure, save_figure
from ..report.style import literal
from .callbacks import Callback, LearningRateMonitor
from .curves import RunCurves, TrainingCurves
from .evaluation import Batches, predict

if TYPE_CHECKING:
    from ..data.catalogue import ImageDataset
    from .trainer import Trainer

__all__ = ["CURVES_FILE", "MISTAKES_FILE", "Plots", "plot_curves", "plot_mistakes"]

CURVES_FILE, MISTAKES_FILE = "curves.png", "mistakes.png"
_COLUMNS = 8


class Plots(Callback):
    """Draws `curves.png` and `mistakes.png` when training ends; without matplotlib it says so in one line.

    Args:
        folder: where to.
        dataset: the test images.
        loader: its rows in order, as the network wants them.
        rates: what the curve of the learning rate is drawn from; None draws that of each epoch.
        train_loss: what to call the training loss, if it is another one than the test loss.
    """

    def __init__(
        self,
        folder: str | Path,
        dataset: ImageDataset,
        loader: Batches,
        rates: LearningRateMonitor | None = None,
        train_loss: str = "train",
    ) -> None:
        self.folder = Path(folder)
        self.dataset, self.loader, self.rates, self.train_loss = dataset, loader, rates, train_loss
        self.notice: str | None = None

    def on_fit_end(self, trainer: Trainer) -> None:
        if not trainer.history:
            return
        try:
            plot_curves(self.folder / CURVES_FILE, trainer.history, self.rates, self.train_loss)
            scores = predict(trainer.model, self.loader)
            plot_mistakes(self.folder / MISTAKES_FILE, self.dataset, scores)
        except ImportError as error:
            self.notice = f"{CURVES_FILE} and {MISTAKES_FILE} were left out: {error}"


def plot_curves(
    path: str | Path,
    history: Sequence[Mapping[str, Any]],
    rates: LearningRateMonitor | None = None,
    train_loss: str = "train",
) -> None:
    """Draw loss, accuracy and learning rate of a training as PNG.

    Args:
        path: the file.
        history: records of epochs, as `Trainer.history` has them.
        rates: learning rates by step; by default those of the records.
        train_loss: what to call the training loss, if it is another one than the test loss.

    Raises:
        ImportError: without matplotlib.
        OSError: if the file cannot be written.
    """
    trace = rates.state_dict() if rates is not None else None
    TrainingCurves([RunCurves.of(history, trace, train_loss=train_loss)]).plot(path)


def plot_mistakes(
    path: str | Path, dataset: ImageDataset, scores: npt.NDArray[Any], limit: int = 40
) -> npt.NDArray[np.int64]:
    """Draw the images that a network gets wrong, those it is surest of first, as PNG.

    Each has a title "right class → predicted class" and the probability of the latter.

    Args:
        path: the file.
        dataset: the images and their labels.
        scores: the network's outputs before softmax, row by row.
        limit: the largest number of images.

    Shape:
        scores (len(dataset), C)

    Returns:
        The rows drawn.

    Raises:
        ImportError: without matplotlib.
        ValueError: if `scores` has another number of rows than the dataset.
        OSError: if the file cannot be written.
    """
    if len(scores) != len(dataset):
        raise ValueError(f"plot_mistakes: expected scores of {len(dataset)} rows, got shape {scores.shape}")
    labels = np.asarray(dataset.labels)
    predicted = scores.argmax(axis=1)
    probabilities = softmax(scores)[np.arange(len(scores)), predicted]
    wrong = np.flatnonzero(predicted != labels)
    shown = wrong[np.argsort(-probabilities[wrong], kind="stable")][:limit]
    columns = min(max(len(shown), 4), _COLUMNS)
    rows = max(math.ceil(len(shown) / columns), 1)
    figure = new_figure(1.45 * columns, 1.75 * rows + 0.55)
    share = 1 - len(wrong) / max(len(labels), 1)
    more = f", the {len(shown)} surest" if len(shown) < len(wrong) else ""
    figure.suptitle(f"{len(wrong)} mistakes in {len(labels)} test images ({100 * share:.2f} % right){more}")
    for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if place < len(shown):
            row = int(shown[place])
            _draw(axes, dataset[row][0])
            names = [_short(dataset.classes[int(each)]) for each in (labels[row], predicted[row])]
            axes.set_title(f"{names[0]} → {names[1]}\n{100 * probabilities[row]:.0f} %", fontsize=8)
    save_figure(figure, path)
    return shown


def softmax(scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Probabilities of the classes: `exp(s) / Σ exp(s)` per row, (N, C) -> (N, C)."""
    shifted = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def _draw(axes: Any, image: npt.NDArray[np.uint8]) -> None:
    """One image, uint8 (H, W, C), grey or in colour, pixel by pixel."""
    if image.shape[2] == 1:
        axes.imshow(image[:, :, 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.imshow(image, interpolation="nearest")


def _short(name: str) -> str:
    return literal(name if len(name) <= 10 else name[:9] + "…")
