"""Layers that drop part of their input at random, in training mode only."""

from __future__ import annotations

from collections.abc import Callable

from ..autograd.tensor import Tensor
from ..random import Generator
from . import functional as F
from .module import Module


class _Dropout(Module):
    """Inverted dropout: in training mode, zeros with probability p, and the rest divided by 1 - p.

    `Dropout` decides for every element, `Dropout1d`, `2d` and `3d` for every channel of every sample. In
    evaluation mode the layer is the identity.

    Args:
        p: the probability of a zero.
        inplace: accepted as in PyTorch; the input is never changed.
        generator: where random numbers come from; None means the default generator.

    Shape:
        (*) -> (*); for the channel forms (N, C, *sizes).

    Raises:
        ValueError: if p is not within [0, 1].

    Source: Srivastava et al., JMLR 15 (2014); for channels Tompson et al., arXiv:1411.4280.
    """

    _drop: Callable[..., Tensor]

    def __init__(self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: expected 0 <= p <= 1, got {p}")
        self.p = p
        self.inplace = inplace
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        return type(self)._drop(input, self.p, True, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    __doc__ = _Dropout.__doc__
    _drop = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    __doc__ = _Dropout.__doc__
    _drop = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    __doc__ = _Dropout.__doc__
    _drop = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    __doc__ = _Dropout.__doc__
    _drop = staticmethod(F.dropout3d)
