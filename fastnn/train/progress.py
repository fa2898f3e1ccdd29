"""What a training run shows: a progress bar on a terminal, a line per epoch anywhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sized
from typing import TYPE_CHECKING, Any, TextIO

from .callbacks import Callback, StepResult

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["Progress"]


class Progress(Callback):
    """A tqdm bar over the steps of an epoch on a terminal, and a line at the end of each epoch.

    Where the bar's stream is no terminal, as in a log file, the lines alone are written.

    Args:
        quiet: write nothing at all.
        out: where the lines go, by default `sys.stdout` at the time.
        bar: where the bar goes, by default `sys.stderr` at the time.
    """

    def __init__(self, quiet: bool = False, out: TextIO | None = None, bar: TextIO | None = None) -> None:
        self.quiet = quiet
        self._out, self._stream = out, bar
        self._bar: Any = None

    def on_epoch_start(self, trainer: Trainer) -> None:
        stream = sys.stderr if self._stream is None else self._stream
        if self.quiet or not stream.isatty():
            return
        from tqdm import tqdm

        total = len(trainer.train_loader) if isinstance(trainer.train_loader, Sized) else None
        name = f"epoch {trainer.epoch + 1}/{trainer.epochs}"
        self._bar = tqdm(total=total, desc=name, unit="batch", leave=False, file=stream, dynamic_ncols=True)

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        if self._bar is None:
            return
        if self._bar.n + 1 < result.batch:  # the rest of an interrupted epoch
            self._bar.update(result.batch - 1 - self._bar.n)
        self._bar.set_postfix(loss=f"{result.loss:.3f}", lr=f"{result.lr:.2g}", refresh=False)
        self._bar.update()

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        self.close()
        if not self.quiet:
            print(epoch_line(record, trainer.epochs), file=self._out or sys.stdout, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def epoch_line(record: Mapping[str, Any], epochs: int) -> str:
    """The record of an epoch in one line of columns.

    Example:
        >>> epoch_line({"epoch": 2, "train_loss": 0.25, "train_accuracy": 0.9, "lr": 0.1,
        ...             "images_per_second": 5000.0}, 10)
        'epoch  2/10  train loss 0.2500 accuracy 90.00 %  lr 0.1  5,000 images/s'
    """
    width = len(str(epochs))
    parts = [f"epoch {record['epoch']:{width}d}/{epochs}"]
    for name in ("train", "test"):
        if f"{name}_loss" in record:
            text = f"{name} loss {record[f'{name}_loss']:.4f}"
            if f"{name}_accuracy" in record:
                text += f" accuracy {100 * record[f'{name}_accuracy']:5.2f} %"
            parts.append(text)
    parts += [f"lr {record['lr']:.3g}", f"{record['images_per_second']:,.0f} images/s"]
    return "  ".join(parts)
