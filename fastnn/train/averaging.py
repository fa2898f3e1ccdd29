"""Averages of the weights of a training: stochastic weight averaging, exponential (Polyak) averages.

The interface of `torch.optim.swa_utils`; its schedule is `fastnn.optim.lr_scheduler.SWALR`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Buffer, Module
from ..optim import lerp_
from .callbacks import Callback, StepResult

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = [
    "AveragedModel", "WeightAverage", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn",
    "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, int], Tensor]
MultiAverage = Callable[[list[Tensor], list[Tensor], int], None]


def _decay(owner: str, decay: float) -> float:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"{owner}: expected decay from 0 to 1, got {decay!r}")
    return decay


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """The exponential average `a ← decay · a + (1 - decay) · w`, of all weights in one pass.

    Args:
        decay: from 0 to 1.

    Source: Polyak, Juditsky 1992; Tarvainen, Valpola 2017.
    """
    weight = 1.0 - _decay("get_ema_multi_avg_fn", decay)
    return lambda averaged, current, count: lerp_(averaged, current, weight)


def get_swa_multi_avg_fn() -> MultiAverage:
    """The plain average `a ← a + (w - a) / (n + 1)` after n earlier weights, of all weights in one pass.

    Source: Izmailov et al. 2018.
    """
    return lambda averaged, current, count: lerp_(averaged, current, 1.0 / (count + 1))


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """`get_ema_multi_avg_fn` for one tensor at a time: `a, w, n -> decay · a + (1 - decay) · w`.

    Args:
        decay: from 0 to 1.
    """
    _decay("get_ema_avg_fn", decay)
    return lambda averaged, current, count: averaged * decay + current * (1.0 - decay)


def get_swa_avg_fn() -> Average:
    """`get_swa_multi_avg_fn` for one tensor at a time: `a, w, n -> a + (w - a) / (n + 1)`."""
    return lambda averaged, current, count: averaged + (current - averaged) / (count + 1)


class AveragedModel(Module):
    """A copy of a network whose weights are an average of those that the network has had.

    By default the plain average over the calls of `update_parameters`, which is stochastic weight averaging. The first
    call copies.

    Args:
        model: the network; it is copied.
        device: None or "cpu", as everything is.
        avg_fn: another average, (averaged, current, number of earlier ones) -> new average of one tensor.
        multi_avg_fn: another average that changes a list of tensors in place, see `get_ema_multi_avg_fn`.
        use_buffers: average floating buffers too, for instance running statistics; otherwise they are copied, as
            integers always are.

    Attributes:
        module: the averaged network.
        n_averaged: the number of weights that are in the average, a buffer.

    Shape:
        as the network's

    Raises:
        ValueError: if both functions are given.

    Source: Izmailov et al. 2018, arXiv:1803.05407; interface of `torch.optim.swa_utils.AveragedModel`.

    Example:
        >>> from fastnn import nn
        >>> model = nn.Linear(1, 1, bias=False)
        >>> averaged = AveragedModel(model)
        >>> for value in (1.0, 2.0, 6.0):
        ...     model.weight.data[...] = value
        ...     averaged.update_parameters(model)
        >>> averaged.module.weight.item()
        3.0
    """

    def __init__(
        self,
        model: Module,
        device: str | None = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: expected avg_fn or multi_avg_fn, got both")
        if device not in (None, "cpu"):
            raise ValueError(f"AveragedModel: expected device None or 'cpu', got {device!r}")
        self.n_averaged = Buffer(np.zeros((), np.int64))
        self.module = copy.deepcopy(model)
        self.avg_fn = avg_fn
        self.multi_avg_fn = get_swa_multi_avg_fn() if multi_avg_fn is None else multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Let the present weights of `model` join the average."""
        averaged, current = ([t for t in self._averaged(m) if t.dtype.kind == "f"] for m in (self.module, model))
        if len(averaged) != len(current):
            raise ValueError(f"AveragedModel: expected a model of {len(averaged)} tensors, got {len(current)}")
        count = int(self.n_averaged.data)
        with no_grad():
            if count == 0:
                _copy(averaged, current)
            elif self.avg_fn is not None:
                _copy(averaged, [self.avg_fn(a, w, count) for a, w in zip(averaged, current)])
            else:
                self.multi_avg_fn(averaged, current, count)
        pairs = zip(self.module.buffers(), model.buffers())
        rest = [(a, b) for a, b in pairs if not (self.use_buffers and a.dtype.kind == "f")]
        _copy([a for a, _ in rest], [b for _, b in rest])
        self.n_averaged.data[...] = count + 1
        self.n_averaged.bump()

    def _averaged(self, model: Module) -> Iterable[Tensor]:
        return chain(model.parameters(), model.buffers()) if self.use_buffers else model.parameters()


