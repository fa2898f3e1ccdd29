"""Losses of pairs and triplets: how samples should rank, or lie towards each other in an embedding."""

from __future__ import annotations

from collections.abc import Callable

from ..autograd import Tensor
from .compare import eq
from .distance import pairwise_distance
from .elementwise import add, div, mul, sub
from .reduce import mean
from .reduce import sum as total
from .reduction import check_reduction
from .select import clamp, minimum, where
from .unary import neg, sqrt

__all__ = [
    "cosine_embedding_loss", "margin_ranking_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip

_TINY = 1e-12  # added to squared lengths, as in PyTorch


def _reduced(each: Tensor, reduction: str) -> Tensor:
    return each if reduction == "none" else mean(each) if reduction == "mean" else total(each)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """`max(0, -target (input1 - input2) + margin)`: the first should rank higher for a target of 1, lower for -1.

    Args:
        input1: scores.
        input2: scores to compare with.
        target: 1 or -1.
        margin: by how much one should lead.
        reduction: "mean", "sum" or "none".

    Shape:
        input1, input2, target: broadcastable to one shape. Result: (), or with reduction "none" that shape.

    Raises:
        ValueError: if the shapes do not broadcast or the reduction is unknown.
    """
    check_reduction("margin_ranking_loss", reduction)
    return _reduced(clamp(add(mul(neg(target), sub(input1, input2)), margin), 0), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, *, reduction: str = "mean"
) -> Tensor:
    """`1 - cos` for pairs of target 1, `max(0, cos - margin)` for those of target -1, cos of the angle between them.

    Args:
        input1: vectors.
        input2: vectors to compare with.
        target: 1 for pairs that belong together, -1 for others.
        margin: from which cosine on others count as too close, from -1 to 1.
        reduction: "mean", "sum" or "none".

    Shape:
        input1, input2 (N, D) or (D,), target (N,) or () -> (), or with reduction "none" like `target`.

    Raises:
        ValueError: if the shapes do not fit or the reduction is unknown.
    """
    name = "cosine_embedding_loss"
    check_reduction(name, reduction)
    if input1.ndim not in (1, 2) or input1.shape != input2.shape or target.shape != input1.shape[:-1]:
        raise ValueError(
            f"{name}: expected inputs (N, D) and target (N,), or (D,) and (), got {input1.shape}, {input2.shape} and "
            f"{target.shape}"
        )
    squares = [add(total(mul(x, x), -1), _TINY) for x in (input1, input2)]
    cosine = div(total(mul(input1, input2), -1), sqrt(mul(squares[0], squares[1])))
    apart = where(eq(target, -1), clamp(sub(cosine, margin), 0), 0)
    return _reduced(add(where(eq(target, 1), sub(1, cosine), 0), apart), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, d(anchor, positive) - d(anchor, negative) + margin)` for any differentiable distance d.

    Args:
        anchor: vectors.
        positive: vectors that belong to them.
        negative: vectors that do not.
        distance_function: d, by default `pairwise_distance`.
        margin: by how much the negative should be farther away, above 0.
        swap: take the negative's distance from the positive where that is smaller.
        reduction: "mean", "sum" or "none".

    Shape:
        anchor, positive, negative (N, D), as d wants them -> (), or with reduction "none" what d gives.

    Raises:
        ValueError: if `margin` is not positive, numbers of dimensions differ, or the reduction is unknown.

    Source: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015; swap from Balntas et al., BMVC 2016.
    """
    name = "triplet_margin_with_distance_loss"
    check_reduction(name, reduction)
    if not margin > 0:
        raise ValueError(f"{name}: expected margin above 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        shapes = [x.shape for x in (anchor, positive, negative)]
        raise ValueError(f"{name}: expected as many dimensions of all three, got shapes {shapes}")
    distance = pairwise_distance if distance_function is None else distance_function
    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _reduced(clamp(add(sub(distance(anchor, positive), far), margin), 0), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_with_distance_loss` of the p-norm, `pairwise_distance` with its `eps`.

    Args:
        anchor: vectors.
        positive: vectors that belong to them.
        negative: vectors that do not.
        margin: by how much the negative should be farther away, above 0.
        p: exponent of the norm.
        eps: keeps the gradient of equal vectors finite.
        swap: take the negative's distance from the positive where that is smaller.
        reduction: "mean", "sum" or "none".

    Shape:
        anchor, positive, negative (N, D) or (D,) -> (), or with reduction "none" (N,) or ().
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )
