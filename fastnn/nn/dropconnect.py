"""Layers that drop weights at random, in training mode only."""

from __future__ import annotations

from typing import Any

from ..autograd.tensor import Tensor
from ..random import Generator
from . import functional as F
from .conv import Conv2d
from .linear import Linear

_DROP_CONNECT = """`{layer}` with weights that are 0 with probability p in training mode, and else divided by 1 - p.

    One mask M is drawn for each call, shared by the samples of the batch: `y = f(x; M * W / (1 - p), b)`. In evaluation
    mode all weights are used, which is the mean over the masks; for the spread see
    `fastnn.train.predict_monte_carlo`. State dicts are those of `{layer}`.

    Args:
        *args: those of `{layer}`.
        p: the probability of dropping a weight.
        generator: where initial values and masks come from; None means the default generator.
        **options: those of `{layer}`.

    Shape:
        that of `{layer}`

    Raises:
        ValueError: if p is not within [0, 1]; see also `{layer}`.

    Source: Wan et al., "Regularization of neural networks using DropConnect", ICML 2013.
    """


class DropConnectLinear(Linear):
    __doc__ = _DROP_CONNECT.format(layer="Linear")

    def __init__(self, *args: Any, p: float = 0.5, generator: Generator | None = None, **options: Any) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"DropConnectLinear: expected 0 <= p <= 1, got {p}")
        super().__init__(*args, generator=generator, **options)
        self.p, self.generator = p, generator

    def forward(self, input: Tensor) -> Tensor:
        weight = F.dropout(self.weight, self.p, self.training, generator=self.generator)
        return F.linear(input, weight, self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}"


class DropConnectConv2d(Conv2d):
    __doc__ = _DROP_CONNECT.format(layer="Conv2d")

    def __init__(self, *args: Any, p: float = 0.5, generator: Generator | None = None, **options: Any) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"DropConnectConv2d: expected 0 <= p <= 1, got {p}")
        super().__init__(*args, generator=generator, **options)
        self.p, self.generator = p, generator

    def forward(self, input: Tensor) -> Tensor:
        weight = F.dropout(self.weight, self.p, self.training, generator=self.generator)
        return self._with(input, weight)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}"
