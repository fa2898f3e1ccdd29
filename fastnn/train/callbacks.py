"""What can be hooked into a training loop: the protocol, early stopping, metric and learning-rate records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..autograd import Tensor
from .files import append_line, write_lines

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["Callback", "EarlyStopping", "LearningRateMonitor", "MetricsWriter", "StepResult"]


@dataclass(frozen=True)
class StepResult:
    """One training step.

    Attributes:
        step: its number, counted from 1 over all epochs.
        batch: its number within the epoch, counted from 1.
        loss: mean loss of the batch.
        lr: the learning rate it was made with, that of the first parameter group.
        images: rows of the batch.
    """

    step: int
    batch: int
    loss: float
    lr: float
    images: int


class Callback:
    """Base class of callbacks; every method may be left as it is, doing nothing.

    A `Trainer` calls the methods of all its callbacks in the order it was given them, those with `runs_last`
    after the others. A callback stops training by setting `trainer.should_stop`, which takes effect at the end
    of the epoch. What a callback must remember over an interruption belongs in `state_dict`, as JSON values.
    """

    runs_last = False

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first step of a `fit`, after a resumed state was loaded."""

    def on_epoch_start(self, trainer: Trainer) -> None:
        """Before the first step of an epoch, or of the rest of an interrupted one."""

    def on_step_start(self, trainer: Trainer) -> None:
        """Before the forward pass of a step."""

    def on_gradients(self, trainer: Trainer) -> None:
        """After the backward pass: the gradients may be looked at and changed, before `clip_norm` clips them."""

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        """After every step of the optimiser and the schedule."""

    def on_epoch_trained(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """After the last step of an epoch, before its evaluation; what is added to `record` joins the epoch's entry.

        The network may be changed here, for instance given averaged weights where `trainer.in_last_epoch`.
        """

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        """After an epoch and its evaluation; `record` is the epoch's entry in `trainer.history`."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch; not called when an exception ends the training."""

    def close(self) -> None:
        """At the very end of a `fit`, also after an exception: release what is held."""

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs, as JSON values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""

    def tensors(self) -> dict[str, Tensor]:
        """What resuming needs beside that, as Tensors by name."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave, if it gave anything."""


def check_mode(owner: str, mode: str) -> None:
    """Raise ValueError unless mode is "min" or "max"."""
    if mode not in ("min", "max"):
        raise ValueError(f"{owner}: expected mode 'min' or 'max', got {mode!r}")


def monitored(owner: str, record: Mapping[str, Any], name: str) -> float:
    """The entry of an epoch's record that a callback watches.

    Raises:
        ValueError: if the record has no such entry; the message lists those it has.
    """
    if name not in record:
        raise ValueError(f"{owner}: there is no {name!r} to watch, only {', '.join(record)}")
    return float(record[name])


def improved(value: float, best: float | None, mode: str, min_delta: float = 0.0) -> bool:
    """Whether `value` beats `best` by more than `min_delta`; NaN never does, anything else beats None."""
    if value != value:
        return False
    if best is None:
        return True
    return value < best - min_delta if mode == "min" else value > best + min_delta


class EarlyStopping(Callback):
    """Stops when a metric has not improved for a number of epochs, and goes back to the weights of the best one.

    Args:
        monitor: name of the metric in the epoch's record.
        mode: "max" if larger is better, "min" if smaller is.
        patience: epochs without improvement after which training stops, >= 1.
        min_delta: the least change that counts as an improvement.
        restore_best: at the end of the training give the network the parameters and buffers of the best epoch, whether
            it was stopped or not. The optimiser stays as it is.

    Raises:
        ValueError: for another mode, patience below 1, or while training, a metric that is not recorded.
    """

    def __init__(
        self,
        monitor: str = "test_accuracy",
        mode: Literal["min", "max"] = "max",
        patience: int = 5,
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        check_mode("EarlyStopping", mode)
        if patience < 1:
            raise ValueError(f"EarlyStopping: expected patience >= 1, got {patience}")
        self.monitor, self.mode, self.patience, self.min_delta = monitor, mode, patience, min_delta
        self.restore_best = restore_best
        self.best: float | None = None
        self.bad_epochs = 0
        self._weights: dict[str, Tensor] = {}

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        if trainer.evaluation_skipped:
            return
        value = monitored("EarlyStopping", record, self.monitor)
        if improved(value, self.best, self.mode, self.min_delta):
            self.best, self.bad_epochs = value, 0
            if self.restore_best:
                self._weights = {name: Tensor(t.data.copy()) for name, t in trainer.model.state_dict().items()}
            return
        self.bad_epochs += 1
        if self.bad_epochs >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "bad_epochs": self.bad_epochs}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.bad_epochs = state["best"], state["bad_epochs"]

    def on_fit_end(self, trainer: Trainer) -> None:
        if self._weights:
            trainer.model.load_state_dict(self._weights)

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._weights)

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        self._weights = {name: Tensor(tensor.data.copy()) for name, tensor in tensors.items()}


class MetricsWriter(Callback):
    """Writes the record of every epoch as a line of JSON, which is on the disk when the next epoch begins.

    When training starts the file is brought in line with the trainer's history: emptied for a new run, and for a
    resumed one exactly the epochs before the checkpoint, whatever the interrupted run had written after it.

    Args:
        path: the file, by convention `metrics.jsonl`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def on_fit_start(self, trainer: Trainer) -> None:
        write_lines(self.path, trainer.history)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        append_line(self.path, record)


class LearningRateMonitor(Callback):
    """Keeps the learning rate, the momentum and the loss of every n-th step, for plots.

    Args:
        every: n.

    Attributes:
        steps: numbers of the steps kept, from 1.
        rates: their learning rates.
        losses: their losses.
        momenta: their momenta, or β₁; empty for a method that has neither.

    Raises:
        ValueError: if n is less than 1.
    """

    def __init__(self, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"LearningRateMonitor: expected every >= 1, got {every}")
        self.every = every
        self.steps: list[int] = []
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.momenta: list[float] = []

    def on_step_start(self, trainer: Trainer) -> None:
        # Here rather than after the step, when a schedule has changed it already.
        group = trainer.optimizer.param_groups[0]
        momentum = group.get("momentum", group.get("betas", (None,))[0])
        if momentum is not None and trainer.step % self.every == 0:
            self.momenta.append(float(momentum))

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        if (result.step - 1) % self.every == 0:
            self.steps.append(result.step)
            self.rates.append(result.lr)
            self.losses.append(result.loss)

    def state_dict(self) -> dict[str, Any]:
        names = ("steps", "rates", "losses", "momenta")
        return {name: list(getattr(self, name)) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps, self.rates, self.losses = (list(state[key]) for key in ("steps", "rates", "losses"))
        self.momenta = list(state.get("momenta", ()))
