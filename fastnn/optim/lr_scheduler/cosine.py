"""Cosine schedules, without and with warm restarts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(LRScheduler):
    """`lr(t) = eta_min + (base - eta_min) · (1 + cos(π t / T_max)) / 2`, which rises again after T_max.

    Args:
        optimizer: see `LRScheduler`.
        T_max: steps from the base to the minimum.
        eta_min: the minimum.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: if `T_max` is not positive.

    Source: Loshchilov, Hutter 2017 (without the restarts).
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if not T_max > 0:
            raise ValueError(f"CosineAnnealingLR: expected T_max > 0, got {T_max!r}")
        self.T_max, self.floor = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    @property
    def eta_min(self) -> float:
        """The minimum."""
        return self.floor

    def factor(self, step: int, group: int) -> float:
        return (1.0 + math.cos(math.pi * step / self.T_max)) / 2.0


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half waves of the cosine, each starting from the base anew.

        lr = eta_min + (base - eta_min) · (1 + cos(π T_cur / T_i)) / 2

    T_cur is the number of steps since the last restart; T_i, the length of a wave, is T_0 at first and T_mult
    times the last one after each restart.

    Args:
        optimizer: see `LRScheduler`.
        T_0: steps of the first wave.
        T_mult: a whole number.
        eta_min: the minimum.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: if `T_0` or `T_mult` is not a positive whole number.

    Source: Loshchilov, Hutter 2017.
    """

    chains = False

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"CosineAnnealingWarmRestarts: expected {name} to be a whole number >= 1, got {value!r}"
                )
        self.T_0, self.T_mult, self.floor = T_0, T_mult, eta_min
        self._fraction = 0.0
        super().__init__(optimizer, last_epoch)

    @property
    def eta_min(self) -> float:
        """The minimum."""
        return self.floor

    def step(self, epoch: float | None = None) -> None:
        """Go to the next step, or to `epoch`, which may be a fraction: `epoch + batch / batches`."""
        if epoch is None:
            super().step()
            return
        self._fraction = epoch - math.floor(epoch)
        super().step(math.floor(epoch))

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs, with the fraction of the present step."""
        return {**super().state_dict(), "fraction": self._fraction}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, and set the rates of that step in the optimiser."""
        self._fraction = float(state_dict.get("fraction", 0.0))
        super().load_state_dict(state_dict)

    def factor(self, step: int, group: int) -> float:
        elapsed, wave = step + self._fraction, self.T_0
        if self.T_mult == 1:
            elapsed %= wave
        else:
            while elapsed >= wave:
                elapsed, wave = elapsed - wave, wave * self.T_mult
        return (1.0 + math.cos(math.pi * elapsed / wave)) / 2.0
