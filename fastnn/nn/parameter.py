"""What a Module owns: trainable parameters and the buffers beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..autograd.dtype import as_dtype, get_default_dtype
from ..autograd.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a Module trains: `Module.parameters` yields it, an optimiser changes it.

    Args:
        data: the initial values, a Tensor or array of a floating dtype. The memory is shared, not copied.
        requires_grad: False for a parameter that is saved with the model but not trained (frozen).

    Raises:
        TypeError: if a gradient is required of a dtype that is not floating.

    Example:
        >>> Parameter(np.ones(2, np.float32)).requires_grad
        True
    """

    def __init__(self, data: Tensor | npt.ArrayLike, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a Module's state but is not trained, such as BatchNorm's running mean.

    Args:
        data: the initial values, a Tensor or array of any supported dtype. The memory is shared, not copied.
        persistent: whether `state_dict` holds it.

    A Module changes a buffer in place (`self.count.data += 1`). Assigning another tensor to the attribute
    makes that tensor an ordinary attribute, unless it is a Buffer too.
    """

    def __init__(self, data: Tensor | npt.ArrayLike, persistent: bool = True) -> None:
        super().__init__(data)
        self.persistent = persistent


def allocate(
    layer: str, shape: tuple[int, ...], device: str | None = None, dtype: npt.DTypeLike | None = None
) -> Parameter:
    """A Parameter of zeros, for a layer to initialise.

    Args:
        layer: the layer's name, for error messages.
        shape: the parameter's shape.
        device: None or "cpu": the one device there is.
        dtype: float32 or float64; None means the default dtype.

    Raises:
        ValueError: if `device` is another device.
        TypeError: if `dtype` is not float32 or float64.
    """
    check_device(layer, device)
    return Parameter(np.zeros(shape, real_dtype(layer, dtype)))


def check_device(where: str, device: str | None) -> None:
    """Raise ValueError unless `device` is None or "cpu"."""
    if device is not None and str(device) != "cpu":
        raise ValueError(f"{where}: expected device None or 'cpu', got {device!r}")


def real_dtype(where: str, dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    """`dtype`, None meaning the default, or TypeError if layers cannot compute in it."""
    if dtype is None:
        return get_default_dtype()
    checked = as_dtype(dtype, where)
    if checked not in (np.float32, np.float64):
        raise TypeError(f"{where}: expected dtype float32 or float64, got {checked.name}")
    return checked
