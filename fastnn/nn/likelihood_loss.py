"""Loss layers for predicted distributions of counts and of real numbers."""

from __future__ import annotations

from ..autograd.tensor import Tensor
from . import functional as F
from .loss import _Loss


class PoissonNLLLoss(_Loss):
    """exp(x) - t x, the negative log-likelihood of counts t under Poisson's law, up to terms without x.

    Args:
        log_input: whether x is the logarithm of the rate; else the loss is x - t log(x + eps).
        full: add Stirling's approximation of log t!.
        eps: keeps the logarithm of a rate of 0 finite.
        reduction: "mean", "sum" or "none".

    Shape:
        input (*), target (*) -> () or (*)
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, *, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """(log v + (x - t)² / v) / 2, the negative log-likelihood of t under a normal law of mean x and variance v.

    Args:
        full: add the constant log(2π) / 2.
        eps: the least variance.
        reduction: "mean", "sum" or "none".

    Shape:
        input (*), target (*), var (*) or a shape that broadcasts to it -> () or (*)

    Source: Nix and Weigend, ICNN 1994.
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
