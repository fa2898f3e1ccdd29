"""The training loop: epochs of steps, evaluation after each, callbacks, and a state to resume from exactly."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence, Sized
from contextlib import closing, nullcontext
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy.typing as npt

from ..autograd import Tensor, autocast
from ..nn import Module
from ..optim import Optimizer, clip_grad_norm_
from ..optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from ..random import Generator, default_generator
from .callbacks import Callback, StepResult
from .config import extent_of
from .evaluation import Batches, Loss, evaluate, predict
from .metrics import Accuracy, Mean, Metric
from .phases import PhaseClock

__all__ = ["DivergedError", "Trainer"]


class DivergedError(ArithmeticError):
    """The loss became infinite or NaN: the learning rate is too high, or an input is not finite."""


class _Pass(NamedTuple):
    """One batch through the network."""

    output: npt.NDArray[Any]
    target: npt.NDArray[Any]
    loss: float


class Trainer:
    """Trains a network on mini-batches, evaluates it after every epoch, and can stop and go on anywhere.

    One step is `zero_grad`, forward, loss, `backward`, clipping where asked for, `optimizer.step` and, for a
    schedule by steps, `scheduler.step`. A run that is resumed from a state, taken at the end of any step, ends with
    the same bits as one that was never interrupted, if loaders and arguments are the same.

    Args:
        model: the network.
        optimizer: an optimiser of its parameters.
        loss: maps (output, target) to a mean over the batch.
        scheduler: a learning-rate schedule, or None.
        callbacks: called in this order, see `Callback`.
        schedule_every: whether the schedule's unit is a "step" or an "epoch". `ReduceLROnPlateau` always goes by
            epochs, and watches the test loss, or the training loss without a test loader.
        metrics: metrics by name, gathered in training and in evaluation; by default `{"accuracy": Accuracy()}`.
        eval_loss: the loss of the evaluation; by default `loss`. Use it to train with label smoothing and
            evaluate without.
        clip_norm: the largest norm of the gradients, see `clip_grad_norm_`; None does not clip.
        accumulate: batches of the loader whose gradients are added up for one step, each weighted by its share of
            their rows: the gradient is that of all their rows at once.
        autocast: whether training steps run under `fastnn.autocast`; evaluation computes in float32.
        evaluate_every: epochs from one evaluation to the next; after the last epoch there always is one.

    Attributes:
        epoch: epochs completed.
        epochs: epochs in all, the last of which may be a part of one, once `fit` runs.
        step: steps completed, over all epochs.
        history: one record per completed epoch: "epoch", "step", "lr", "train_loss", "train_<metric>",
            "test_loss", "test_<metric>", "images", "images_per_second" and "seconds" (both of training steps
            alone), of these "data_seconds" (waiting for the loader), "forward_seconds" (with the loss),
            "backward_seconds" and "optimizer_seconds" (with clipping and schedule); "eval_seconds".
        should_stop: set to True to end training after the present epoch.
        evaluation_skipped: whether the last completed epoch was one without evaluation.

    Raises:
        ValueError: if `schedule_every`, `clip_norm`, `accumulate` or `evaluate_every` is impossible.

    Example:
        >>> from fastnn import data, models, nn, optim
        >>> train, test = data.load("digits")
        >>> model = models.create("mlp", 10, 1, 8)
        >>> trainer = Trainer(model, optim.Adam(model.parameters()), nn.CrossEntropyLoss())
        >>> history = trainer.fit(data.DataLoader(train, 64, shuffle=True), data.DataLoader(test, 200), epochs=1)
        >>> history[0]["step"], trainer.epoch
        (23, 1)
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Loss,
        scheduler: LRScheduler | None = None,
        callbacks: Sequence[Callback] = (),
        *,
        schedule_every: Literal["step", "epoch"] = "epoch",
        metrics: Mapping[str, Metric] | None = None,
        eval_loss: Loss | None = None,
        clip_norm: float | None = None,
        accumulate: int = 1,
        autocast: bool = False,
        evaluate_every: int = 1,
    ) -> None:
        if schedule_every not in ("step", "epoch"):
            raise ValueError(f"Trainer: expected schedule_every 'step' or 'epoch', got {schedule_every!r}")
        if clip_norm is not None and not clip_norm > 0:
            raise ValueError(f"Trainer: expected clip_norm > 0 or None, got {clip_norm!r}")
        for name, value in (("accumulate", accumulate), ("evaluate_every", evaluate_every)):
            if value < 1:
                raise ValueError(f"Trainer: expected {name} >= 1, got {value!r}")
        self.model, self.optimizer, self.loss, self.scheduler = model, optimizer, loss, scheduler
        self.callbacks = sorted(callbacks, key=lambda callback: callback.runs_last)
        self.schedule_every = schedule_every
        self.eval_loss = loss if eval_loss is None else eval_loss
        self.clip_norm, self.accumulate = clip_norm, accumulate
        self.autocast, self.evaluate_every = autocast, evaluate_every
        self.epoch = 0
        self.epochs = 0
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.should_stop = False
        self.evaluation_skipped = False
        self._steps: float = math.inf
        self.train_loader: Batches = ()
        self.test_loader: Batches | None = None
        self._loader_state: Mapping[str, Any] | None = None
        self._train_metrics = dict(metrics) if metrics is not None else {"accuracy": Accuracy()}
        self._test_metrics = copy.deepcopy(self._train_metrics)
        self._begin_epoch_sums()

    # Training

    def fit(self, train_loader: Batches, test_loader: Batches | None = None, epochs: float = 1) -> list[dict[str, Any]]:
        """Train until `epochs` epochs are done in all, those before a resumed state included.

        Of 9.9 epochs the last one ends after 9.9 times the steps of an epoch, rounded, with an evaluation like any
        other.

        Args:
            train_loader: yields (x, y). If it has `set_epoch`, `state_dict` and `load_state_dict`, as
                `fastnn.data.DataLoader` does, training can be resumed in the middle of an epoch.
            test_loader: what to evaluate on after each epoch, or None.
            epochs: the number of epochs; a fraction needs a loader with a length.

        Returns:
            `history`.

        Raises:
            ValueError: if `epochs` is negative or the training loader is empty.
            DivergedError: if the loss stops being finite.
        """
        if not 0 <= epochs < math.inf:
            raise ValueError(f"Trainer.fit: expected epochs >= 0, got {epochs}")
        self.train_loader, self.test_loader = train_loader, test_loader
        batches = len(train_loader) if isinstance(train_loader, Sized) else None
        self.epochs, self._steps = extent_of(epochs, batches, self.accumulate)
        if self._loader_state is not None and hasattr(train_loader, "load_state_dict"):
            train_loader.load_state_dict(self._loader_state)
        self._loader_state = None
        try:
            for callback in self.callbacks:
                callback.on_fit_start(self)
            while self.epoch < self.epochs and not self.should_stop:
                self._run_epoch()
            for callback in self.callbacks:
                callback.on_fit_end(self)
        finally:
            for callback in self.callbacks:
                callback.close()
        return self.history

    @property
    def in_last_epoch(self) -> bool:
        """Whether the present epoch is the last one of the training."""
        return self.epoch + 1 >= self.epochs

    def _run_epoch(self) -> None:
        """Train on what is left of the present epoch, evaluate, and let the callbacks know."""
        if hasattr(self.train_loader, "set_epoch"):
            self.train_loader.set_epoch(self.epoch)
        for callback in self.callbacks:
            callback.on_epoch_start(self)
        self.model.train()
        self._train_batches()
        if not self._batch:
            raise ValueError("Trainer.fit: the training loader yields no batches")
        record = self._finish_epoch()
        self.epoch += 1
        self.history.append(record)
        self._begin_epoch_sums()
        for callback in self.callbacks:
            callback.on_epoch_end(self, record)

    def _train_batches(self) -> None:
        iterator: Any = iter(self.train_loader)
        # A generator is closed at once, not when it is collected, so that an error leaves no thread behind.
        with closing(iterator) if hasattr(iterator, "close") else nullcontext():
            start = time.perf_counter()
            self._clock.begin()
            while self.step < self._steps and (batches := list(islice(iterator, self.accumulate))):
                self._clock.count("data")
                lr = self.lr
                passes = self._train_step(batches)
                self._seconds += time.perf_counter() - start
                self._note(passes, lr)
                start = time.perf_counter()
                self._clock.begin()

    def _train_step(self, batches: Sequence[tuple[Tensor, ...]]) -> list[_Pass]:
        """One step of the optimiser; returns what the network gave for each batch before it."""
        for callback in self.callbacks:
            callback.on_step_start(self)
        self._clock.begin()
        self.optimizer.zero_grad()
        self._clock.count("optimizer")
        passes = []
        rows = sum(len(y.data) for _, y in batches)
        for x, y in batches:
            with autocast() if self.autocast else nullcontext():
                output = self.model(x)
                loss = self.loss(output, y)
            value = float(loss.item())
            if not math.isfinite(value):
                raise DivergedError(
                    f"training diverged: the loss is {value} at step {self.step + 1} (epoch {self.epoch + 1}, "
                    f"learning rate {self.lr:g}); a lower learning rate may help, "
                    "fastnn.diagnose.trace_nonfinite finds the operation it came from"
                )
            self._clock.count("forward")
            (loss if len(batches) == 1 else loss * (len(y.data) / rows)).backward()
            self._clock.count("backward")
            passes.append(_Pass(output.data, y.data, value))
        for callback in self.callbacks:
            callback.on_gradients(self)
        self._clock.begin()
        if self.clip_norm is not None:
            clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step()
        if self.scheduler is not None and self._steps_schedule:
            self.scheduler.step()
        self._clock.count("optimizer")
        return passes

    def _note(self, passes: Sequence[_Pass], lr: float) -> None:
        """Add a step to the sums of the epoch and tell the callbacks."""
        self.step += 1
        self._batch += len(passes)
        self._last_lr = lr
        mean = Mean()
        for each in passes:
            mean.add(each.loss, len(each.output))
            self._mean.add(each.loss, len(each.output))
            for metric in self._train_metrics.values():
                metric.update(each.output, each.target)
        loss = passes[0].loss if len(passes) == 1 else mean.value
        result = StepResult(self.step, self._batch, loss, lr, int(mean.weight))
        for callback in self.callbacks:
            callback.on_step_end(self, result)

    def _finish_epoch(self) -> dict[str, Any]:
        """The record of the epoch: its sums and the evaluation, if due; the schedule by epochs goes on."""
        record = {"epoch": self.epoch + 1, "step": self.step, "lr": self._last_lr, "train_loss": self._mean.value}
        record |= {f"train_{name}": metric.compute() for name, metric in self._train_metrics.items()}
        start = time.perf_counter()
        for callback in self.callbacks:
            callback.on_epoch_trained(self, record)
        self.evaluation_skipped = (self.epoch + 1) % self.evaluate_every != 0 and not self.in_last_epoch
        if self.test_loader is not None and not self.evaluation_skipped:
            result = self.evaluate(self.test_loader)
            record |= {f"test_{name}": value for name, value in result.items()}
        evaluated = time.perf_counter() - start
        if isinstance(self.scheduler, ReduceLROnPlateau):
            if not self.evaluation_skipped:
                self.scheduler.step(record.get("test_loss", record["train_loss"]))
        elif self.scheduler is not None and not self._steps_schedule:
            self.scheduler.step()
        record["images"] = self._mean.weight
        record["images_per_second"] = self._mean.weight / self._seconds if self._seconds else math.nan
        return record | {"seconds": self._seconds, **self._clock.record(), "eval_seconds": evaluated}

    @property
    def _steps_schedule(self) -> bool:
        return self.schedule_every == "step" and not isinstance(self.scheduler, ReduceLROnPlateau)

    def _begin_epoch_sums(self) -> None:
        self._batch = 0
        self._seconds = 0.0
        self._clock = PhaseClock()
        self._last_lr = 0.0
        self._mean = Mean()
        for metric in self._train_metrics.values():
            metric.reset()

    @property
    def lr(self) -> float:
        """The present learning rate of the first parameter group."""
        lr = self.optimizer.param_groups[0]["lr"]
        return float(lr(self.optimizer.step_count) if callable(lr) else lr)

    # Without training

    def evaluate(self, loader: Batches, metrics: Mapping[str, Metric] | None = None) -> dict[str, Any]:
        """Loss and metrics over a loader, see `fastnn.train.evaluate`; by default the trainer's metrics."""
        return evaluate(self.model, loader, self.eval_loss, self._test_metrics if metrics is None else metrics)

    def predict(self, inputs: Tensor | Batches) -> npt.NDArray[Any]:
        """The outputs for one batch or all batches of a loader, see `fastnn.train.predict`."""
        return predict(self.model, inputs)

    # State

    def state_dict(self) -> dict[str, Any]:
        """All that resuming needs.

        Returns:
            "model" and "optimizer": their state dicts, whose Tensors share memory with them; "callbacks": the Tensors
            that callbacks keep, by callback, if they keep any; "training": a dict of JSON values: counters, sums of
            the present epoch, history, names of frozen parameters, and the states of schedule, random generators,
            loader and callbacks.
            Wall-clock times are in "training" alone.
        """
        loader = self.train_loader
        training = {
            "epoch": self.epoch,
            "step": self.step,
            "stopped": self.should_stop,
            "history": list(self.history),
            "frozen": [name for name, parameter in self.model.named_parameters() if not parameter.requires_grad],
            "present_epoch": {
                "batch": self._batch,
                "seconds": self._seconds,
                "phases": dict(self._clock.seconds),
                "lr": self._last_lr,
                "loss": self._mean.state_dict(),
                "metrics": {name: metric.state_dict() for name, metric in self._train_metrics.items()},
            },
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "generators": {name: list(each.get_state()) for name, each in self._generators().items()},
            "loader": loader.state_dict() if hasattr(loader, "state_dict") else self._loader_state,
            "callbacks": {name: callback.state_dict() for name, callback in self._named_callbacks().items()},
        }
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "training": training}
        kept = {name: callback.tensors() for name, callback in self._named_callbacks().items()}
        kept = {name: tensors for name, tensors in kept.items() if tensors}
        return {**state, "callbacks": kept} if kept else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the next `fit` continues after the step at which it was taken.

        Callbacks that the state does not know keep what they have.

        Raises:
            ValueError: if model, optimiser or metrics are not those of the state.
        """
        training = state["training"]
        present = training["present_epoch"]
        if set(present["metrics"]) != set(self._train_metrics):
            raise ValueError(
                f"Trainer.load_state_dict: expected the metrics {sorted(self._train_metrics)}, "
                f"got {sorted(present['metrics'])}"
            )
        if (training["scheduler"] is None) != (self.scheduler is None):
            raise ValueError("Trainer.load_state_dict: either the state or the trainer has no schedule")
        self.model.load_state_dict(state["model"])
        if "frozen" in training:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(name not in training["frozen"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(training["scheduler"])
        for name, generator in self._generators().items():
            if name in training["generators"]:
                seed, counter = training["generators"][name]
                generator.set_state((seed, counter))
        for name, callback in self._named_callbacks().items():
            if name in training["callbacks"]:
                callback.load_state_dict(training["callbacks"][name])
            if name in state.get("callbacks", ()):
                callback.load_tensors(state["callbacks"][name])
        for name, metric in self._train_metrics.items():
            metric.load_state_dict(present["metrics"][name])
        self._mean.load_state_dict(present["loss"])
        self._batch, self._seconds = int(present["batch"]), float(present["seconds"])
        self._clock.load(present.get("phases", {}))
        self._last_lr = float(present["lr"])
        self.epoch, self.step = int(training["epoch"]), int(training["step"])
        self.should_stop = bool(training["stopped"])
        self.history = [dict(record) for record in training["history"]]
        self._loader_state = training["loader"]

    def _generators(self) -> dict[str, Generator]:
        """The default generator, and those that modules such as Dropout were given."""
        found = {"default": default_generator}
        for path, module in self.model.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Generator) and value is not default_generator:
                    found[f"model.{path}.{name}"] = value
        return found

    def _named_callbacks(self) -> dict[str, Callback]:
        """Callbacks by class name; further ones of a class are numbered."""
        named: dict[str, Callback] = {}
        for callback in self.callbacks:
            kind = type(callback).__name__
            count = sum(name.split("#")[0] == kind for name in named)
            named[f"{kind}#{count + 1}" if count else kind] = callback
        return named
