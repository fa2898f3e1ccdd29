"""Schedules that move the learning rate up and down, and the momentum against it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, per_group

__all__ = ["CyclicLR", "OneCycleLR"]


class _MomentumCycle(LRScheduler):
    """A schedule that also sets the momentum of the groups: "momentum", or the first of "betas"."""

    chains = False
    cycle_momentum: bool
    base_momentums: list[float]
    max_momentums: list[float]

    def _take_momentum(self, owner: str, optimizer: Optimizer, cycle: bool, low: Any, high: Any) -> None:
        """Check and keep the momentum's range."""
        self.cycle_momentum = cycle
        if not cycle:
            return
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{owner}: expected an Optimizer, got {type(optimizer).__name__}")
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(f"{owner}: {type(optimizer).__name__} has no momentum to cycle; pass cycle_momentum=False")
        self.base_momentums = [float(m) for m in per_group(owner, "base_momentum", low, optimizer)]
        self.max_momentums = [float(m) for m in per_group(owner, "max_momentum", high, optimizer)]

    def momentum(self, step: int, group: int) -> float:
        """The momentum of a group at step t = `step`."""
        raise NotImplementedError(f"{type(self).__name__}: momentum is not implemented")

    def _write(self) -> None:
        super()._write()
        if not self.cycle_momentum:
            return
        for i, group in enumerate(self.optimizer.param_groups):
            momentum = self.momentum(self.last_epoch, i)
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


