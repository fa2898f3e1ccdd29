"""The base of the methods that see all parameters as one vector: quasi-Newton and Newton."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from ..autograd import Tensor, enable_grad
from ..autograd.dtype import Array
from .checks import nonnegative
from .optimizer import Group, Optimizer, Parameters

__all__ = ["FlatOptimizer"]


class FlatOptimizer(Optimizer):
    """One group of parameters as a float64 vector x, and a closure as the function of it that is minimised.

    A subclass keeps in `memory` what goes from step to step, numbers and arrays by name.

    Args:
        params: parameters; one group.
        defaults: the hyperparameters.

    Raises:
        ValueError: for several groups.
    """

    penalties: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def __init__(self, params: Parameters, defaults: Group) -> None:
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(f"{type(self).__name__}: expected one group of parameters, got {len(self.param_groups)}")
        self.memory: dict[str, Any] = {"n_iter": 0, "func_evals": 0}

    def _check(self, group: Mapping[str, Any]) -> None:
        owner, search = type(self).__name__, group["line_search_fn"]
        nonnegative(owner, group, "max_iter", "tolerance_grad", "tolerance_change")
        if search not in (None, "strong_wolfe"):
            raise ValueError(f"{owner}: expected line_search_fn 'strong_wolfe' or None, got {search!r}")

    # The parameters as a vector

    def _parameters(self) -> list[Tensor]:
        return list(self.param_groups[0]["params"])

    def _gather(self) -> Array:
        """x, a copy."""
        return np.concatenate([p.data.ravel().astype(np.float64) for p in self._parameters()])

    def _scatter(self, x: Array) -> None:
        """Set the parameters to x."""
        start = 0
        for parameter in self._parameters():
            stop = start + parameter.data.size
            parameter.data[...] = x[start:stop].reshape(parameter.shape)
            parameter.bump()
            start = stop

    def _gradient(self) -> Array:
        """The gradients as a vector; zeros for a parameter that has none."""
        parts = [
            np.zeros(p.data.size) if p.grad is None else p.grad.data.ravel().astype(np.float64)
            for p in self._parameters()
        ]
        sign = -1.0 if self.param_groups[0].get("maximize") else 1.0
        return sign * np.concatenate(parts)

    def _evaluate(self, closure: Callable[[], Any], x: Array | None = None) -> tuple[float, Array]:
        """Value and gradient at x, which the parameters are set to; None for where they are."""
        if x is not None:
            self._scatter(x)
        with enable_grad():
            value = float(closure())
        self.memory["func_evals"] += 1
        return value, self._gradient()

    def _along(self, closure: Callable[[], Any], x: Array, direction: Array) -> Callable[[float], tuple[float, Array]]:
        """Value and gradient as a function of the length of a step from x."""
        return lambda t: self._evaluate(closure, x + t * direction)

    def _needs(self, closure: Callable[[], Any] | None) -> Callable[[], Any]:
        if closure is None:
            raise ValueError(f"{type(self).__name__}.step: expected a closure, which is evaluated several times")
        return closure

    # State

    def state_dict(self) -> dict[str, Any]:
        """Hyperparameters in PyTorch's structure, and the memory of the method under "state", for parameter 0.

        Arrays are Tensors; a list of vectors is one Tensor with a row for each.
        """
        kept = {}
        for key, value in self.memory.items():
            if isinstance(value, list):
                value = np.stack(value) if value else np.zeros((0, 0))
            kept[key] = Tensor(np.asarray(value))
        numbers = list(range(len(self._parameters())))
        group = {**self.param_groups[0], "lr": self._rate(self.param_groups[0]), "params": numbers}
        return {"state": {0: kept}, "param_groups": [group], "step": self.step_count}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            ValueError: if groups, names or sizes do not fit; nothing has changed then.
        """
        owner = type(self).__name__
        groups = state_dict.get("param_groups", [])
        if len(groups) != 1 or len(groups[0]["params"]) != len(self._parameters()):
            raise ValueError(f"{owner}.load_state_dict: expected one group of {len(self._parameters())} parameters")
        options = {key: value for key, value in groups[0].items() if key != "params"}
        self._validate({**self.param_groups[0], **options})
        memory: dict[str, Any] = {}
        size = sum(p.data.size for p in self._parameters())
        for key, value in state_dict["state"].get(0, {"n_iter": 0, "func_evals": 0}).items():
            array = np.array(value)
            if array.ndim and array.size and array.shape[-1] != size:
                raise ValueError(f"{owner}.load_state_dict: expected {key} of {size} numbers, got shape {array.shape}")
            memory[key] = self._restored(key, array)
        self.param_groups[0].update(options)
        self.memory = memory
        self.step_count = int(state_dict.get("step", 0))

    def _restored(self, key: str, array: Array) -> Any:
        """An entry of the memory from its array."""
        if array.ndim == 0:
            return int(array) if array.dtype.kind in "iu" else float(array)
        return array
