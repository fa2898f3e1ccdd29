"""Loss layers for samples that belong to several classes at once."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..autograd.tensor import Tensor
from . import functional as F
from .loss import _constant, _Loss


class MultiLabelMarginLoss(_Loss):
    """Σ max(0, 1 - (x_i - x_j)) / C over right classes i and wrong classes j.

    Shape:
        input (N, C), target (N, C) int64: the right classes, ended by -1 -> () or (N,)

    Source: Crammer and Singer, JMLR 3 (2003).
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """`BCEWithLogitsLoss` of every class, averaged over the classes.

    Args:
        weight: a factor per class, (C,).
        reduction: "mean", "sum" or "none".

    Shape:
        input (N, C), target (N, C) of 0 and 1 -> () or (N,)
    """

    def __init__(self, weight: Tensor | npt.NDArray[Any] | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _constant(weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)
