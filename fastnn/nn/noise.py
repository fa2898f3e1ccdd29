"""Noise on activations, in training mode only."""

from __future__ import annotations

import numpy as np

from ..autograd.tensor import Tensor
from ..random import Generator, generator_for
from .module import Module


class GaussianNoise(Module):
    """Gaussian noise on the input in training mode, `y = x + σ z` with z from N(0, 1).

    Args:
        std: σ.
        generator: where random numbers come from; None means the default generator.

    Shape:
        (*) -> (*)

    Raises:
        ValueError: if σ is negative.

    Source: Bishop, "Training with noise is equivalent to Tikhonov regularization", 1995.
    """

    def __init__(self, std: float = 0.1, *, generator: Generator | None = None) -> None:
        if not std >= 0:
            raise ValueError(f"GaussianNoise: expected std >= 0, got {std}")
        self.std, self.generator = std, generator

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.std == 0:
            return input
        noise = generator_for(self.generator).rng().standard_normal(input.shape, np.float32)
        return input + Tensor((self.std * noise).astype(input.dtype))

    def extra_repr(self) -> str:
        return f"std={self.std}"
