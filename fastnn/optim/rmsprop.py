"""RMSprop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop: the gradient over a moving root mean square of itself.

        g ← ∇f(w) + λ w;  s ← α s + (1 - α) g²;  r = √s + ε
        centered:  m ← α m + (1 - α) g;  r = √(s - m²) + ε
        w ← w - lr g / r,  or with momentum  v ← μ v + g / r;  w ← w - lr v

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        alpha: α.
        eps: ε.
        weight_decay: λ.
        momentum: μ.
        centered: divide by the standard deviation of the gradient instead of its root mean square.
        maximize: ascend instead.

    Raises:
        ValueError: for a negative value; see also `Optimizer`.

    Source: Tieleman, Hinton 2012; centred form from Graves 2013.
    """

    slots = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        nonnegative("RMSprop", group, "alpha", "eps", "weight_decay", "momentum")

    def _active(self, group: Mapping[str, Any]) -> tuple[str | None, ...]:
        square_avg, momentum_buffer, grad_avg = self.slots
        return (
            square_avg,
            momentum_buffer if group["momentum"] > 0 else None,
            grad_avg if group["centered"] else None,
        )

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        _C.optim_rmsprop(
            spans,
            self._penalty(group),
            lr,
            group["alpha"],
            group["eps"],
            group["momentum"],
            group["centered"],
        )
