"""Noise on gradients and on weights, as regularisers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from ..autograd import Tensor
from ..random import Generator, generator_for
from .checks import in_range

__all__ = ["add_grad_noise_", "weight_noise"]


def _listed(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def add_grad_noise_(
    parameters: Tensor | Iterable[Tensor],
    std: float = 1.0,
    step: int = 0,
    gamma: float = 0.0,
    *,
    generator: Generator | None = None,
) -> None:
    """Add Gaussian noise to gradients in place: `g ← g + σ z`, z from N(0, 1), `σ² = std² / (1 + step)^gamma`.

    Args:
        parameters: a Tensor or several; those without a gradient are passed over and use no random numbers.
        std: standard deviation at step 0.
        step: number of the step, from 0.
        gamma: how fast the variance falls; 0.55 in the paper.
        generator: where random numbers come from; None means the default generator. Each gradient uses a stream.

    Raises:
        ValueError: if a number is negative.

    Source: Neelakantan et al. 2015, arXiv:1511.06807.
    """
    for name, value in (("std", std), ("step", step), ("gamma", gamma)):
        in_range("add_grad_noise_", name, value, 0.0, np.inf, below=True)
    sigma = std / (1.0 + step) ** (gamma / 2.0)
    source = generator_for(generator)
    for parameter in _listed(parameters):
        if parameter.grad is None:
            continue
        gradient = parameter.grad.data
        gradient += (sigma * source.rng().standard_normal(gradient.shape, np.float64)).astype(gradient.dtype)
        parameter.grad.bump()


@contextmanager
def weight_noise(
    parameters: Tensor | Iterable[Tensor], std: float, *, relative: bool = False, generator: Generator | None = None
) -> Iterator[None]:
    """Gaussian noise on weights for the time of a `with`: `w + σ z`; afterwards they are what they were, to the bit.

    The gradient that is computed inside is that at the noisy weights; the step that follows outside moves the clean
    ones.

    Args:
        parameters: a Tensor or several.
        std: standard deviation σ.
        relative: whether σ is `std` times the root mean square of each parameter.
        generator: where random numbers come from; None means the default generator. Each parameter uses a stream.

    Raises:
        ValueError: if `std` is negative.

    Source: Graves 2011, "Practical variational inference for neural networks".

    Example:
        >>> w = Tensor(np.ones(2), requires_grad=True)
        >>> with weight_noise([w], 0.1):
        ...     noisy = w.data.copy()
        >>> bool((noisy != 1).all()), w.data.tolist()
        (True, [1.0, 1.0])
    """
    in_range("weight_noise", "std", std, 0.0, np.inf, below=True)
    source = generator_for(generator)
    kept = [(parameter, parameter.data.copy()) for parameter in _listed(parameters)]
    for parameter, before in kept:
        sigma = std * float(np.sqrt(np.mean(np.square(before, dtype=np.float64)))) if relative and before.size else std
        parameter.data[...] = before + (sigma * source.rng().standard_normal(before.shape)).astype(before.dtype)
        parameter.bump()
    try:
        yield
    finally:
        for parameter, before in kept:
            parameter.data[...] = before
            parameter.bump()
