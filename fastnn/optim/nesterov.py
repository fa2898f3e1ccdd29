"""Nesterov's momentum in the form in which it was found: the gradient is taken ahead of the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _C
from ..autograd import Tensor, enable_grad
from .checks import nonnegative
from .optimizer import Group, Optimizer, Parameters
from .table import mix

__all__ = ["Nesterov"]


class Nesterov(Optimizer):
    """Momentum with the gradient at the point to which the momentum is about to carry the weights.

        v ← ρ v - lr ∇f(w + ρ v);  w ← w + v

    `step` needs a closure: the weights are moved to w + ρ v, the closure computes the gradient there, then both are
    updated. In the variables u = w + ρ v this is the form that computes the gradient at the weights themselves,

        v ← ρ v - lr ∇f(u);  u ← u + ρ v - lr ∇f(u)

    which is `SGD(..., nesterov=True)` for a constant learning rate, and needs no closure.

    Args:
        params: parameters, or parameter groups (see `Optimizer`).
        lr: learning rate, or a function of the number of steps done.
        momentum: ρ.
        weight_decay: λ, adds λ (w + ρ v) to the gradient.
        maximize: ascend instead.

    Raises:
        ValueError: for a negative value, or a step without a closure; see also `Optimizer`.

    Source: Nesterov 1983; Sutskever et al. 2013.

    Example:
        >>> import numpy as np
        >>> w = Tensor(np.array([1.0]), requires_grad=True)
        >>> optimizer = Nesterov([w], lr=0.1, momentum=0.5)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w * w).sum()
        ...     loss.backward()
        ...     return loss
        >>> for _ in range(2):
        ...     loss = optimizer.step(closure)
        >>> w.data.round(6).tolist()
        [0.56]
    """

    slots = ("velocity",)

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        nonnegative("Nesterov", group, "momentum", "weight_decay")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that gets a gradient at the point ahead.

        Args:
            closure: clears the gradients, computes the loss, calls `backward` and returns the loss.

        Returns:
            What `closure` returned: the loss at the point ahead.

        Raises:
            ValueError: without a closure.
        """
        if closure is None:
            raise ValueError("Nesterov.step: expected a closure, which computes the gradient ahead of the weights")
        moving = [
            (group, [p for p in group["params"] if p in self.state and p.requires_grad]) for group in self.param_groups
        ]
        for group, parameters in moving:
            self._move(parameters, group["momentum"])
        try:
            with enable_grad():
                loss = closure()
        except BaseException:
            for group, parameters in moving:
                self._move(parameters, -group["momentum"])
            raise
        for group, parameters in moving:
            self._move([p for p in parameters if p.grad is None], -group["momentum"])
        super().step()
        return loss

    def _move(self, parameters: list[Tensor], share: float) -> None:
        """`w ← w + share · v`."""
        mix([p.data for p in parameters], 1.0, [self.state[p]["velocity"].data for p in parameters], share)
        for parameter in parameters:
            parameter.bump()

    def _update(self, group: Group, lr: float, spans: Any) -> None:
        _C.optim_nesterov(spans, self._penalty(group), lr, group["momentum"])
