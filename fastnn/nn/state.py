"""Copying saved values into a module: check everything first, then change everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..autograd.tensor import Tensor


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` found different: keys only the module has, and keys only the file has."""

    missing_keys: list[str]
    unexpected_keys: list[str]


_WRAPPER = "module."


def without_wrapper(targets: Mapping[str, Any], values: Mapping[str, Any]) -> Mapping[str, Any]:
    """`values` under the names they had before a wrapper such as PyTorch's DataParallel put "module." before all."""
    if not values or not all(name.startswith(_WRAPPER) for name in values):
        return values
    if any(name.startswith(_WRAPPER) for name in targets):
        return values
    return {name.removeprefix(_WRAPPER): value for name, value in values.items()}


def load(owner: str, targets: Mapping[str, Tensor], values: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Copy `values` into `targets` in place, or raise one ValueError with all reasons not to.

    Args:
        owner: the module's class, for the message.
        targets: the tensors to fill, by name.
        values: Tensors or arrays by name; another floating width is converted, a wrapper's "module." dropped.
        strict: whether a key that only one side has is an error.
    """
    values = without_wrapper(targets, values)
    missing = [name for name in targets if name not in values]
    unexpected = [name for name in values if name not in targets]
    problems = []
    if strict and missing:
        problems.append("missing keys: " + ", ".join(missing))
    if strict and unexpected:
        problems.append("unexpected keys: " + ", ".join(unexpected))
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, target in targets.items():
        if name in values:
            value = values[name]
            array = value.data if isinstance(value, Tensor) else np.asarray(value)
            if array.shape != target.data.shape:
                problems.append(f"'{name}' has shape {array.shape}, expected {target.data.shape}")
            elif not np.can_cast(array.dtype, target.data.dtype, "same_kind"):
                problems.append(f"'{name}' has dtype {array.dtype}, expected {target.data.dtype}")
            elif not target.data.flags.writeable:
                problems.append(f"'{name}' is read-only in the module")
            else:
                # A copy: values may be views of the module's own memory (its state dict, tied weights).
                arrays[name] = array.astype(target.data.dtype, casting="same_kind")
    if problems:
        raise ValueError(f"load_state_dict of {owner}, nothing was loaded:\n  " + "\n  ".join(problems))
    for name, array in arrays.items():
        targets[name].data[...] = array
        targets[name].bump()
    return IncompatibleKeys(missing, unexpected)
