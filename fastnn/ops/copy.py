"""Copies of a tensor: another dtype, another layout, or just memory of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from ..autograd.dtype import SUPPORTED, as_dtype

__all__ = ["clone", "contiguous", "to"]


def _identity(dy: Array, needs: Needs) -> Grads:
    return (dy,)


@op
def clone(input: Array) -> tuple[Array, Backward]:
    """A copy with memory of its own, laid out as `input` is; the gradient flows through."""
    return input.copy("K"), _identity


@op
def _contiguous(input: Array) -> tuple[Array, Backward]:
    """The operation behind `contiguous`."""
    return np.ascontiguousarray(input), _identity


def contiguous(input: Tensor) -> Tensor:
    """The tensor itself if its last dimension is the fastest in memory and so on, else a copy that is so.

    Operations never need this: channels-last activations are what they like best.
    """
    return input if input.data.flags.c_contiguous else _contiguous(input)


@op
def _to(input: Array, dtype: npt.DTypeLike) -> tuple[Array, Backward | None]:
    """The operation behind `to`: the tensor in another dtype."""
    y = input.astype(as_dtype(dtype, "to"))
    return y, _identity if y.dtype.kind == "f" else None


def to(input: Tensor, *targets: Any, dtype: npt.DTypeLike | None = None, copy: bool = False, **device: Any) -> Tensor:
    """The tensor in another dtype; itself if it has that already.

    Args:
        input: values.
        targets: a dtype, another Tensor (for its dtype), or the device "cpu", which is where all tensors are.
        dtype: the dtype, by keyword.
        copy: give a copy in any case.
        device: `device="cpu"` and `non_blocking` are accepted for PyTorch's sake.

    Raises:
        TypeError: if a target is none of these, or the dtype is not supported.
        ValueError: if another device than "cpu" is asked for.
    """
    unknown = set(device) - {"device", "non_blocking"}
    if unknown:
        raise TypeError(f"to: unexpected arguments {sorted(unknown)}")
    for target in (*targets, device.get("device")):
        if isinstance(target, Tensor):
            dtype = target.dtype
        elif isinstance(target, str) and target.split(":")[0] not in {each.name for each in SUPPORTED}:
            if target != "cpu":
                raise ValueError(f"to: expected the device 'cpu' or a dtype, got {target!r}")
        elif target is not None:
            dtype = as_dtype(target, "to")
    wanted = input.dtype if dtype is None else as_dtype(dtype, "to")
    if wanted is not input.dtype:
        return _to(input, wanted)
    return clone(input) if copy else input
