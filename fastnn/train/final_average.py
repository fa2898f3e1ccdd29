"""Averages of the weights of a run that are what it ends with: exponential, stochastic weight averaging, lookahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from ..optim import lerp_
from .averaging import AveragedModel, update_bn
from .callbacks import Callback, StepResult

if TYPE_CHECKING:
    from ..nn import Module
    from .trainer import Trainer

__all__ = ["FinalAverage", "LookaheadAverage"]


class FinalAverage(Callback):
    """Averages weights, and gives the average to the network after the last step, before the last evaluation.

    So the last record, checkpoint and network are those of the average; the record also says under
    "test_<metric>_unaveraged" what the network scored before. `WeightAverage`, in contrast, leaves the training as it
    is and changes the network when all is over. A training that a callback stops early keeps its own weights.

    Args:
        decay: d of an exponential average over the steps, `a ← e a + (1 - e) w` with e = min(d, (1 + n) / (10 + n))
            after n earlier weights, so that the first ones are soon forgotten; running statistics are averaged like
            weights. None for the plain average of the weights at the ends of the epochs, for which the statistics are
            computed anew with the training loader.
        start_step: steps before the exponential average begins.
        start_epoch: epochs before the plain average begins.

    Raises:
        ValueError: if an argument is out of range.

    Source: Polyak, Juditsky 1992; Izmailov et al. 2018.
    """

    def __init__(self, decay: float | None = None, *, start_step: int = 0, start_epoch: int = 0) -> None:
        if start_step < 0 or start_epoch < 0:
            raise ValueError(f"FinalAverage: expected a start >= 0, got {start_step} and {start_epoch}")
        self.decay, self.start_step, self.start_epoch = decay, start_step, start_epoch
        if decay is not None and not 0.0 <= decay <= 1.0:
            raise ValueError(f"FinalAverage: expected decay from 0 to 1, got {decay!r}")
        self.averaged: AveragedModel | None = None
        self._loaded: Mapping[str, Tensor] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        if self.averaged is None:
            exponential = self.decay is not None
            average = self._exponential if exponential else None
            self.averaged = AveragedModel(trainer.model, multi_avg_fn=average, use_buffers=exponential)
        if self._loaded is not None:
            self.averaged.load_state_dict(self._loaded)
            self._loaded = None

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        if self.decay is not None and result.step > self.start_step:
            self._present().update_parameters(trainer.model)

    def on_epoch_trained(self, trainer: Trainer, record: dict[str, Any]) -> None:
        if self.decay is None and trainer.epoch >= self.start_epoch:
            self._present().update_parameters(trainer.model)
        averaged = self._present()
        if not trainer.in_last_epoch or not int(averaged.n_averaged.data):
            return
        if trainer.test_loader is not None:
            scores = trainer.evaluate(trainer.test_loader)
            record |= {f"test_{name}_unaveraged": value for name, value in scores.items()}
        if self.decay is not None:
            _take(trainer.model, averaged.module.state_dict())
            return
        _take(trainer.model, dict(averaged.module.named_parameters()))
        # Rewound, so that the batches are the same however the run was interrupted.
        if hasattr(trainer.train_loader, "set_epoch"):
            trainer.train_loader.set_epoch(trainer.epoch + 1)
        update_bn(trainer.train_loader, trainer.model)

    def _exponential(self, averaged: list[Tensor], current: list[Tensor], count: int) -> None:
        lerp_(averaged, current, 1.0 - min(self.decay or 0.0, (1 + count) / (10 + count)))

    def _present(self) -> AveragedModel:
        if self.averaged is None:
            raise RuntimeError("FinalAverage: expected on_fit_start before")
        return self.averaged

    def tensors(self) -> dict[str, Tensor]:
        return {} if self.averaged is None else self.averaged.state_dict()

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        self._loaded = dict(tensors)


class LookaheadAverage(Callback):
    """Moves the weights back to their average every few steps, the more the later; the run ends with the average.

    With weights and running statistics w, their average a, every k steps and T steps in all, at step t:

        α = decay^k (t / T)³        a ← α a + (1 - α) w        w ← a

    and at the end of the run w ← a. The average starts from the initial weights. A training that another callback stops
    early keeps its own weights.

    Args:
        total_steps: T.
        decay: of the average in a step at the end of the run.
        every: k.

    Raises:
        ValueError: if an argument is out of range.

    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498, section 3.4, after Zhang,
    Lucas, Hinton, Ba, "Lookahead optimizer: k steps forward, 1 step back", 2019.
    """

    def __init__(self, total_steps: int, *, decay: float = 0.95, every: int = 5) -> None:
        if total_steps < 1 or every < 1:
            raise ValueError(f"LookaheadAverage: expected total_steps and every >= 1, got {total_steps} and {every}")
        if not 0.0 <= decay <= 1.0:
            raise ValueError(f"LookaheadAverage: expected decay from 0 to 1, got {decay!r}")
        self.total_steps, self.decay, self.every = total_steps, decay, every
        self._slow: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer) -> None:
        own = _floating(trainer.model)
        loaded, self._slow = self._slow, {name: Tensor(_copied(tensor.data)) for name, tensor in own.items()}
        if loaded:
            _take(self._slow, loaded)

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        if result.step % self.every:
            return
        weights = _floating(trainer.model)
        kept = self.decay**self.every * (result.step / self.total_steps) ** 3
        lerp_([self._slow[name] for name in weights], weights.values(), 1.0 - kept)
        _take(weights, self._slow)

    def on_epoch_trained(self, trainer: Trainer, record: dict[str, Any]) -> None:
        if trainer.in_last_epoch:
            _take(_floating(trainer.model), self._slow)

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._slow)

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        self._slow = dict(tensors)


def _floating(model: Module) -> dict[str, Tensor]:
    """The parameters and floating buffers of a network by name: those without gaps in memory."""
    return {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if tensor.dtype.kind == "f"}


def _copied(array: Any) -> Any:
    """A copy with the strides of the original, which a pass over both needs."""
    copy = np.empty_like(array)
    copy[...] = array
    return copy


def _take(target: Module | Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy values into the tensors of those names, in place."""
    tensors = target if isinstance(target, Mapping) else target.state_dict(keep_vars=True)
    for name, value in values.items():
        tensors[name].data[...] = value.data
        tensors[name].bump()
