"""Changing a Tensor in place: `add_`, `+=`, `t[i] = v` and their like.

Two cases:

* Nothing is recorded (under `no_grad`, or nobody involved requires a gradient): the memory is changed, every
  view of it sees that, and its version counter goes up, so that a backward pass that saved it raises.
* The change is recorded: the result of the operation is computed in new memory, which the Tensor then
  takes for its own. What closures saved before stays intact, so `x *= 2` is always differentiable. A Tensor
  that has views, or is one, or a leaf that requires a gradient, cannot be changed this way: it raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .methods import OPS
from .mode import MODE, no_grad

if TYPE_CHECKING:
    from .tensor import Tensor


def _recorded(name: str, target: Tensor, values: tuple[Any, ...]) -> bool:
    """Whether changing `target` must be recorded; raises where it must but cannot be."""
    if not MODE.recording:
        return False
    if target.requires_grad and target.is_leaf:
        raise RuntimeError(
            f"{name}: a leaf that requires a gradient cannot be changed in place; do it under fastnn.no_grad()"
        )
    if not (target.requires_grad or any(getattr(value, "requires_grad", False) for value in values)):
        return False
    if target.has_views:
        raise RuntimeError(
            f"{name}: cannot record a change in place of a tensor that is a view or has views; "
            "use the operation that returns a new tensor"
        )
    return True


def update(name: str, target: Tensor, *values: Any, **options: Any) -> Tensor:
    """`target` with the result of operation `name` on it and `values`, as `target.<name>_(...)` does.

    Raises:
        RuntimeError: if the change must be recorded but cannot be.
        ValueError: if the result has another shape than `target`.
        TypeError: if the result's dtype is of a higher category (an integer cannot take a float's value).
    """
    label = f"{name}_"
    recorded = _recorded(label, target, values)
    if recorded:
        result = OPS[name](target, *values, **options)
    else:
        with no_grad():
            result = OPS[name](target, *values, **options)
    _check(label, target, result)
    return _adopt(target, result) if recorded else _overwrite(target, result)


def _check(label: str, target: Tensor, result: Tensor) -> None:
    if result.shape != target.shape:
        raise ValueError(f"{label}: the result has shape {result.shape}, the tensor {target.shape}")
    if not np.can_cast(result.dtype, target.dtype, "same_kind"):
        raise TypeError(f"{label}: a result of dtype {result.dtype} does not fit a tensor of {target.dtype}")


def _adopt(target: Tensor, result: Tensor) -> Tensor:
    """Make `target` the recorded result: its memory and its place on the tape."""
    if result.dtype != target.dtype:
        result = OPS["to"](result, target.dtype)
    target.data = result.data
    target._edge = result._edge
    target._version = result._version
    target.requires_grad = result.requires_grad
    return target


def _overwrite(target: Tensor, result: Tensor) -> Tensor:
    """Write a result that is not recorded into the memory of `target`."""
    np.copyto(target.data, result.data, casting="same_kind")
    target.bump()
    return target


def assign(target: Tensor, source: Any, label: str = "copy_") -> Tensor:
    """`target` with the values of `source`, broadcast and cast to its dtype."""
    if _recorded(label, target, (source,)):
        source = OPS["to"](source, target.dtype) if hasattr(source, "requires_grad") else source
        return _adopt(target, OPS["index_put"](target, source, ...))
    if not target.data.flags.writeable:
        raise ValueError(f"{label}: the tensor's memory is read-only")
    try:
        np.copyto(target.data, np.asarray(source), casting="unsafe")
    except ValueError:
        raise ValueError(f"{label}: shape {np.shape(source)} does not broadcast to {target.shape}") from None
    target.bump()
    return target


def plain_index(key: Any) -> Any:
    """An index with arrays in place of Tensors."""
    if isinstance(key, tuple):
        return tuple([plain_index(each) for each in key])
    if isinstance(key, list):
        return np.asarray([plain_index(each) for each in key]) if key else np.zeros(0, np.int64)
    if hasattr(key, "requires_grad"):
        key = key.data
    if isinstance(key, np.ndarray) and key.dtype == np.uint8:
        raise TypeError("index: uint8 is neither a mask nor an index here; use .bool() or .long()")
    return key


def set_item(target: Tensor, key: Any, value: Any) -> None:
    """`target[key] = value`; `key` holds no Tensors."""
    if _recorded("__setitem__", target, (value,)):
        _adopt(target, OPS["index_put"](target, value, key))
        return
    target.data[key] = value.data if hasattr(value, "requires_grad") else value
    target.bump()
