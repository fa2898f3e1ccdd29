"""The residual block."""

from __future__ import annotations

from typing import Any

from ..autograd.tensor import Tensor
from .module import Module


class Residual(Module):
    """`activation(body(x) + shortcut(x))`.

    Args:
        body: what computes the difference.
        shortcut: what brings x to the shape of the body's output; None is the identity.
        activation: applied to the sum, such as `nn.ReLU()`; None for none.

    Shape:
        x (*) -> (*) of the body's output; the shortcut's must be the same.

    Example:
        >>> from fastnn import nn
        >>> body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
        >>> block = nn.Residual(body, activation=nn.ReLU())

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, arXiv:1512.03385.
    """

    def __init__(self, body: Module, shortcut: Module | None = None, activation: Module | None = None) -> None:
        self.body = body
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, input: Tensor) -> Any:
        skip = input if self.shortcut is None else self.shortcut(input)
        y = self.body(input) + skip
        return y if self.activation is None else self.activation(y)
