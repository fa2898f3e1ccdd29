"""The learning-rate range test: the loss while the rate rises from too low to too high."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn import Module
from ..optim import Optimizer
from ..random import default_generator
from ..report import Report
from .evaluation import Batches, Loss

__all__ = ["LearningRateRange", "lr_range_test"]


@dataclass(frozen=True)
class LearningRateRange(Report):
    """What a range test saw.

    Attributes:
        rates: the learning rate of every step.
        losses: the loss of every step's batch.
        smoothed: their exponential average, corrected for its start.
        suggestion: the rate at which the smoothed loss fell fastest per decade, NaN if it never fell.
        diverged: whether the test ended because the loss grew.
    """

    size: ClassVar[tuple[float, float]] = (6.4, 4.0)

    rates: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    smoothed: npt.NDArray[np.float64]
    suggestion: float
    diverged: bool

    def draw(self, figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="0.8", linewidth=1, label="batch")
        axes.plot(self.rates, self.smoothed, linewidth=1.8, label="smoothed")
        if math.isfinite(self.suggestion):
            axes.axvline(self.suggestion, color="C3", linestyle="--", label=f"steepest: {self.suggestion:.2g}")
        top = 1.2 * float(self.smoothed[: max(len(self.smoothed) // 2, 1)].max())
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title="Learning-rate range test")
        axes.set_ylim(None, max(top, 1.05 * float(self.smoothed.min())))
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)


def lr_range_test(
    model: Module,
    optimizer: Optimizer,
    loss: Loss,
    loader: Batches,
    start_lr: float = 1e-5,
    end_lr: float = 10.0,
    steps: int = 100,
    *,
    mode: Literal["exp", "linear"] = "exp",
    smoothing: float = 0.9,
    diverge: float = 4.0,
) -> LearningRateRange:
    """Train for some steps with a rising learning rate, and put everything back as it was.

        lr(t) = start · (end / start)^(t / (steps - 1)),  or along a line

    Model, optimiser and the default generator are afterwards what they were. A good highest rate for a schedule lies a
    little below where the loss begins to grow; `suggestion` is on the steepest slope before that.

    Args:
        model: the network.
        optimizer: its optimiser; all groups get the rate.
        loss: maps (output, target) to a mean over the batch.
        loader: yields (x, y); begun anew when it ends.
        start_lr: first rate.
        end_lr: last rate.
        steps: number of steps.
        mode: "exp" or "linear".
        smoothing: share of the past in the smoothed loss, below 1.
        diverge: the test ends where the smoothed loss exceeds so many times its least value, or is not finite.

    Returns:
        The rates and losses, with a plot.

    Raises:
        ValueError: if an argument is out of range, or the loader is empty.

    Source: Smith 2017, "Cyclical learning rates for training neural networks", section 3.3.
    """
    if not 0.0 < start_lr < end_lr:
        raise ValueError(f"lr_range_test: expected 0 < start_lr < end_lr, got {start_lr!r} and {end_lr!r}")
    if steps < 2 or not 0.0 <= smoothing < 1.0 or mode not in ("exp", "linear"):
        raise ValueError(
            f"lr_range_test: expected steps >= 2, smoothing in [0, 1) and mode 'exp' or 'linear', got {steps!r}, "
            f"{smoothing!r} and {mode!r}"
        )
    weights = {name: tensor.data.copy() for name, tensor in model.state_dict().items()}
    saved, generator = copy.deepcopy(optimizer.state_dict()), default_generator.get_state()
    groups, training = [dict(group) for group in optimizer.param_groups], model.training
    shares = np.linspace(0.0, 1.0, steps)
    rates = start_lr * (end_lr / start_lr) ** shares if mode == "exp" else start_lr + (end_lr - start_lr) * shares
    model.train()
    try:
        losses, smoothed, diverged = _climb(model, optimizer, loss, _endless(loader), rates, smoothing, diverge)
    finally:
        model.load_state_dict(weights)
        optimizer.load_state_dict(saved)
        for group, before in zip(optimizer.param_groups, groups):
            group.update(before)
        optimizer.zero_grad()
        default_generator.set_state(generator)
        model.train(training)
    rates = rates[: len(losses)]
    return LearningRateRange(rates, losses, smoothed, _steepest(rates, smoothed), diverged)


def _endless(loader: Batches) -> Iterator[tuple[Tensor, ...]]:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ValueError("lr_range_test: the loader yields no batches")


def _climb(
    model: Module,
    optimizer: Optimizer,
    loss: Loss,
    batches: Iterator[tuple[Tensor, ...]],
    rates: npt.NDArray[np.float64],
    smoothing: float,
    diverge: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], bool]:
    """A step for each rate; the losses, smoothed too, and whether they grew too large."""
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    for step, rate in enumerate(rates, 1):
        x, y = next(batches)[:2]
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.zero_grad()
        value = loss(model(x), y)
        losses.append(float(value.item()))
        average = smoothing * average + (1.0 - smoothing) * losses[-1]
        smoothed.append(average / (1.0 - smoothing**step))
        if not smoothed[-1] <= diverge * min(smoothed):
            # A last point that is not finite is left out.
            end = None if math.isfinite(smoothed[-1]) else -1
            return np.array(losses[:end]), np.array(smoothed[:end]), True
        value.backward()
        optimizer.step()
    return np.array(losses), np.array(smoothed), False


def _steepest(rates: npt.NDArray[np.float64], smoothed: npt.NDArray[np.float64]) -> float:
    """The rate where the loss falls fastest per decade, before its minimum."""
    end = int(smoothed.argmin()) + 1
    if end < 3:
        return math.nan
    slope = np.gradient(smoothed[:end], np.log10(rates[:end]))
    return float(rates[int(slope.argmin())]) if slope.min() < 0 else math.nan
