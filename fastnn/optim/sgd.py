"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from .checks import nonnegative
from .optimizer import Optimizer, Parameters

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum μ, Nesterov's momentum and weight decay λ.

        g ← ∇f(w) + λ w
        v ← g                          at the first step
        v ← μ v + (1 - dampening) g    later
        w ← w - lr v,  or with Nesterov  w ← w - lr (g + μ v)

    This v is a sum of gradients; the form `v ← μ v - lr g; w ← w + v` of lecture notes gives the same weights
    as long as the learning rate is constant.

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        momentum: μ; 0 keeps no state.
        dampening: how much of the gradient momentum leaves out.
        weight_decay: λ.
        nesterov: look ahead by the momentum.
        maximize: ascend instead.

    Raises:
        ValueError: for a negative value, or Nesterov without momentum or with dampening; see also `Optimizer`.

    Source: Polyak 1964; Sutskever et al. 2013 for the Nesterov form.

    Example:
        >>> import numpy as np
        >>> from fastnn import Tensor
        >>> w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
        >>> w.grad = Tensor(np.array([0.5, 0.5]))
        >>> SGD([w], lr=0.1, momentum=0.9).step()
        >>> w.data.tolist()
        [0.95, 1.95]
    """

    slots = ("momentum_buffer",)

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        nonnegative("SGD", group, "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum > 0 and dampening 0, got momentum "
                f"{group['momentum']!r} and dampening {group['dampening']!r}"
            )

    def _active(self, group: Mapping[str, Any]) -> tuple[str | None, ...]:
        return self.slots if group["momentum"] != 0 else (None,)

    def _update(self, group: dict[str, Any], lr: float, spans: Any) -> None:
        _C.optim_sgd(
            spans,
            self._penalty(group),
            lr,
            group["momentum"],
            group["dampening"],
            group["nesterov"],
        )
