"""The learning rate while weights are averaged."""

from __future__ import annotations

import math

from ..optimizer import Optimizer
from .base import LRScheduler, per_group

__all__ = ["SWALR"]


class SWALR(LRScheduler):
    """From the base to `swa_lr` in `anneal_epochs` steps, and constant from there on.

        lr(t) = swa_lr + (base - swa_lr) · (1 - s),   s = u or (1 - cos(π u)) / 2,   u = min(t / anneal_epochs, 1)

    Args:
        optimizer: see `LRScheduler`.
        swa_lr: the final rate, one for all groups or one for each.
        anneal_epochs: steps of the way there; 0 starts with the final rate.
        anneal_strategy: "cos" or "linear".
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: for an unknown strategy or a negative number of steps.

    Source: Izmailov et al. 2018, arXiv:1803.05407; interface of `torch.optim.swa_utils.SWALR`.
    """

    chains = False

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: expected anneal_strategy cos or linear, got {anneal_strategy!r}")
        if anneal_epochs < 0:
            raise ValueError(f"SWALR: expected anneal_epochs >= 0, got {anneal_epochs!r}")
        self.swa_lrs = [float(lr) for lr in per_group("SWALR", "swa_lr", swa_lr, optimizer)]
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def rate(self, step: int, group: int, base: float) -> float:
        share = min(step / self.anneal_epochs, 1.0) if self.anneal_epochs else 1.0
        if self.anneal_strategy == "cos":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        return self.swa_lrs[group] + (base - self.swa_lrs[group]) * (1.0 - share)
