"""RAdam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import check_betas, nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """RAdam: Adam whose rate is rectified for the variance of the second moment.

        m, v as `Adam`;  ρ = ρ∞ - 2t β₂ᵗ / (1 - β₂ᵗ),  ρ∞ = 2 / (1 - β₂) - 1
        r = √((ρ - 4)(ρ - 2) ρ∞ / ((ρ∞ - 4)(ρ∞ - 2) ρ))
        w ← w - lr · r · m / (1 - β₁ᵗ) · √(1 - β₂ᵗ) / (√v + ε)      where ρ > 5
        w ← w - lr · m / (1 - β₁ᵗ)                                 before that, in the first steps

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        decoupled_weight_decay: shrink w by the factor 1 - lr λ instead of adding λ w to g.
        maximize: ascend instead.

    Raises:
        ValueError: for a negative value or a β outside [0, 1); see also `Optimizer`.

    Source: Liu et al. 2020, arXiv:1908.03265.
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        check_betas("RAdam", group)
        nonnegative("RAdam", group, "eps", "weight_decay")

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        beta1, beta2 = group["betas"]
        _C.optim_radam(spans, self._penalty(group), lr, beta1, beta2, group["eps"])
