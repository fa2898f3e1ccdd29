"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler
from .plateau import ReduceLROnPlateau

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Composed(LRScheduler):
    """What the two have in common: checks, and the states of the parts."""

    def __init__(self, optimizer: Optimizer | None, schedulers: Sequence[LRScheduler]) -> None:
        owner = type(self).__name__
        if not schedulers:
            raise ValueError(f"{owner}: expected at least one schedule, got none")
        for i, part in enumerate(schedulers):
            if not isinstance(part, LRScheduler):
                raise TypeError(f"{owner}: expected schedule {i} to be an LRScheduler, got {type(part).__name__}")
            if isinstance(part, ReduceLROnPlateau):
                raise ValueError(f"{owner}: schedule {i} is a ReduceLROnPlateau, which needs a metric at each step")
            if part.optimizer is not (optimizer or schedulers[0].optimizer):
                raise ValueError(f"{owner}: schedule {i} belongs to another optimiser")
        self.optimizer = schedulers[0].optimizer
        self._schedulers = list(schedulers)
        self.base_lrs = [float(group["initial_lr"]) for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        """The rate of each group at the present step."""
        return self.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The step, the rates, and the states of the parts."""
        parts = [part.state_dict() for part in self._schedulers]
        return {"last_epoch": self.last_epoch, "_last_lr": self.get_last_lr(), "_schedulers": parts}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, and set the rates of that step in the optimiser.

        Raises:
            ValueError: if it has another number of parts.
        """
        parts = state_dict.get("_schedulers", ())
        if len(parts) != len(self._schedulers):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected {len(self._schedulers)} schedules, got {len(parts)}"
            )
        for part, state in zip(self._schedulers, parts):
            part.load_state_dict(state)
        self.last_epoch = int(state_dict.get("last_epoch", parts[0].get("last_epoch", 0)))


class SequentialLR(_Composed):
    """One schedule after the other; each starts at its own step 0 when the total reaches its milestone.

    Args:
        optimizer: the optimiser of all of them.
        schedulers: in order.
        milestones: the steps at which the second, third, ... take over.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: if the numbers of schedules and milestones do not fit, a schedule is a ReduceLROnPlateau or
            belongs to another optimiser.

    Example:
        >>> import numpy as np
        >>> from fastnn import Tensor, optim
        >>> from fastnn.optim.lr_scheduler import CosineAnnealingLR, LinearLR
        >>> sgd = optim.SGD([Tensor(np.zeros(1), requires_grad=True)], lr=1.0)
        >>> warm_up = LinearLR(sgd, start_factor=0.25, total_iters=3)
        >>> schedule = SequentialLR(sgd, [warm_up, CosineAnnealingLR(sgd, T_max=2)], milestones=[3])
        >>> rates = schedule.get_last_lr()
        >>> for _ in range(5):
        ...     schedule.step()
        ...     rates += schedule.get_last_lr()
        >>> [round(rate, 3) for rate in rates]
        [0.25, 0.5, 0.75, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        super().__init__(optimizer, schedulers)
        if len(milestones) != len(schedulers) - 1 or list(milestones) != sorted(milestones):
            raise ValueError(
                f"SequentialLR: expected {len(schedulers) - 1} rising milestones for {len(schedulers)} schedules, "
                f"got {list(milestones)}"
            )
        self._milestones = list(milestones)
        self._restart(last_epoch + 1, self.base_lrs)

    def _part(self) -> tuple[LRScheduler, int]:
        """The schedule of the present step, and the step at which it began."""
        i = bisect_right(self._milestones, self.last_epoch)
        return self._schedulers[i], self._milestones[i - 1] if i else 0

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step, or to step `epoch`, and set the rates."""
        if epoch is not None:
            self._restart(epoch, self.base_lrs)
            return
        self.last_epoch += 1
        part, start = self._part()
        if self.last_epoch == start:
            part._restart(0, self.base_lrs)
        else:
            part.step()

    def get_last_lr(self) -> list[float]:
        """The rate that was last set in each group."""
        return self._part()[0].get_last_lr()

    def _restart(self, step: int, bases: Sequence[float]) -> None:
        self.last_epoch = step
        part, start = self._part()
        part._restart(step - start, bases)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, and set the rates of that step in the optimiser."""
        super().load_state_dict(state_dict)
        self._part()[0]._write()

    def _write(self) -> None:
        self._part()[0]._write()


class ChainedScheduler(_Composed):
    """Several schedules at once: each changes the rate that the one before it has set.

    The rate is the base times the product of the factors, `lr(t) = lr * f1(t) * f2(t)`; for a cosine with
    `eta_min` the rate moves towards that minimum.

    Args:
        schedulers: in order, of one optimiser.
        optimizer: that optimiser, for a check.

    Raises:
        ValueError: if there are none, one is a ReduceLROnPlateau or belongs to another optimiser.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        super().__init__(optimizer, schedulers)
        self.last_epoch = schedulers[0].last_epoch

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step, or to step `epoch`, and set the rates."""
        if epoch is not None:
            self._restart(epoch, self.base_lrs)
            return
        self.last_epoch += 1
        for part in self._schedulers:
            part.step()

    def get_last_lr(self) -> list[float]:
        """The rate that was last set in each group."""
        return self._schedulers[-1].get_last_lr()

    def _restart(self, step: int, bases: Sequence[float]) -> None:
        self.last_epoch = step
        for part in self._schedulers:
            part._restart(step, bases)
            bases = self._present()

    def _write(self) -> None:
        for part in self._schedulers:
            part._write()
