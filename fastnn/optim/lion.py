"""Lion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import check_betas, nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["Lion"]


class Lion(Optimizer):
    """Lion: steps of one size in the direction of the signs of a momentum.

        w ← (1 - lr λ) w - lr · sign(β₁ m + (1 - β₁) g);  m ← β₂ m + (1 - β₂) g

    Its rate is usually a third to a tenth of Adam's, its λ as many times larger.

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        betas: (β₁, β₂).
        weight_decay: λ.
        maximize: ascend instead.
        decoupled_weight_decay: False adds λ w to g instead.

    Raises:
        ValueError: for a negative value or a β outside [0, 1); see also `Optimizer`.

    Source: Chen et al. 2023, arXiv:2302.06675.
    """

    slots = ("exp_avg",)

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        check_betas("Lion", group)
        nonnegative("Lion", group, "weight_decay")

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        beta1, beta2 = group["betas"]
        _C.optim_lion(spans, self._penalty(group), lr, beta1, beta2)
