"""Distances and similarities of vectors, and vectors scaled to length 1."""

from __future__ import annotations

from ..autograd import Tensor
from ..dims import dims
from .elementwise import add, div, mul, sub
from .reduce import norm
from .reduce import sum as total
from .select import maximum

__all__ = ["cosine_similarity", "normalize", "pairwise_distance"]


@dims
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between vectors, `x1 . x2 / (max(|x1|, eps) max(|x2|, eps))`.

    Args:
        x1: vectors.
        x2: vectors, broadcast against the others.
        dim: the dimension along which vectors lie.
        eps: the least length.

    Shape:
        x1, x2 (*, D, *) -> (*, *), without dimension `dim`.
    """
    lengths = [maximum(norm(x, 2, dim), eps) for x in (x1, x2)]
    return div(total(mul(x1, x2), dim), mul(lengths[0], lengths[1]))


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """Distance between vectors, the p-norm of `x1 - x2 + eps` along the last dimension.

    Args:
        x1: vectors.
        x2: vectors, broadcast against the others.
        p: exponent of the norm.
        eps: keeps the gradient of equal vectors finite.
        keepdim: keep the last dimension with length 1.

    Shape:
        x1, x2 (*, D) -> (*), or (*, 1) if `keepdim`.
    """
    return norm(add(sub(x1, x2), eps), p, -1, keepdim)


@dims
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Vectors divided by their length, `input / max(|input|_p, eps)`.

    Args:
        input: vectors.
        p: exponent of the norm.
        dim: the dimension along which vectors lie.
        eps: the least length divided by.

    Shape:
        input: any; the result has the same.
    """
    return div(input, maximum(norm(input, p, dim, True), eps))
