"""Weights in fewer bits: eight for every weight and a scale for every output unit, or sixteen for all.

A matrix or filter W becomes the integers `round(W / s)` with one scale `s = max |W| / 127` for each of its rows (the
weights of one output unit), stored beside it as NAME.scale. Vectors, such as biases and what batch norms hold, stay in
float32: they are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["KINDS", "restore", "shrink"]

KINDS = ("int8", "float16", "float32")
_LEVELS = 127
_SCALE = ".scale"


def shrink(state: Mapping[str, Any], kind: str) -> dict[str, npt.NDArray[Any]]:
    """A state dict as it is stored.

    Args:
        state: Tensors or arrays by name.
        kind: "int8", "float16" or "float32".

    Raises:
        ValueError: if there is no such kind.

    Example:
        >>> stored = shrink({"weight": np.array([[0.5, -1.0], [0.0, 0.0]], np.float32)}, "int8")
        >>> stored["weight"].tolist(), restore(stored)["weight"].round(2).tolist()
        ([[64, -127], [0, 0]], [[0.5, -1.0], [0.0, 0.0]])
    """
    if kind not in KINDS:
        raise ValueError(f"shrink: expected one of {', '.join(KINDS)}, got {kind!r}")
    stored: dict[str, npt.NDArray[Any]] = {}
    for name, value in state.items():
        array = np.array(getattr(value, "data", value))
        if array.dtype.kind != "f" or kind == "float32" or (kind == "int8" and array.ndim < 2):
            stored[name] = array
        elif kind == "float16":
            stored[name] = array.astype(np.float16)
        else:
            rows = np.abs(array.reshape(len(array), -1)).max(axis=1)
            scale = np.where(rows > 0, rows / _LEVELS, 1).astype(np.float32)
            stored[name] = np.rint(array / _rowwise(scale, array.ndim)).astype(np.int8)
            stored[name + _SCALE] = scale
    return stored


def restore(stored: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """The state dict of what was stored, in float32.

    Raises:
        ValueError: if integers lack their scale.
    """
    state: dict[str, npt.NDArray[Any]] = {}
    for name, value in stored.items():
        array = np.asarray(getattr(value, "data", value))
        if array.dtype == np.int8:
            if name + _SCALE not in stored:
                raise ValueError(f"restore: '{name}' is stored as integers, without {name + _SCALE}")
            scale = stored[name + _SCALE]
            state[name] = array * _rowwise(np.asarray(getattr(scale, "data", scale)), array.ndim)
        elif not (name.endswith(_SCALE) and name.removesuffix(_SCALE) in stored):
            state[name] = array.astype(np.float32) if array.dtype.kind == "f" else array
    return state


def _rowwise(scale: npt.NDArray[Any], ndim: int) -> npt.NDArray[Any]:
    return scale.reshape(-1, *[1] * (ndim - 1))
