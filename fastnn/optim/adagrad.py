"""AdaGrad."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """AdaGrad: the rate of each element falls with the sum of its squared gradients.

        g ← ∇f(w) + λ w;  s ← s + g²
        w ← w - lr / (1 + (t - 1) lr_decay) · g / (√s + ε)      at step t = 1, 2, ...

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        lr_decay: decay of the learning rate.
        weight_decay: λ.
        initial_accumulator_value: what s starts from.
        eps: ε.
        maximize: ascend instead.

    Raises:
        ValueError: for a negative value; see also `Optimizer`.

    Source: Duchi, Hazan, Singer 2011.
    """

    slots = ("sum",)

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        nonnegative("Adagrad", group, "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def _initial(self, slot: str, group: Mapping[str, Any]) -> float:
        return float(group["initial_accumulator_value"])

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        _C.optim_adagrad(spans, self._penalty(group), lr, group["lr_decay"], group["eps"])