class CyclicLR(_MomentumCycle):
    """The rate goes up from `base_lr` to `max_lr` and down again, in straight lines, over and over.

        lr(t) = base_lr + (max_lr - base_lr) · s(t) · amplitude

    s goes from 0 to 1 in `step_size_up` steps and back in `step_size_down`. The amplitude is 1 ("triangular"),
    halved with every cycle ("triangular2"), or gamma^t ("exp_range"). The momentum mirrors it between
    `max_momentum` and `base_momentum`.

    Args:
        optimizer: see `LRScheduler`.
        base_lr: lowest rate, one for all groups or one for each.
        max_lr: highest rate, likewise.
        step_size_up: steps of the way up.
        step_size_down: steps of the way down; as up if None.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: of "exp_range".
        scale_fn: an amplitude of your own, a function of the cycle's number (from 1) or of t, by `scale_mode`.
        scale_mode: "cycle" or "iterations".
        cycle_momentum: whether to cycle the momentum too.
        base_momentum: lowest momentum.
        max_momentum: highest momentum.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: for an unknown mode, step sizes that are not positive, or an optimiser without momentum.

    Source: Smith 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"CyclicLR: expected mode triangular, triangular2 or exp_range, got {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: expected scale_mode cycle or iterations, got {scale_mode!r}")
        down = step_size_up if step_size_down is None else step_size_down
        if not (step_size_up > 0 and down > 0):
            raise ValueError(f"CyclicLR: expected positive step sizes, got {step_size_up!r} and {step_size_down!r}")
        self._take_momentum("CyclicLR", optimizer, cycle_momentum, base_momentum, max_momentum)
        self.step_size_up, self.step_size_down = step_size_up, down
        self.mode, self.gamma, self.scale_fn, self.scale_mode = mode, gamma, scale_fn, scale_mode
        self._lows = [float(lr) for lr in per_group("CyclicLR", "base_lr", base_lr, optimizer)]
        self.max_lrs = [float(lr) for lr in per_group("CyclicLR", "max_lr", max_lr, optimizer)]
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, self._lows):
                group["lr"] = lr
        super().__init__(optimizer, last_epoch)
        self.base_lrs = list(self._lows)

    def _height(self, step: int) -> float:
        """s(t) · amplitude."""
        length = self.step_size_up + self.step_size_down
        turns = math.floor(step / length)
        place = step - turns * length
        up = place / self.step_size_up
        s = up if up <= 1.0 else (length - place) / self.step_size_down
        if self.scale_fn is not None:
            return s * float(self.scale_fn(turns + 1 if self.scale_mode == "cycle" else step))
        if self.mode == "exp_range":
            return s * float(self.gamma**step)
        return s / 2.0**turns if self.mode == "triangular2" else s

    def rate(self, step: int, group: int, base: float) -> float:
        low = self._lows[group]
        return low + (self.max_lrs[group] - low) * self._height(step)

    def momentum(self, step: int, group: int) -> float:
        high = self.max_momentums[group]
        return high - (high - self.base_momentums[group]) * self._height(step)


class OneCycleLR(_MomentumCycle):
    """One rise of the rate to `max_lr` and one long fall to almost nothing, over `total_steps` steps.

    The rate starts at `max_lr / div_factor`, reaches `max_lr` after the share `pct_start` of the steps, and
    ends at `max_lr / div_factor / final_div_factor`; the momentum moves from `max_momentum` to `base_momentum`
    and back. In three phases the rate first returns to its start as fast as it rose.

    Args:
        optimizer: see `LRScheduler`.
        max_lr: highest rate, one for all groups or one for each.
        total_steps: steps of the cycle; `epochs * steps_per_epoch` if None.
        epochs: number of epochs.
        steps_per_epoch: steps in each.
        pct_start: share of the steps in which the rate rises, from 0 to 1.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether to move the momentum too.
        base_momentum: lowest momentum.
        max_momentum: highest momentum.
        div_factor: highest rate over the first.
        final_div_factor: first rate over the last.
        three_phase: whether there is a phase for the return.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: for an impossible argument, an optimiser without momentum, or a step beyond `total_steps`.

    Source: Smith, Topin 2019.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(
                "OneCycleLR: expected total_steps, or epochs and steps_per_epoch, to be positive whole numbers, got "
                f"{total_steps!r}, {epochs!r} and {steps_per_epoch!r}"
            )
        if not 0.0 <= pct_start <= 1.0:
            raise ValueError(f"OneCycleLR: expected pct_start in [0, 1], got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: expected anneal_strategy cos or linear, got {anneal_strategy!r}")
        self._take_momentum("OneCycleLR", optimizer, cycle_momentum, base_momentum, max_momentum)
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        self.max_lrs = [float(lr) for lr in per_group("OneCycleLR", "max_lr", max_lr, optimizer)]
        self._first_lrs = [lr / div_factor for lr in self.max_lrs]
        self._last_lrs = [lr / final_div_factor for lr in self._first_lrs]
        # Ends of the phases; the rate and the momentum are at one end of their range at each.
        rise, last = pct_start * total_steps - 1.0, total_steps - 1.0
        self._ends = [0.0, rise, 2.0 * rise, last] if three_phase else [0.0, rise, last]
        for group, lr in zip(optimizer.param_groups, self._first_lrs):
            group["initial_lr"] = lr
        super().__init__(optimizer, last_epoch)

    def _between(self, step: int, values: list[float]) -> float:
        """The value at `step`, given those at the ends of the phases."""
        if step > self.total_steps:
            raise ValueError(f"OneCycleLR: step {step} is beyond total_steps={self.total_steps}")
        phase = 1
        while step > self._ends[phase] and phase < len(self._ends) - 1:
            phase += 1
        begin, end = self._ends[phase - 1], self._ends[phase]
        share = (step - begin) / (end - begin) if end != begin else 1.0
        start, stop = values[phase - 1], values[phase]
        if self.anneal_strategy == "cos":
            return stop + (start - stop) / 2.0 * (1.0 + math.cos(math.pi * share))
        return start + (stop - start) * share

    def rate(self, step: int, group: int, base: float) -> float:
        first, high, last = self._first_lrs[group], self.max_lrs[group], self._last_lrs[group]
        return self._between(step, [first, high, last] if len(self._ends) == 3 else [first, high, first, last])

    def momentum(self, step: int, group: int) -> float:
        low, high = self.base_momentums[group], self.max_momentums[group]
        return self._between(step, [high, low, high] if len(self._ends) == 3 else [high, low, high, high])
