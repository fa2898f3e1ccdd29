"""Parameters that are trained for some epochs only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .callbacks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["Freeze"]


class Freeze(Callback):
    """Freezes parameters from an epoch on: they get no gradients, and the optimiser leaves them alone.

    A batch norm of which all is frozen stays in evaluation mode, see `fastnn.transfer.freeze`.

    Args:
        epochs: names of parameters, as `Module.named_parameters` has them, with the epoch, from 0, in which each is
            frozen.

    Raises:
        ValueError: when training starts, if the network has no parameter of a name.
    """

    def __init__(self, epochs: Mapping[str, int]) -> None:
        self.epochs = dict(epochs)

    def on_fit_start(self, trainer: Trainer) -> None:
        missing = set(self.epochs) - {name for name, _ in trainer.model.named_parameters()}
        if missing:
            raise ValueError(f"Freeze: the network has no parameters {', '.join(sorted(missing))}")

    def on_epoch_start(self, trainer: Trainer) -> None:
        from ..transfer.freezing import set_frozen

        frozen = [
            parameter
            for name, parameter in trainer.model.named_parameters()
            if trainer.epoch >= self.epochs.get(name, trainer.epoch + 1)
        ]
        set_frozen(trainer.model, frozen, True)
