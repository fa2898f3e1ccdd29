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
    evaluation mode the layer is the identity. With `scale_at_test` it is the form of the paper: in training mode
    nothing is divided, in evaluation mode the input is multiplied by 1 - p.

    Args:
        p: the probability of a zero.
        inplace: accepted as in PyTorch; the input is never changed.
        scale_at_test: scale in evaluation mode instead of in training mode.
        generator: where random numbers come from; None means the default generator.

    Shape:
        (*) -> (*); for the channel forms (N, C, *sizes).

    Raises:
        ValueError: if p is not within [0, 1].

    Source: Srivastava et al., JMLR 15 (2014); for channels Tompson et al., arXiv:1411.4280.
    """

    _drop: Callable[..., Tensor]

    def __init__(
        self,
        p: float = 0.5,
        inplace: bool = False,
        *,
        scale_at_test: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: expected 0 <= p <= 1, got {p}")
        self.p = p
        self.inplace = inplace
        self.scale_at_test = scale_at_test
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        if self.p == 0 or not (self.training or self.scale_at_test):
            return input
        return type(self)._drop(
            input, self.p, self.training, scale_at_test=self.scale_at_test, generator=self.generator
        )

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}" + (", scale_at_test=True" if self.scale_at_test else "")


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


class StochasticDepth(Module):
    """In training mode, samples set to 0 with probability p and the others divided by 1 - p; ends a residual branch.

    In a residual block, `y = x + StochasticDepth(p, "row")(branch(x))`, a dropped sample skips the branch. With
    `scale_at_test`, the scaling of the paper, nothing is divided and evaluation mode multiplies by 1 - p.

    Args:
        p: the probability of dropping.
        mode: "row" decides for every sample, "batch" for all of them at once.
        scale_at_test: scale in evaluation mode instead of in training mode.
        generator: where random numbers come from; None means the default generator.

    Shape:
        (N, *) -> (N, *)

    Raises:
        ValueError: if p is not within [0, 1] or the mode is unknown.

    Source: Huang et al. 2016, arXiv:1603.09382; name and modes of torchvision.

    Example:
        >>> from fastnn import nn
        >>> body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), StochasticDepth(0.2, "row"))
        >>> block = nn.Residual(body, activation=nn.ReLU())
    """

    def __init__(
        self, p: float, mode: str = "row", *, scale_at_test: bool = False, generator: Generator | None = None
    ) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"StochasticDepth: expected 0 <= p <= 1, got {p}")
        if mode not in ("row", "batch"):
            raise ValueError(f"StochasticDepth: expected mode 'row' or 'batch', got {mode!r}")
        self.p, self.mode, self.scale_at_test, self.generator = p, mode, scale_at_test, generator

    def forward(self, input: Tensor) -> Tensor:
        if self.p == 0 or not (self.training or self.scale_at_test):
            return input
        return F.stochastic_depth(
            input, self.p, self.mode, self.training, scale_at_test=self.scale_at_test, generator=self.generator
        )

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}" + (", scale_at_test=True" if self.scale_at_test else "")
