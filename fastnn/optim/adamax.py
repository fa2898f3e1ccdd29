"""Adamax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import check_betas, nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """Adamax: Adam with the largest gradient of late in the place of the root mean square.

        g ← ∇f(w) + λ w;  m ← β₁ m + (1 - β₁) g;  u ← max(β₂ u, |g| + ε)
        w ← w - lr / (1 - β₁ᵗ) · m / u

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        maximize: ascend instead.

    Raises:
        ValueError: for a negative value or a β outside [0, 1); see also `Optimizer`.

    Source: Kingma, Ba 2015, section 7.
    """

    slots = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        check_betas("Adamax", group)
        nonnegative("Adamax", group, "eps", "weight_decay")

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        beta1, beta2 = group["betas"]
        _C.optim_adamax(spans, self._penalty(group), lr, beta1, beta2, group["eps"])
