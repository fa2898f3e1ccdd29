"""Loss layers for pairs and triplets of samples."""

from __future__ import annotations

from collections.abc import Callable

from ..autograd.tensor import Tensor
from . import functional as F
from .loss import _Loss


class HingeEmbeddingLoss(_Loss):
    """x for targets of 1, max(0, margin - x) for targets of -1, x being a distance: input (*), target (*) -> () or (*).

    Source: Hadsell, Chopra, LeCun, CVPR 2006.
    """

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """max(0, -t (x₁ - x₂) + margin) for targets t of 1 or -1: all (*) -> () or (*)."""

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 - cos(x₁, x₂) for targets of 1, max(0, cos(x₁, x₂) - margin) for targets of -1.

    Shape:
        input1 (N, D), input2 (N, D), target (N,) -> () or (N,)
    """

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-norm's distance.

    Args:
        margin: by how much the negative should be farther away, above 0.
        p: exponent of the norm.
        eps: keeps the gradient of equal vectors finite.
        swap: take the negative's distance from the positive where that is smaller.
        reduction: "mean", "sum" or "none".

    Shape:
        anchor, positive, negative (N, D) -> () or (N,)

    Source: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015; swap from Balntas et al., BMVC 2016.
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, *, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        if not margin > 0:
            raise ValueError(f"TripletMarginLoss: expected margin > 0, got {margin}")
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` for any differentiable distance.

    Args:
        distance_function: a function of two batches of vectors; by default `functional.pairwise_distance`.
        margin: by how much the negative should be farther away, above 0.
        swap: take the negative's distance from the positive where that is smaller.
        reduction: "mean", "sum" or "none".

    Shape:
        anchor, positive, negative (N, D) -> () or (N,)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if not margin > 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: expected margin > 0, got {margin}")
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
