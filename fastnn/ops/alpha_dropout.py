"""Dropout for self-normalising networks: dropped elements go to SELU's lower limit, mean and variance are kept."""

from __future__ import annotations

from ..autograd import Tensor
from ..random import Generator
from .dropout import dropout, dropout1d
from .elementwise import add, mul, sub
from .shape import reshape

__all__ = ["alpha_dropout", "feature_alpha_dropout"]

_LIMIT = -1.7580993408473766  # of SELU at minus infinity: -scale alpha


def _affine(p: float) -> tuple[float, float]:
    """a and b such that `a x' + b` has mean 0 and variance 1, x' being x with probability 1 - p and the limit else."""
    a = ((1 - p) * (1 + p * _LIMIT**2)) ** -0.5
    return a, -a * p * _LIMIT


def _dropped(p: float, drop: Tensor) -> Tensor:
    """From `drop`, the plain dropout of x - limit, which is (x - limit) / (1 - p) or 0."""
    a, b = _affine(p)
    return add(mul(drop, a * (1 - p)), a * _LIMIT + b)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """In training, elements set to SELU's limit -1.758 with probability p, and all `a x + b`; else the input itself.

    `a = ((1 - p) (1 + 1.758^2 p))^(-1/2)` and `b = 1.758 a p` keep a mean of 0 and a variance of 1 as they are.

    Args:
        input: float32 or float64.
        p: probability of dropping an element.
        training: False returns the input.
        inplace: accepted for PyTorch's sake; the input is never changed.
        generator: where random numbers come from, the default generator if None; one stream is used up.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if p is not from 0 to 1.

    Source: Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.
    """
    if not training or not 0 < p < 1:
        return dropout(input, p, training, generator=generator)
    return _dropped(p, dropout(sub(input, _LIMIT), p, True, generator=generator))


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """`alpha_dropout` of whole channels.

    Args:
        input: float32 or float64.
        p: probability of dropping a channel of a sample.
        training: False returns the input.
        inplace: accepted for PyTorch's sake; the input is never changed.
        generator: where random numbers come from, the default generator if None; one stream is used up.

    Shape:
        input: (N, C, *); the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if p is not from 0 to 1 or there are fewer than two dimensions.
    """
    if input.ndim < 2:
        raise ValueError(f"feature_alpha_dropout: expected (N, C, *), got shape {input.shape}")
    if not training or not 0 < p < 1:
        return dropout(input, p, training, generator=generator)
    planes = reshape(sub(input, _LIMIT), *input.shape[:2], -1)
    return _dropped(p, reshape(dropout1d(planes, p, True, generator=generator), input.shape))
