"""Averages of weights: the in-place mean that all of them are made of, and Lookahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..autograd.dtype import Array
from .checks import in_range
from .optimizer import Group, Optimizer
from .table import array_in_layout_of, mix

__all__ = ["Lookahead", "lerp_"]


def lerp_(targets: Iterable[Tensor], sources: Iterable[Tensor], weight: float) -> None:
    """Move tensors towards others in place, `a ← (1 - weight) a + weight b`, in one pass over all of them.

    Args:
        targets: float32 or float64 Tensors a without gaps in memory.
        sources: Tensors b of the same shapes and dtypes.
        weight: the share of b; any number.

    Raises:
        ValueError: if there are other numbers of them, or shapes differ; nothing has changed then.
        TypeError: if a dtype does not fit.

    Example:
        >>> a, b = Tensor(np.array([0.0, 4.0])), Tensor(np.array([1.0, 0.0]))
        >>> lerp_([a], [b], 0.25)
        >>> a.data.tolist()
        [0.25, 3.0]
    """
    into, out_of = list(targets), list(sources)
    if len(into) != len(out_of):
        raise ValueError(f"lerp_: expected as many sources as targets, got {len(out_of)} and {len(into)}")
    mix([tensor.data for tensor in into], 1.0 - weight, [tensor.data for tensor in out_of], weight)
    for tensor in into:
        tensor.bump()


class Lookahead:
    """Slow weights that follow the fast ones of another optimiser: every k steps `s ← s + α (w - s); w ← s`.

    It has the methods and attributes of an optimiser, those of the inner one; schedules act on that,
    `Lookahead.optimizer`.

    Args:
        optimizer: what moves the fast weights.
        k: steps of it between two of the slow weights.
        alpha: α, from 0 to 1.

    Attributes:
        optimizer: the inner optimiser.
        slow: the slow weights by parameter, from the first step on.

    Raises:
        TypeError: if `optimizer` is not one.
        ValueError: if k or α is out of range.

    Source: Zhang, Lucas, Hinton, Ba 2019, arXiv:1907.08610.

    Example:
        >>> from fastnn.optim import SGD
        >>> w = Tensor(np.array([1.0]), requires_grad=True)
        >>> lookahead = Lookahead(SGD([w], lr=0.1), k=2, alpha=0.5)
        >>> for _ in range(2):
        ...     w.grad = Tensor(np.array([1.0]))
        ...     lookahead.step()
        >>> w.data.tolist()
        [0.9]
    """

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"Lookahead: expected an Optimizer, got {type(optimizer).__name__}")
        if k < 1:
            raise ValueError(f"Lookahead: expected k >= 1, got {k!r}")
        in_range("Lookahead", "alpha", alpha, 0.0, 1.0)
        self.optimizer, self.k, self.alpha = optimizer, k, alpha
        self.slow: dict[Tensor, Tensor] = {}

    @property
    def param_groups(self) -> list[Group]:
        """The inner optimiser's groups."""
        return self.optimizer.param_groups

    @property
    def step_count(self) -> int:
        """The number of steps done."""
        return self.optimizer.step_count

    def _parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of the inner optimiser, and every k steps one of the slow weights.

        Args:
            closure: see `Optimizer.step`.
        """
        for parameter in self._parameters():
            if parameter not in self.slow:
                self.slow[parameter] = Tensor(_copy(parameter.data))
        loss = self.optimizer.step(closure)
        if self.step_count % self.k == 0:
            parameters = self._parameters()
            slow = [self.slow[p] for p in parameters]
            lerp_(slow, parameters, self.alpha)
            for parameter, target in zip(parameters, slow):
                parameter.data[...] = target.data
                parameter.bump()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """See `Optimizer.zero_grad`."""
        self.optimizer.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The inner optimiser's state dict, and the slow weights by the number of their parameter under "slow"."""
        number = {id(p): i for i, p in enumerate(self._parameters())}
        return {**self.optimizer.state_dict(), "slow": {number[id(p)]: s for p, s in self.slow.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            ValueError: if it does not fit; see `Optimizer.load_state_dict`.
        """
        parameters = self._parameters()
        slow = {int(i): np.asarray(s) for i, s in state_dict.get("slow", {}).items()}
        for i, array in slow.items():
            if not 0 <= i < len(parameters) or array.shape != parameters[i].shape:
                raise ValueError(f"Lookahead.load_state_dict: slow weights {i} of shape {array.shape} do not fit")
        self.optimizer.load_state_dict({key: value for key, value in state_dict.items() if key != "slow"})
        self.slow = {}
        for i, array in slow.items():
            copy = array_in_layout_of(parameters[i].data, 0.0)
            copy[...] = array
            self.slow[parameters[i]] = Tensor(copy)

    def __repr__(self) -> str:
        return f"Lookahead(k={self.k}, alpha={self.alpha}, {self.optimizer!r})"


def _copy(weight: Array) -> Array:
    copy = array_in_layout_of(weight, 0.0)
    copy[...] = weight
    return copy
