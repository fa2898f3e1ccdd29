"""Limited-memory BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd.dtype import Array
from .flat import FlatOptimizer
from .line_search import strong_wolfe
from .optimizer import Parameters

__all__ = ["LBFGS"]


class LBFGS(FlatOptimizer):
    """L-BFGS: steps `x ← x - t H g`, H being the inverse Hessian that the last steps and gradients speak of.

    With s = xₖ₊₁ - xₖ, y = gₖ₊₁ - gₖ and ρ = 1 / yᵀs each pair updates H by `(I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ`,
    starting from `(sᵀy / yᵀy) I`; a recursion over the pairs applies it to g. For functions that give the same value
    for the same parameters: full batches, no dropout.

    Args:
        params: parameters; one group.
        lr: the step t, or with a line search the first one to try.
        max_iter: iterations of one `step`.
        max_eval: evaluations of the function in one `step`; `max_iter * 5 / 4` if None.
        tolerance_grad: stops where no element of the gradient is larger.
        tolerance_change: stops where no parameter, or the value, has changed by more.
        history_size: number of pairs kept.
        line_search_fn: "strong_wolfe" or None. Without it a step may go uphill.

    Raises:
        ValueError: for a negative value, several groups, or a step without a closure.

    Source: Liu, Nocedal 1989; Nocedal, Wright 2006, algorithm 7.4. Interface, defaults and tests for the end are
    PyTorch's.

    Example:
        >>> from fastnn import Tensor
        >>> w = Tensor(np.array([-1.2, 1.0]), requires_grad=True)
        >>> optimizer = LBFGS([w], max_iter=100, line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
        >>> w.data.round(3).tolist()
        [1.0, 1.0]
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        self.memory |= {"t": 0.0, "old_stps": [], "old_dirs": [], "H_diag": 1.0}

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls `backward` and returns the loss.

        Returns:
            What the closure returned first.
        """
        evaluate = self._needs(closure)
        group, memory = self.param_groups[0], self.memory
        lr, before = self._rate(group), memory["func_evals"]
        first: list[Any] = []

        def keep() -> Any:
            loss = evaluate()
            if not first:
                first.append(loss)
            return loss

        value, gradient = self._evaluate(keep)
        x = self._gather()
        self.step_count += 1
        if np.abs(gradient).max(initial=0.0) <= group["tolerance_grad"]:
            return first[0]
        for iteration in range(1, group["max_iter"] + 1):
            memory["n_iter"] += 1
            direction = self._direction(gradient)
            memory["d"], memory["prev_flat_grad"] = direction, gradient
            # Without a notion of the curvature the first step is short.
            t = min(1.0, 1.0 / float(np.abs(gradient).sum())) * lr if memory["n_iter"] == 1 else lr
            if float(gradient @ direction) > -group["tolerance_change"]:
                break
            last, previous = iteration == group["max_iter"], value
            left = group["max_eval"] - (memory["func_evals"] - before)
            x, value, gradient, t = self._move(evaluate, x, value, gradient, direction, t, left, last)
            memory["t"] = t
            if (
                last
                or memory["func_evals"] - before >= group["max_eval"]
                or np.abs(gradient).max() <= group["tolerance_grad"]
                or np.abs(t * direction).max() <= group["tolerance_change"]
                or abs(value - previous) < group["tolerance_change"]
            ):
                break
        return first[0]

    def _direction(self, gradient: Array) -> Array:
        """`-H g`, after the pair of the last step has joined the others."""
        memory = self.memory
        if memory["n_iter"] == 1:
            return -gradient
        steps, changes = memory["old_stps"], memory["old_dirs"]
        change, step = gradient - memory["prev_flat_grad"], memory["t"] * memory["d"]
        curvature = float(change @ step)
        if curvature > 1e-10:
            steps.append(step)
            changes.append(change)
            for kept in (steps, changes):
                del kept[: -self.param_groups[0]["history_size"]]
            memory["H_diag"] = curvature / float(change @ change)
        q: Array = -gradient
        weights: list[float] = []
        for s, y in zip(reversed(steps), reversed(changes)):
            weights.append(float(s @ q) / float(y @ s))
            q = q - weights[-1] * y
        r: Array = memory["H_diag"] * q
        for s, y, weight in zip(steps, changes, reversed(weights)):
            r = r + s * (weight - float(y @ r) / float(y @ s))
        return r

    def _move(
        self,
        closure: Callable[[], Any],
        x: Array,
        value: float,
        gradient: Array,
        direction: Array,
        t: float,
        left: int,
        last: bool,
    ) -> tuple[Array, float, Array, float]:
        """Where a step leads: x, value, gradient and the step's length."""
        if self.param_groups[0]["line_search_fn"] is not None:
            point, _ = strong_wolfe(self._along(closure, x, direction), direction, value, gradient, t, most=left)
            self._scatter(x + point.t * direction)
            return x + point.t * direction, point.value, point.gradient, point.t
        self._scatter(x + t * direction)
        if not last:  # what comes after the last step is not looked at
            value, gradient = self._evaluate(closure)
        return x + t * direction, value, gradient, t

    def _restored(self, key: str, array: Array) -> Any:
        return list(array) if key in ("old_stps", "old_dirs") else super()._restored(key, array)
