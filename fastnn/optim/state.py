"""Reading an optimiser's state dict: everything is checked before anything is taken over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from ..autograd.dtype import Array
from .table import array_in_layout_of

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = ["load_groups", "load_state"]

IMPLEMENTATION = frozenset(("foreach", "fused", "capturable", "differentiable"))
"""Options of PyTorch's optimisers that choose among its implementations; fastnn has one."""


def load_groups(optimizer: Optimizer, state_dict: Mapping[str, Any], problems: list[str]) -> list[dict[str, Any]]:
    """The hyperparameters of each group, without "params"; what does not fit is added to `problems`."""
    saved = state_dict.get("param_groups")
    if saved is None or "state" not in state_dict:
        problems.append(f"expected 'state' and 'param_groups', got {sorted(state_dict)}")
        return []
    own = optimizer.param_groups
    if len(saved) != len(own):
        problems.append(f"expected {len(own)} parameter groups, got {len(saved)}")
        return []
    result = []
    for i, (group, loaded) in enumerate(zip(own, saved)):
        if len(loaded["params"]) != len(group["params"]):
            problems.append(f"group {i}: expected {len(group['params'])} parameters, got {len(loaded['params'])}")
        options = {k: v for k, v in loaded.items() if k != "params" and k not in IMPLEMENTATION | optimizer.essential}
        options = {k: tuple(v) if k == "betas" else v for k, v in options.items()}
        if callable(group["lr"]):
            options.pop("lr", None)
        unknown = sorted(set(options) - set(group) - optimizer.extras)
        if unknown:
            problems.append(f"group {i}: unknown hyperparameters {unknown}")
        try:
            optimizer._validate({**group, **options})
        except (TypeError, ValueError) as error:
            problems.append(f"group {i}: {error}")
        result.append(options)
    return result


def load_state(
    optimizer: Optimizer, state_dict: Mapping[str, Any], problems: list[str]
) -> dict[Tensor, dict[str, Tensor]]:
    """Copies of the state of each parameter; what does not fit is added to `problems`."""
    if problems:
        return {}
    pairs = zip(optimizer.param_groups, state_dict["param_groups"])
    owner = {number: p for group, saved in pairs for number, p in zip(saved["params"], group["params"])}
    state: dict[Tensor, dict[str, Tensor]] = {}
    for number, loaded in state_dict["state"].items():
        if number not in owner:
            problems.append(f"state of parameter {number!r}, which is in no group")
            continue
        slots = {k: np.asarray(v) for k, v in loaded.items() if v is not None and k not in optimizer.derived}
        entry = _copies(optimizer, number, owner[number].data, slots, problems)
        if entry:
            state[owner[number]] = entry
    return state


def _copies(
    optimizer: Optimizer, number: int, weight: Array, slots: dict[str, Array], problems: list[str]
) -> dict[str, Tensor]:
    """The state of one parameter in the layout and dtype of its weight, with a step count if it has any slots."""
    step = slots.pop("step", None)
    entry: dict[str, Tensor] = {}
    for slot, values in slots.items():
        if slot not in optimizer.slots:
            problems.append(f"parameter {number}: unknown state {slot!r}, expected {list(optimizer.slots)}")
        elif values.shape != weight.shape:
            problems.append(f"parameter {number}: expected {slot} of shape {weight.shape}, got {values.shape}")
        else:
            copy = array_in_layout_of(weight, 0.0)
            copy[...] = values
            entry[slot] = Tensor(copy)
    if step is not None and step.size != 1:
        problems.append(f"parameter {number}: expected one step count, got shape {step.shape}")
    elif entry:
        # PyTorch's SGD counts no steps; that it has a buffer says that there was a first one.
        # First, as in a state that grew by steps: the same state is the same bytes in a file.
        return {"step": Tensor(np.asarray(1 if step is None else int(step.item()), np.int64)), **entry}
    return entry
