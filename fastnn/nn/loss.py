"""Loss layers: one class per loss function, each calling the operation of its name.

Every loss takes `reduction`: "mean" (the default) or "sum" give a tensor of shape (), "none" one loss per
sample or element. PyTorch's `size_average` and `reduce`, deprecated since 2018, are left out, and what
follows them there goes by keyword here.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from ..autograd.tensor import Tensor
from . import functional as F
from .module import Module
from .parameter import Buffer


class _Loss(Module):
    """What losses share: the reduction, and optional constant weights."""

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("none", "mean", "sum"):
            raise ValueError(f"{type(self).__name__}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
        self.reduction = reduction

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


def _constant(value: Tensor | npt.NDArray[Any] | None) -> Buffer | None:
    return None if value is None else Buffer(value)


class CrossEntropyLoss(_Loss):
    """-Σ_c t_c log softmax(x)_c, for scores x and classes or class probabilities t.

    Args:
        weight: a factor per class, (C,); the mean is then a weighted one.
        ignore_index: samples of this class do not count.
        reduction: "mean", "sum" or "none".
        label_smoothing: mixes that share of the uniform distribution into t.

    Shape:
        input (N, C, *), target (N, *) int64 or (N, C, *) probabilities, sample_weight (N, *) -> () or (N, *)
    """

    def __init__(
        self,
        weight: Tensor | npt.NDArray[Any] | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: expected 0 <= label_smoothing <= 1, got {label_smoothing}")
        self.weight = _constant(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """The loss; `sample_weight` holds a factor for each sample."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            sample_weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_Loss):
    """-x[t], the negative log-likelihood, for log-probabilities x and classes t.

    Args:
        weight: a factor per class, (C,); the mean is then a weighted one.
        ignore_index: samples of this class do not count.
        reduction: "mean", "sum" or "none".

    Shape:
        input (N, C, *), target (N, *) int64 -> () or (N, *)
    """

    def __init__(
        self,
        weight: Tensor | npt.NDArray[Any] | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        self.weight = _constant(weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class BCELoss(_Loss):
    """-(t log x + (1 - t) log(1 - x)), for probabilities x and t; logarithms are cut off at -100.

    Args:
        weight: a factor per element, of a shape that broadcasts.
        reduction: "mean", "sum" or "none".

    Shape:
        input (*), target (*) -> () or (*)
    """

    def __init__(self, weight: Tensor | npt.NDArray[Any] | None = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _constant(weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """`BCELoss` of sigmoid(x), without overflow: (1 - t) x + (1 + (p - 1) t) log(1 + e⁻ˣ).

    Args:
        weight: a factor per element, of a shape that broadcasts.
        reduction: "mean", "sum" or "none".
        pos_weight: p, a factor for the positive part, of a shape that broadcasts.

    Shape:
        input (*), target (*) -> () or (*)
    """

    def __init__(
        self,
        weight: Tensor | npt.NDArray[Any] | None = None,
        *,
        reduction: str = "mean",
        pos_weight: Tensor | npt.NDArray[Any] | None = None,
    ) -> None:
        super().__init__(reduction)
        self.weight = _constant(weight)
        self.pos_weight = _constant(pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class MSELoss(_Loss):
    """(x - t)², elementwise: input (*), target (*) -> () or (*)."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|x - t|, elementwise: input (*), target (*) -> () or (*)."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """d² / 2β for d = |x - t| below β, else d - β/2: input (*), target (*) -> () or (*).

    Source: Girshick, "Fast R-CNN", ICCV 2015.
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if beta < 0:
            raise ValueError(f"SmoothL1Loss: expected beta >= 0, got {beta}")
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """d² / 2 for d = |x - t| below δ, else δ (d - δ/2): input (*), target (*) -> () or (*).

    Source: Huber, "Robust estimation of a location parameter", 1964.
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: expected delta > 0, got {delta}")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class KLDivLoss(_Loss):
    """t (log t - x), the Kullback-Leibler divergence, for log-probabilities x and probabilities t.

    Args:
        reduction: "mean" (over all elements), "batchmean" (the sum over N, what the formula means), "sum" or
            "none".
        log_target: whether the target holds log t.

    Shape:
        input (N, *), target (N, *) -> () or (N, *)
    """

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("mean" if reduction == "batchmean" else reduction)
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class MultiMarginLoss(_Loss):
    """Σ_{c ≠ t} max(0, margin - x_t + x_c)^p / C, the multi-class hinge (SVM) loss, for classes t.

    Args:
        p: 1 or 2.
        margin: by how much the right class should win.
        weight: a factor per class, (C,), taken for class t.
        reduction: "mean", "sum" or "none".

    Shape:
        input (N, C), target (N,) int64 -> () or (N,)

    Source: Crammer and Singer, JMLR 2 (2001); divided by C as in PyTorch.
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | npt.NDArray[Any] | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        if p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: expected p to be 1 or 2, got {p}")
        self.p = p
        self.margin = margin
        self.weight = _constant(weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + e^(-t x)), elementwise, for targets t of -1 and 1: input (*), target (*) -> () or (*)."""

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)
