"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import check_betas, nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: momentum over a moving root mean square, both corrected for having started at zero.

        g ← ∇f(w) + λ w
        m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²
        w ← w - lr · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)      at step t = 1, 2, ...

    AMSGrad takes the largest v so far for v under the root. With `eps_inside` ε stands under the root of the
    uncorrected v instead: `w ← w - lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / √(v + ε)`.

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        amsgrad: use the largest second moment so far.
        maximize: ascend instead.
        decoupled_weight_decay: shrink w by the factor 1 - lr λ instead of adding λ w to g: `AdamW`.
        eps_inside: put ε under the root.

    Raises:
        ValueError: for a negative value or a β outside [0, 1); see also `Optimizer`.

    Source: Kingma, Ba 2015; AMSGrad from Reddi, Kale, Kumar 2018.

    Example:
        >>> import numpy as np
        >>> from fastnn import Tensor
        >>> w = Tensor(np.array([1.0]), requires_grad=True)
        >>> w.grad = Tensor(np.array([5.0]))
        >>> Adam([w], lr=0.1).step()
        >>> round(w.item(), 6)
        0.9
    """

    slots = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        eps_inside: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
            "eps_inside": eps_inside,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        check_betas(type(self).__name__, group)
        nonnegative(type(self).__name__, group, "eps", "weight_decay")

    def _active(self, group: Mapping[str, Any]) -> tuple[str | None, ...]:
        return self.slots if group["amsgrad"] else (*self.slots[:2], None)

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        beta1, beta2 = group["betas"]
        _C.optim_adam(
            spans,
            self._penalty(group),
            lr,
            beta1,
            beta2,
            group["eps"],
            group["amsgrad"],
            group["eps_inside"],
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: `w ← (1 - lr λ) w`, then a step of `Adam` without weight decay.

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        amsgrad: use the largest second moment so far.
        maximize: ascend instead.
        eps_inside: put ε under the root.

    Raises:
        ValueError: for a negative value or a β outside [0, 1); see also `Optimizer`.

    Source: Loshchilov, Hutter 2019.
    """

    essential = frozenset(("decoupled_weight_decay",))

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        eps_inside: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
            eps_inside=eps_inside,
        )
