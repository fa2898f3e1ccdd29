"""The base class of learning-rate schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..optimizer import Optimizer

__all__ = ["LRScheduler", "per_group"]


def per_group(owner: str, name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value for each parameter group, from one for all or a sequence.

    Raises:
        ValueError: if a sequence has another length than there are groups.
    """
    count = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(f"{owner}: expected {count} values of {name}, one for each group, got {len(value)}")
    return list(value)


class LRScheduler:
    """A learning rate as a function of the number of steps.

        lr(t) = floor + (base - floor) · factor(t)      t = last_epoch = 0, 1, ...

    A subclass supplies `factor`, or another form in `rate`. The rate is computed from t, not from the rate
    before, so that t is all that resuming needs. Schedules on one optimiser can still be stepped one after the
    other, as in PyTorch: one that finds another rate in a group than it wrote there takes the change over into
    its base.

    Call `step` once after every step of the optimiser, or after every epoch: the unit of t is yours.

    Args:
        optimizer: the optimiser whose groups get the rate. Its rates at this moment are what the schedule
            starts from; groups remember the first as "initial_lr".
        last_epoch: t of the last step done, to resume from; -1 starts anew. Resuming needs "initial_lr" in
            every group, as an optimiser's state dict has it.

    Attributes:
        last_epoch: t.
        base_lrs: the "initial_lr" of each group.

    Raises:
        TypeError: if `optimizer` is not an Optimizer, or a learning rate is a function.
        ValueError: if `last_epoch` is below -1, or above it without "initial_lr".
    """

    chains: ClassVar[bool] = True
    floor: float = 0.0

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        owner = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{owner}: expected an Optimizer, got {type(optimizer).__name__}")
        if last_epoch < -1:
            raise ValueError(f"{owner}: expected last_epoch >= -1, got {last_epoch!r}")
        for i, group in enumerate(optimizer.param_groups):
            if callable(group["lr"]):
                raise TypeError(f"{owner}: the learning rate of group {i} is a function already")
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(f"{owner}: resuming at {last_epoch} needs 'initial_lr' in group {i}")
        self.optimizer = optimizer
        self.base_lrs: list[float] = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch + 1
        self._bases = self._present() if self.chains and last_epoch == -1 else list(self.base_lrs)
        self._last_lr: list[float] = []
        self._write()

    # What a subclass supplies

    def factor(self, step: int, group: int) -> float:
        """The factor of the rate of a group at step t = `step`."""
        raise NotImplementedError(f"{type(self).__name__}: factor is not implemented")

    def rate(self, step: int, group: int, base: float) -> float:
        """The rate of a group at step t = `step` if it starts from `base`."""
        return self.floor + (base - self.floor) * self.factor(step, group)

    # What users call

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step, or to step `epoch`, and set the rates of the optimiser's groups.

        Args:
            epoch: where to go instead. The rate is then that of a schedule that had the optimiser to itself.
        """
        if epoch is None:
            self._follow()
            self.last_epoch += 1
        else:
            self._bases = list(self.base_lrs)
            self.last_epoch = epoch
        self._write()

    def get_lr(self) -> list[float]:
        """The rate of each group at the present step, computed anew."""
        return [self.rate(self.last_epoch, i, base) for i, base in enumerate(self._bases)]

    def get_last_lr(self) -> list[float]:
        """The rate that was last set in each group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs: "last_epoch" and the bases. What the constructor was given is not part of it."""
        return {
            "last_epoch": self.last_epoch,
            "base_lrs": list(self.base_lrs),
            "bases": list(self._bases),
            "_last_lr": list(self._last_lr),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken, and set the rates of that step in the optimiser.

        Args:
            state_dict: from fastnn or PyTorch; only "last_epoch" is indispensable.

        Raises:
            ValueError: if it lacks "last_epoch" or has bases for another number of groups.
        """
        base_lrs = list(state_dict.get("base_lrs", self.base_lrs))
        bases = list(state_dict.get("bases", base_lrs))
        if "last_epoch" not in state_dict or not len(bases) == len(base_lrs) == len(self.base_lrs):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected 'last_epoch' and {len(self.base_lrs)} bases, "
                f"got {dict(state_dict)}"
            )
        self.last_epoch, self.base_lrs, self._bases = state_dict["last_epoch"], base_lrs, bases
        self._write()

    # How it works

    def _present(self) -> list[float]:
        """The rates that are in the groups now."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _follow(self) -> None:
        """Take over into the bases what others have done to the rates since the last step."""
        if not self.chains:
            return
        for i, (present, written) in enumerate(zip(self._present(), self._last_lr)):
            factor = self.factor(self.last_epoch, i) if present != written else 0.0
            if factor != 0.0:
                self._bases[i] = self.floor + (present - self.floor) / factor

    def _write(self) -> None:
        """Set the rates of the present step."""
        groups = self.optimizer.param_groups
        if len(groups) != len(self._bases):
            raise ValueError(
                f"{type(self).__name__}: made for {len(self._bases)} parameter groups, the optimiser has {len(groups)}"
            )
        rates = self.get_lr()
        for group, lr in zip(groups, rates):
            group["lr"] = lr
        self._last_lr = rates

    def _restart(self, step: int, bases: Sequence[float]) -> None:
        """Go to `step` as a schedule that started from `bases`."""
        self._bases = list(bases) if self.chains else list(self.base_lrs)
        self.last_epoch = step
        self._write()
