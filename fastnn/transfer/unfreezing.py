"""Gradual unfreezing, a callback of the training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..train.callbacks import Callback
from .freezing import set_frozen
from .stages import Depth, parts

if TYPE_CHECKING:
    from ..train import Trainer

__all__ = ["GradualUnfreezing"]


class GradualUnfreezing(Callback):
    """Trains the last stage alone at first, and one stage more every few epochs.

        stages trained in epoch e = 0, 1, ...:  min(L, start + ⌊e / every⌋), from the output on

    The optimiser holds the parameters of all stages from the start (`parameter_groups` gives every one a rate of its
    own): what is frozen has no gradient, so no optimiser touches it or keeps state for it, and saved states and
    schedules fit at any time. What is trained follows from the epoch alone, so a resumed training goes on as it was.

    Args:
        every: epochs between one stage and the next, >= 1.
        start: stages trained from the first epoch on, >= 1.
        by: whether to unfreeze by "stage" or by "layer", see `stages` and `layers`.

    Raises:
        ValueError: if a number is less than 1, or, when training starts, the optimiser lacks a parameter of a stage.

    Source: Howard and Ruder, "Universal language model fine-tuning", ACL 2018, section 3.3.

    Example:
        >>> from fastnn import data, models, nn, optim, train
        >>> model = models.create("lenet5", 10, 1, 12)
        >>> trainer = train.Trainer(
        ...     model, optim.SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), callbacks=[GradualUnfreezing()]
        ... )
        >>> pixels = np.zeros((4, 12, 12), np.uint8)
        >>> history = trainer.fit(data.DataLoader(data.ArrayDataset(pixels, [0, 1, 2, 3]), 4), epochs=2)
        >>> [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        ['9.weight', '9.bias', '11.weight', '11.bias']
    """

    def __init__(self, every: int = 1, start: int = 1, by: Depth = "stage") -> None:
        if every < 1 or start < 1:
            raise ValueError(f"GradualUnfreezing: expected every and start >= 1, got {every} and {start}")
        self.every, self.start, self.by = every, start, by

    def trained(self, epoch: int, count: int) -> int:
        """How many of `count` stages an epoch trains, the first one being 0."""
        return min(count, self.start + epoch // self.every)

    def on_fit_start(self, trainer: Trainer) -> None:
        held = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
        missing = [
            name for part in parts(trainer.model, self.by) for name, p in part.named_parameters() if id(p) not in held
        ]
        if missing:
            raise ValueError(
                f"GradualUnfreezing: expected an optimizer of all parameters, it lacks {', '.join(missing)}"
            )

    def on_epoch_start(self, trainer: Trainer) -> None:
        every = parts(trainer.model, self.by)
        trained = self.trained(trainer.epoch, len(every))
        for part in every[: len(every) - trained]:
            set_frozen(trainer.model, (p for _, p in part.named_parameters()), True)
        for part in every[len(every) - trained :]:
            set_frozen(trainer.model, (p for _, p in part.named_parameters()), False)
