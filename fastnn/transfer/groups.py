"""Discriminative learning rates: the earlier a layer, the slower it learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..nn import Module
from .stages import Depth, parts

__all__ = ["parameter_groups"]


def parameter_groups(
    model: Module, lr: float | Callable[[int], float], factor: float = 2.6, by: Depth = "stage", **options: Any
) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser, with learning rates that decay from the output to the input.

        lr_l = lr / factor^(L - l)    for the stages l = 1 ... L

    Every stage is a group, frozen or not, from the output to the input: the group of the head comes first, so its rate
    is the one that `Trainer` records. Schedules that multiply the rates keep their ratios; `OneCycleLR` is given
    `max_lr=[group["lr"] for group in groups]`.

    Args:
        model: the network.
        lr: the rate of the last stage; a function of the step for one that every group's follows.
        factor: between one stage and the one before it, >= 1; 1 gives all the same rate.
        by: a group for every "stage" or every "layer", see `stages` and `layers`.
        **options: further hyperparameters of all groups.

    Returns:
        Dicts with "params" (name, parameter), "lr" and "name", the name of the stage.

    Raises:
        ValueError: if `factor` is less than 1, or the network has no parameters.

    Source: Howard and Ruder, "Universal language model fine-tuning", ACL 2018, section 3.2.

    Example:
        >>> from fastnn import models, optim
        >>> groups = parameter_groups(models.create("lenet5"), lr=0.1, factor=2.0)
        >>> [(group["name"], group["lr"]) for group in groups]
        [('11', 0.1), ('9', 0.05), ('7', 0.025), ('3', 0.0125), ('0', 0.00625)]
        >>> len(optim.SGD(groups, lr=0.1, momentum=0.9).param_groups)
        5
    """
    if not factor >= 1:
        raise ValueError(f"parameter_groups: expected factor >= 1, got {factor!r}")
    groups: list[dict[str, Any]] = []
    seen: set[int] = set()
    for depth, part in enumerate(reversed(parts(model, by))):
        # A parameter that two stages share learns at the rate of the later one.
        params = [(name, p) for name, p in part.named_parameters() if id(p) not in seen]
        seen |= {id(p) for _, p in params}
        if params:
            groups.append({"params": params, "lr": _scaled(lr, factor**-depth), "name": part.name, **options})
    return groups


def _scaled(lr: float | Callable[[int], float], share: float) -> float | Callable[[int], float]:
    if not callable(lr):
        return lr * share
    rate = lr
    return lambda step: rate(step) * share
