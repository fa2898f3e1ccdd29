"""LAMB."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import check_betas, nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["LAMB"]


class LAMB(Optimizer):
    """LAMB: Adam's step scaled, parameter by parameter, to a share lr of the norm of the weights; for large batches.

        m, v as `Adam`;  r = m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε) + λ w
        w ← w - lr · (‖w‖ / ‖r‖) · r

    The factor ‖w‖ / ‖r‖ is 1 where one of the norms is 0.

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        maximize: ascend instead.
        adapt: whether steps are scaled; a group of biases and norm layers often is not.
        decoupled_weight_decay: False adds λ w to g before the moments instead of to r.

    Raises:
        ValueError: for a negative value or a β outside [0, 1); see also `Optimizer`.

    Source: You et al. 2020, arXiv:1904.00962.
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        *,
        maximize: bool = False,
        adapt: bool = True,
        decoupled_weight_decay: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "adapt": adapt,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        check_betas("LAMB", group)
        nonnegative("LAMB", group, "eps", "weight_decay")

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        beta1, beta2 = group["betas"]
        _C.optim_lamb(spans, self._penalty(group), lr, beta1, beta2, group["eps"], group["adapt"])
