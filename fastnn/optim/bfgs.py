"""BFGS with a dense inverse Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.dtype import Array
from .flat import FlatOptimizer
from .line_search import strong_wolfe
from .optimizer import Parameters

__all__ = ["BFGS"]


class BFGS(FlatOptimizer):
    """BFGS: steps along `-H g`, H being an estimate of the inverse Hessian as a matrix; for few parameters.

        H ← (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ,   s = xₖ₊₁ - xₖ,  y = gₖ₊₁ - gₖ,  ρ = 1 / yᵀs

    H starts as the identity, and before the first update as `(yᵀs / yᵀy) I`. The step's length comes from a line search
    with the strong Wolfe conditions, which keeps H positive definite.

    Args:
        params: parameters; one group.
        lr: the length to try first.
        max_iter: iterations of one `step`.
        tolerance_grad: stops where no element of the gradient is larger.
        tolerance_change: stops where no parameter has changed by more.
        line_search_fn: "strong_wolfe"; None takes the length `lr` as it is.

    Raises:
        ValueError: for a negative value, several groups, or a step without a closure.

    Source: Nocedal, Wright 2006, algorithm 6.1 and equation 6.20.

    Example:
        >>> from fastnn import Tensor
        >>> w = Tensor(np.array([3.0, -2.0]), requires_grad=True)
        >>> optimizer = BFGS([w])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = ((w - 1) ** 4).sum() + (w * w).sum()
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
        >>> w.data.round(4).tolist()
        [0.4102, 0.4102]
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1.0,
        max_iter: int = 100,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-12,
        line_search_fn: str | None = "strong_wolfe",
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls `backward` and returns the loss.

        Returns:
            The loss before them, a number.
        """
        evaluate, group, memory = self._needs(closure), self.param_groups[0], self.memory
        lr = self._rate(group)
        value, gradient = self._evaluate(evaluate)
        first, x = value, self._gather()
        self.step_count += 1
        for _ in range(group["max_iter"]):
            if np.abs(gradient).max(initial=0.0) <= group["tolerance_grad"]:
                break
            memory["n_iter"] += 1
            inverse = memory.get("inverse")
            direction = -gradient if inverse is None else -(inverse @ gradient)
            t = min(1.0, 1.0 / float(np.abs(gradient).sum())) * lr if inverse is None else lr
            if group["line_search_fn"] is None:
                moved = self._evaluate(evaluate, x + t * direction)
            else:
                point, _ = strong_wolfe(self._along(evaluate, x, direction), direction, value, gradient, t)
                t, moved = point.t, (point.value, point.gradient)
            step, change = t * direction, moved[1] - gradient
            x, (value, gradient) = x + step, moved
            self._scatter(x)
            self._learn(step, change)
            if np.abs(step).max() <= group["tolerance_change"]:
                break
        return first

    def _learn(self, step: Array, change: Array) -> None:
        """Update H by a pair whose curvature is positive; another one would make it indefinite."""
        curvature = float(step @ change)
        if curvature <= 1e-14 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            return
        inverse = self.memory.get("inverse")
        if inverse is None:
            inverse = np.eye(len(step)) * (curvature / float(change @ change))
        across = inverse @ change
        inverse = inverse + np.outer(step, step) * ((curvature + float(change @ across)) / curvature**2)
        self.memory["inverse"] = inverse - (np.outer(across, step) + np.outer(step, across)) / curvature
