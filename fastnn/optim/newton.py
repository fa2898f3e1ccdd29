"""Newton's method for small problems: with the whole Hessian, damped, and with Hessian-vector products alone.

Second derivatives are central differences of exact gradients, in float64.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..autograd.dtype import Array
from ..autograd.numeric import hessian_matrix, hessian_product
from .checks import nonnegative
from .flat import FlatOptimizer
from .line_search import strong_wolfe
from .optimizer import Group, Parameters

__all__ = ["Newton", "NewtonCG"]

# Of the largest eigenvalue: what counts as none, and what an indefinite Hessian is raised to.
_SINGULAR, _SHARE = 1e-13, 1e-3


class _Newton(FlatOptimizer):
    """Iterations along a direction that the Hessian gives."""

    def __init__(self, params: Parameters, defaults: Group) -> None:
        super().__init__(params, defaults)
        for i, parameter in enumerate(self._parameters()):
            if parameter.data.dtype != np.float64:
                raise TypeError(
                    f"{type(self).__name__}: differences of gradients need float64, parameter {i} is "
                    f"{parameter.data.dtype}"
                )

    @abstractmethod
    def _direction(self, gradient: Callable[[Array], Array], x: Array, g: Array) -> Array:
        """Where to go from x, whose gradient is g; downhill."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to `max_iter` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls `backward` and returns the loss.

        Returns:
            The loss before them, a number.
        """
        evaluate, group = self._needs(closure), self.param_groups[0]
        value, gradient = self._evaluate(evaluate)
        first, x = value, self._gather()
        self.step_count += 1
        for _ in range(group["max_iter"]):
            if np.abs(gradient).max(initial=0.0) <= group["tolerance_grad"]:
                break
            self.memory["n_iter"] += 1
            direction = self._direction(lambda at: self._evaluate(evaluate, at)[1], x, gradient)
            t = self._rate(group)
            if group["line_search_fn"] is None:
                value, gradient = self._evaluate(evaluate, x + t * direction)
            else:
                point, _ = strong_wolfe(self._along(evaluate, x, direction), direction, value, gradient, t)
                t, value, gradient = point.t, point.value, point.gradient
            x = x + t * direction
            self._scatter(x)
            if np.abs(t * direction).max() <= group["tolerance_change"]:
                break
        return first


class Newton(_Newton):
    """Damped Newton steps `x ← x - t (H + λ I)⁻¹ g` with the whole Hessian H; 2n gradients for each.

    λ is `damping`, or where H + λ I is then not positive definite so much more that its least eigenvalue is a
    thousandth of H's largest. t comes from a line search with the strong Wolfe conditions.

    Args:
        params: float64 parameters; one group.
        lr: the length t to try first.
        max_iter: iterations of one `step`.
        damping: λ.
        tolerance_grad: stops where no element of the gradient is larger.
        tolerance_change: stops where no parameter has changed by more.
        line_search_fn: "strong_wolfe"; None takes the length `lr` as it is.

    Raises:
        TypeError: if a parameter is not float64.
        ValueError: for a negative value, several groups, or a step without a closure.

    Source: Nocedal, Wright 2006, section 3.4; damping after Levenberg 1944.

    Example:
        >>> from fastnn import Tensor
        >>> w = Tensor(np.array([3.0, -2.0]), requires_grad=True)
        >>> optimizer = Newton([w], max_iter=1, line_search_fn=None)
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w[0] - 1) ** 2 + 50 * (w[1] + w[0]) ** 2
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
        >>> w.data.round(6).tolist()
        [1.0, -1.0]
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1.0,
        max_iter: int = 20,
        damping: float = 0.0,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-12,
        line_search_fn: str | None = "strong_wolfe",
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "damping": damping,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        nonnegative("Newton", group, "damping")

    def _direction(self, gradient: Callable[[Array], Array], x: Array, g: Array) -> Array:
        values, vectors = np.linalg.eigh(hessian_matrix(gradient, x))
        damping, largest = float(self.param_groups[0]["damping"]), float(np.abs(values).max())
        if values[0] + damping <= _SINGULAR * largest:
            damping = _SHARE * (largest or 1.0) - float(values[0])
        direction: Array = -(vectors @ ((vectors.T @ g) / (values + damping)))
        return direction


class NewtonCG(_Newton):
    """Newton steps whose direction solves `H d = -g` by conjugate gradients: products H v and no matrix.

    The inner iteration ends at the residual `min(½, √‖g‖) ‖g‖`, which makes the outer one converge superlinearly, or
    at a direction of negative curvature; each product costs two gradients. The length comes from a line search with
    the strong Wolfe conditions.

    Args:
        params: float64 parameters; one group.
        lr: the length to try first.
        max_iter: iterations of one `step`.
        max_cg: inner iterations for each; 20 times the number of parameters if None.
        tolerance_grad: stops where no element of the gradient is larger.
        tolerance_change: stops where no parameter has changed by more.
        line_search_fn: "strong_wolfe"; None takes the length `lr` as it is.

    Raises:
        TypeError: if a parameter is not float64.
        ValueError: for a negative value, several groups, or a step without a closure.

    Source: Nocedal, Wright 2006, algorithm 7.1.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float | Callable[[int], float] = 1.0,
        max_iter: int = 50,
        max_cg: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-12,
        line_search_fn: str | None = "strong_wolfe",
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_cg": max_cg,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def _direction(self, gradient: Callable[[Array], Array], x: Array, g: Array) -> Array:
        length = float(np.linalg.norm(g))
        target = min(0.5, math.sqrt(length)) * length
        most = self.param_groups[0]["max_cg"]
        z, residual, d = np.zeros_like(g), g.copy(), -g
        for _ in range(20 * len(g) if most is None else most):
            product = hessian_product(gradient, x, d)
            curvature = float(d @ product)
            if curvature <= 0.0:
                return z if z.any() else d
            before = float(residual @ residual)
            a = before / curvature
            z, residual = z + a * d, residual + a * product
            after = float(residual @ residual)
            if math.sqrt(after) <= target:
                break
            d = -residual + (after / before) * d
        return z