def _copy(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    for target, source in zip(targets, sources):
        target.data[...] = source.data
        target.bump()


def update_bn(loader: Iterable[Any], model: Module, device: str | None = None) -> None:
    """Compute the running statistics of all batch norms anew, as plain averages over the batches of a loader.

    Averaged weights have never seen data, so the statistics of no network that was averaged fit them. Batch norms that
    are kept in evaluation mode (see `fastnn.transfer.freeze`) keep theirs.

    Args:
        loader: yields inputs, or tuples with the input first.
        model: the network; its modes are afterwards as before.
        device: None or "cpu", as everything is.

    Source: Izmailov et al. 2018, section 3.2.
    """
    norms = [m for m in model.modules() if isinstance(m, BatchNorm1d | BatchNorm2d | BatchNorm3d)]
    norms = [norm for norm in norms if norm.running_mean is not None and not norm.eval_only]
    if not norms:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    try:
        with no_grad():
            for batch in loader:
                model(batch[0] if isinstance(batch, list | tuple) else batch)
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        for module, training in modes:
            module.training = training


class WeightAverage(Callback):
    """Averages the weights of a training, and at its end gives them to the network.

    Args:
        decay: of an exponential average, updated after every step; None for the plain average of the weights at the
            ends of the epochs, which is stochastic weight averaging.
        start_epoch: epochs before the average begins.
        swap: at the end copy the averaged weights into the network, and compute its running statistics anew with the
            training loader.

    Attributes:
        averaged: the `AveragedModel`, from the start of the training on.

    Raises:
        ValueError: if an argument is out of range.

    Source: Polyak, Juditsky 1992; Izmailov et al. 2018.
    """

    def __init__(self, decay: float | None = None, *, start_epoch: int = 0, swap: bool = True) -> None:
        if decay is not None:
            _decay("WeightAverage", decay)
        if start_epoch < 0:
            raise ValueError(f"WeightAverage: expected start_epoch >= 0, got {start_epoch}")
        self.decay, self.start_epoch, self.swap = decay, start_epoch, swap
        self.averaged: AveragedModel | None = None
        self._loaded: Mapping[str, Tensor] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        if self.averaged is None:
            average = None if self.decay is None else get_ema_multi_avg_fn(self.decay)
            self.averaged = AveragedModel(trainer.model, multi_avg_fn=average)
        if self._loaded is not None:
            self.averaged.load_state_dict(self._loaded)
            self._loaded = None

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        if self.decay is not None and trainer.epoch >= self.start_epoch:
            self._average().update_parameters(trainer.model)

    def on_epoch_end(self, trainer: Trainer, record: dict[str, Any]) -> None:
        if self.decay is None and trainer.epoch > self.start_epoch:
            self._average().update_parameters(trainer.model)

    def on_fit_end(self, trainer: Trainer) -> None:
        averaged = self._average()
        if self.swap and int(averaged.n_averaged.data):
            _copy(list(trainer.model.parameters()), list(averaged.module.parameters()))
            update_bn(trainer.train_loader, trainer.model)

    def _average(self) -> AveragedModel:
        if self.averaged is None:
            raise RuntimeError("WeightAverage: expected on_fit_start before")
        return self.averaged

    def tensors(self) -> dict[str, Tensor]:
        return {} if self.averaged is None else self.averaged.state_dict()

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        self._loaded = dict(tensors)
