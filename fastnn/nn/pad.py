"""Padding layers: a border of zeros, of a constant, mirrored, repeated or circular, in one to three dimensions."""

from __future__ import annotations

from typing import Any

from ..autograd.tensor import Tensor
from . import functional as F
from .conv import Ints
from .module import Module


class _Pad(Module):
    """A border around the spatial dimensions; see `functional.pad`.

    Args:
        padding: its width: an int for all sides, or (before, after) of the last dimension, then of the one before it,
            and so on. Negative numbers cut off where the border is constant.

    Shape:
        (N, C, *sizes) or (C, *sizes) -> the same with s' = before + s + after.

    Raises:
        ValueError: if there are not two widths for every dimension; at the call, if a mirrored or circular border is
            wider than the input.
    """

    _mode: str
    _dimensions: int
    value: float | None = None

    def __init__(self, padding: Ints) -> None:
        n = self._dimensions
        self.padding = (padding,) * (2 * n) if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != 2 * n:
            raise ValueError(f"{type(self).__name__}: expected an int or {2 * n} of them, got {padding}")

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (self._dimensions + 1, self._dimensions + 2):
            raise ValueError(
                f"{type(self).__name__}: expected {self._dimensions + 1} or {self._dimensions + 2} dimensions, "
                f"got shape {input.shape}"
            )
        return F.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """A border of one value; see `functional.pad`.

    Args:
        padding: its width: an int for all sides, or (before, after) of the last dimension, then of the one before it,
            and so on. Negative numbers cut off.
        value: what stands there.

    Shape:
        (N, C, *sizes) or (C, *sizes) -> the same with s' = before + s + after.
    """

    _mode = "constant"

    def __init__(self, padding: Ints, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    __doc__ = _Pad.__doc__
    _mode = "constant"
    value: Any = 0.0


class ZeroPad1d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _dimensions = 1


class ZeroPad2d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _dimensions = 2


class ZeroPad3d(_ZeroPad):
    __doc__ = _ZeroPad.__doc__
    _dimensions = 3


class ConstantPad1d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _dimensions = 1


class ConstantPad2d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _dimensions = 2


class ConstantPad3d(_ConstantPad):
    __doc__ = _ConstantPad.__doc__
    _dimensions = 3


class ReflectionPad1d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 1
    _mode = "reflect"


class ReflectionPad2d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 2
    _mode = "reflect"


class ReflectionPad3d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 3
    _mode = "reflect"


class ReplicationPad1d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 1
    _mode = "replicate"


class ReplicationPad2d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 2
    _mode = "replicate"


class ReplicationPad3d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 3
    _mode = "replicate"


class CircularPad1d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 1
    _mode = "circular"


class CircularPad2d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 2
    _mode = "circular"


class CircularPad3d(_Pad):
    __doc__ = _Pad.__doc__
    _dimensions = 3
    _mode = "circular"
