"""LARS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["LARS"]


class LARS(Optimizer):
    """LARS: SGD with momentum whose gradients are scaled, parameter by parameter, to the norm of the weights.

        a = η ‖w‖ / (‖g‖ + λ ‖w‖);  v ← μ v + a (g + λ w)
        w ← w - lr v,  or with Nesterov  w ← w - lr (a (g + λ w) + μ v)

    a is 1 where one of the norms is 0.

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        momentum: μ.
        weight_decay: λ.
        nesterov: look ahead by the momentum.
        maximize: ascend instead.
        trust_coefficient: η.
        adapt: whether gradients are scaled; a group of biases and norm layers often is not.

    Raises:
        ValueError: for a negative value; see also `Optimizer`.

    Source: You, Gitman, Ginsburg 2017, arXiv:1708.03888; the learning rate stands outside the momentum, as in `SGD`.
    """

    slots = ("momentum_buffer",)

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        trust_coefficient: float = 1e-3,
        adapt: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "trust_coefficient": trust_coefficient,
            "adapt": adapt,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        nonnegative("LARS", group, "momentum", "weight_decay", "trust_coefficient")

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        momentum, trust, nesterov, adapt = (
            group[name] for name in ("momentum", "trust_coefficient", "nesterov", "adapt")
        )
        _C.optim_lars(spans, self._penalty(group), lr, momentum, trust, nesterov, adapt)
