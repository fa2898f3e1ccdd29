"""Reducing the learning rate when a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, SupportsFloat

from ..optimizer import Optimizer
from .base import LRScheduler, per_group

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by `factor` when a metric has not improved for more than `patience` steps.

    Unlike the other schedules it depends on more than the step; its state dict has all of it.

    Args:
        optimizer: the optimiser whose groups get the rate.
        mode: "min" if a smaller metric is better, "max" if a larger one is.
        factor: below 1.
        patience: steps without improvement that are put up with.
        threshold: by how much the metric must beat the best one to count as improved.
        threshold_mode: "rel" if the threshold is a share of the best metric, "abs" if it is an amount.
        cooldown: steps after a reduction during which bad ones are not counted.
        min_lr: the rate is never reduced below this; one for all groups or one for each.
        eps: reductions by no more than this are left out.

    Raises:
        ValueError: for an unknown mode or a factor of 1 or more.

    Example:
        >>> import numpy as np
        >>> from fastnn import Tensor, optim
        >>> sgd = optim.SGD([Tensor(np.zeros(1), requires_grad=True)], lr=1.0)
        >>> schedule = ReduceLROnPlateau(sgd, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     schedule.step(loss)
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: expected factor < 1, got {factor!r}")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: expected mode min or max, got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: expected threshold_mode rel or abs, got {threshold_mode!r}")
        self.mode, self.patience, self.cooldown, self.eps = mode, patience, cooldown, eps
        self.reduction, self.threshold, self.threshold_mode = factor, threshold, threshold_mode
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer)
        self.min_lrs = [float(lr) for lr in per_group("ReduceLROnPlateau", "min_lr", min_lr, optimizer)]

    def rate(self, step: int, group: int, base: float) -> float:
        return base

    def _better(self, metric: float) -> bool:
        """Whether `metric` beats the best one by the threshold."""
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            target = self.best * (1.0 + sign * self.threshold)
        else:
            target = self.best + sign * self.threshold
        return sign * metric > sign * target

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Note the metric of a step, and reduce the rates if it is time.

        Args:
            metrics: the metric, a number or a Tensor of one element. NaN counts as bad.
            epoch: number of this step, the next one if None.
        """
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        metric = float(metrics)
        if self._better(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        self._bases = self._present()
        if self.num_bad_epochs > self.patience:
            for i, lr in enumerate(self._bases):
                reduced = max(lr * self.reduction, self.min_lrs[i])
                if lr - reduced > self.eps:
                    self._bases[i] = reduced
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._write()

    def state_dict(self) -> dict[str, Any]:
        """Step, rates, best metric and the two counts."""
        counts = {name: getattr(self, name) for name in ("best", "num_bad_epochs", "cooldown_counter")}
        return {**super().state_dict(), **counts}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, and set its rates in the optimiser."""
        last = state_dict.get("_last_lr", self._bases)
        super().load_state_dict({**state_dict, "bases": last})
        for name in ("best", "num_bad_epochs", "cooldown_counter"):
            setattr(self, name, state_dict.get(name, getattr(self, name)))
