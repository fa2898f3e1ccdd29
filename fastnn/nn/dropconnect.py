"""Layers that drop weights at random, in training mode only."""

from __future__ import annotations

import numpy.typing as npt

from ..autograd.tensor import Tensor
from ..random import Generator
from . import functional as F
from .conv import Conv2d, Ints
from .linear import Linear

_DOC = """`{layer}` with weights that are 0 with probability p in training mode, and else divided by 1 - p.

    One mask M is drawn for each call, shared by the samples of the batch: `y = f(x; M * W / (1 - p), b)`. In evaluation
    mode all weights are used, which is the mean over the masks; for the spread see
    `fastnn.train.predict_monte_carlo`. State dicts are those of `{layer}`.

    Args:
        p: the probability of dropping a weight.
        generator: where initial values and masks come from; None means the default generator.
        others: those of `{layer}`.

    Shape:
        that of `{layer}`

    Raises:
        ValueError: if p is not within [0, 1]; see also `{layer}`.

    Source: Wan et al., "Regularization of neural networks using DropConnect", ICML 2013.
    """


def _check(layer: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"{layer}: expected 0 <= p <= 1, got {p}")


class DropConnectLinear(Linear):
    __doc__ = _DOC.format(layer="Linear")

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        p: float = 0.5,
        generator: Generator | None = None,
    ) -> None:
        _check("DropConnectLinear", p)
        super().__init__(in_features, out_features, bias, device, dtype, generator=generator)
        self.p, self.generator = p, generator

    def forward(self, input: Tensor) -> Tensor:
        weight = F.dropout(self.weight, self.p, self.training, generator=self.generator)
        return F.linear(input, weight, self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}"


class DropConnectConv2d(Conv2d):
    __doc__ = _DOC.format(layer="Conv2d")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        p: float = 0.5,
        generator: Generator | None = None,
    ) -> None:
        _check("DropConnectConv2d", p)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
            generator=generator,
        )
        self.p, self.generator = p, generator

    def forward(self, input: Tensor) -> Tensor:
        weight = F.dropout(self.weight, self.p, self.training, generator=self.generator)
        return self._with(input, weight)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, p={self.p}"
