"""Adadelta."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import fraction, nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Adadelta: a step has the size of earlier steps over that of the gradients, so that units agree.

        g ← ∇f(w) + λ w;  s ← ρ s + (1 - ρ) g²
        d ← g √(h + ε) / √(s + ε);  h ← ρ h + (1 - ρ) d²;  w ← w - lr d

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: factor of the step, 1 in the paper, or a function of the number of steps done.
        rho: ρ.
        eps: ε.
        weight_decay: λ.
        maximize: ascend instead.

    Raises:
        ValueError: for a negative value or ρ above 1; see also `Optimizer`.

    Source: Zeiler 2012.
    """

    slots = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        fraction("Adadelta", group, "rho")
        nonnegative("Adadelta", group, "eps", "weight_decay")

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        _C.optim_adadelta(spans, self._penalty(group), lr, group["rho"], group["eps"])
