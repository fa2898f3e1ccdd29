"""Schedules that multiply the learning rate by a function of the step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, per_group

__all__ = [
    "ConstantLR",
    "ExponentialLR",
    "InverseTimeLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]

Factor = Callable[[int], float]


def _functions(owner: str, lr_lambda: Factor | list[Factor], optimizer: Optimizer) -> list[Any]:
    """One function for each group."""
    functions = per_group(owner, "lr_lambda", lr_lambda, optimizer)
    for function in functions:
        if not callable(function):
            raise TypeError(f"{owner}: expected lr_lambda to be a function, got {type(function).__name__}")
    return functions


def _positive(owner: str, name: str, value: float) -> None:
    if not value > 0:
        raise ValueError(f"{owner}: expected {name} > 0, got {value!r}")


def _share(owner: str, name: str, value: float, *, zero: bool = True) -> None:
    if not 0.0 <= value <= 1.0 or (value == 0.0 and not zero):
        raise ValueError(f"{owner}: expected {name} in {'[' if zero else '('}0, 1], got {value!r}")


class LambdaLR(LRScheduler):
    """`lr(t) = base · f(t)`. The functions themselves are not part of the state.

    Args:
        optimizer: see `LRScheduler`.
        lr_lambda: f, or one function for each group.
        last_epoch: see `LRScheduler`.
    """

    chains = False

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1) -> None:
        self.lr_lambdas = _functions("LambdaLR", lr_lambda, optimizer)
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return float(self.lr_lambdas[group](step))


class MultiplicativeLR(LRScheduler):
    """`lr(t) = base · f(1) · f(2) ··· f(t)`. The functions themselves are not part of the state.

    Args:
        optimizer: see `LRScheduler`.
        lr_lambda: f, or one function for each group.
        last_epoch: see `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1) -> None:
        self.lr_lambdas = _functions("MultiplicativeLR", lr_lambda, optimizer)
        self._products = [(0, 1.0) for _ in self.lr_lambdas]
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        done, product = self._products[group]
        if step < done:
            done, product = 0, 1.0
        for t in range(done + 1, step + 1):
            product *= float(self.lr_lambdas[group](t))
        self._products[group] = (step, product)
        return product


class StepLR(LRScheduler):
    """`lr(t) = base · gamma^⌊t / step_size⌋`.

    Args:
        optimizer: see `LRScheduler`.
        step_size: steps between two decays.
        gamma: factor of a decay.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: if `step_size` is not positive.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        _positive("StepLR", "step_size", step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return float(self.gamma ** (step // self.step_size))


class MultiStepLR(LRScheduler):
    """`lr(t) = base · gamma^n`, n being the number of milestones that are at most t.

    Args:
        optimizer: see `LRScheduler`.
        milestones: steps at which to decay; one that is named twice counts twice.
        gamma: factor of a decay.
        last_epoch: see `LRScheduler`.

    Example:
        >>> import numpy as np
        >>> from fastnn import Tensor, optim
        >>> sgd = optim.SGD([Tensor(np.zeros(1), requires_grad=True)], lr=1.0)
        >>> schedule = MultiStepLR(sgd, [2, 3], gamma=0.5)
        >>> rates = schedule.get_last_lr()
        >>> for _ in range(3):
        ...     schedule.step()
        ...     rates += schedule.get_last_lr()
        >>> rates
        [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return float(self.gamma ** bisect_right(self.milestones, step))


class ConstantLR(LRScheduler):
    """`lr(t) = base · factor` while t < total_iters, `base` from then on.

    Args:
        optimizer: see `LRScheduler`.
        factor: from 0 to 1.
        total_iters: steps with the factor.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: if `factor` is not in [0, 1].
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        _share("ConstantLR", "factor", factor)
        self.constant, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return self.constant if step < self.total_iters else 1.0


class LinearLR(LRScheduler):
    """A factor that goes in a straight line from `start_factor` at t = 0 to `end_factor` at `total_iters`.

        lr(t) = base · (start_factor + (end_factor - start_factor) · min(t, total_iters) / total_iters)

    Followed by another schedule in a `SequentialLR`, or stepped beside one, it is the usual warm-up.

    Args:
        optimizer: see `LRScheduler`.
        start_factor: above 0, up to 1.
        end_factor: from 0 to 1.
        total_iters: steps until the end.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: if a factor or `total_iters` is out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _share("LinearLR", "start_factor", start_factor, zero=False)
        _share("LinearLR", "end_factor", end_factor)
        _positive("LinearLR", "total_iters", total_iters)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        done = min(step, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ExponentialLR(LRScheduler):
    """`lr(t) = base · gamma^t`.

    Args:
        optimizer: see `LRScheduler`.
        gamma: factor of every step.
        last_epoch: see `LRScheduler`.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return float(self.gamma**step)


class PolynomialLR(LRScheduler):
    """`lr(t) = base · (1 - min(t, total_iters) / total_iters)^power`.

    Args:
        optimizer: see `LRScheduler`.
        total_iters: steps until the rate is 0.
        power: of the polynomial.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: if `total_iters` is not positive.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        _positive("PolynomialLR", "total_iters", total_iters)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return float((1.0 - min(step, self.total_iters) / self.total_iters) ** self.power)


class InverseTimeLR(LRScheduler):
    """`lr(t) = base / (1 + decay · t)`: the 1/t decay of the lecture notes. PyTorch has no such class.

    Args:
        optimizer: see `LRScheduler`.
        decay: not negative.
        last_epoch: see `LRScheduler`.

    Raises:
        ValueError: if `decay` is negative.
    """

    def __init__(self, optimizer: Optimizer, decay: float, last_epoch: int = -1) -> None:
        if not decay >= 0:
            raise ValueError(f"InverseTimeLR: expected decay >= 0, got {decay!r}")
        self.decay = decay
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int, group: int) -> float:
        return 1.0 / (1.0 + self.decay * step)
