"""Fully connected layers, and the layers that only reshape."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy.typing as npt

from ..autograd.tensor import Tensor
from ..random import Generator
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter, allocate


def reset_affine(weight: Parameter, bias: Parameter | None, generator: Generator | None) -> None:
    """PyTorch's default for linear and convolution layers: both from U(-b, b), b = 1 / √fan_in.

    For the weight this is `kaiming_uniform_` with a = √5.
    """
    init.kaiming_uniform_(weight, a=sqrt(5), generator=generator)
    if bias is not None:
        bound = 1 / sqrt(max(init.fans(weight)[0], 1))
        init.uniform_(bias, -bound, bound, generator)


class Linear(Module):
    """Fully connected layer, `y = x Wᵀ + b`.

    Args:
        in_features: length of the input's last dimension.
        out_features: length of the output's last dimension.
        bias: whether there is a b.
        device: None or "cpu".
        dtype: float32 (default) or float64.
        generator: where the initial values come from.

    Attributes:
        weight: (out_features, in_features), from U(-1/√in_features, 1/√in_features) as in PyTorch.
        bias: (out_features,), from the same distribution, or None.

    Shape:
        (*, in_features) -> (*, out_features)

    Raises:
        ValueError: if a size is not positive.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        if in_features < 1 or out_features < 1:
            raise ValueError(f"Linear: expected positive sizes, got {in_features=} and {out_features=}")
        self.in_features = in_features
        self.out_features = out_features
        self.weight = allocate("Linear", (out_features, in_features), device, dtype)
        self.bias = allocate("Linear", (out_features,), device, dtype) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the parameters anew."""
        reset_affine(self.weight, self.bias, generator)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """Gives back what it is given; takes and ignores any arguments.

    Shape:
        (*) -> (*)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """Joins the dimensions from `start_dim` to `end_dim` into one.

    Shape:
        (N, C, H, W) -> (N, C H W) with the defaults.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension `dim` into several.

    Args:
        dim: the dimension.
        unflattened_size: the sizes it becomes; one may be -1.

    Shape:
        (N, C H W) -> (N, C, H, W) for `Unflatten(1, (C, H, W))`.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
