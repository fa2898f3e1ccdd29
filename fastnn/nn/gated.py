"""Activation layers in which features compete or gate each other."""

from __future__ import annotations

from ..autograd.tensor import Tensor
from . import functional as F
from .module import Module


class GLU(Module):
    """a sigmoid(b), a and b being the halves of the input along `dim`: (*, 2 C, *) -> (*, C, *).

    Source: Dauphin et al., "Language modeling with gated convolutional networks", arXiv:1612.08083.
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Maxout(Module):
    """The maximum over groups of `pieces` neighbouring features: (N, C, *) -> (N, C / pieces, *).

    Args:
        pieces: how many linear pieces each output chooses from.
        dim: the dimension of the features.

    Source: Goodfellow et al., "Maxout networks", ICML 2013, arXiv:1302.4389.
    """

    def __init__(self, pieces: int, dim: int = 1) -> None:
        self.pieces = pieces
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.maxout(input, self.pieces, self.dim)

    def extra_repr(self) -> str:
        return f"pieces={self.pieces}, dim={self.dim}"
