"""NAdam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import check_betas, nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's momentum.

        g ← ∇f(w) + λ w;  m, v as `Adam`;  μₜ = β₁ (1 - ½ · 0.96^(tψ))
        w ← w - lr · ((1 - μₜ) g / (1 - ∏ᵢ₌₁ᵗ μᵢ) + μₜ₊₁ m / (1 - ∏ᵢ₌₁ᵗ⁺¹ μᵢ)) / (√(v / (1 - β₂ᵗ)) + ε)

    The product is a function of the step count and the present β₁ and ψ, and no state.

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        momentum_decay: ψ.
        decoupled_weight_decay: shrink w by the factor 1 - lr λ instead of adding λ w to g.
        maximize: ascend instead.

    Raises:
        ValueError: for a negative value or a β outside [0, 1); see also `Optimizer`.

    Source: Dozat 2016.
    """

    slots = ("exp_avg", "exp_avg_sq")
    derived = frozenset(("mu_product",))

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        check_betas("NAdam", group)
        nonnegative("NAdam", group, "eps", "weight_decay", "momentum_decay")

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        beta1, beta2 = group["betas"]
        _C.optim_nadam(spans, self._penalty(group), lr, beta1, beta2, group["eps"], group["momentum_decay"])
