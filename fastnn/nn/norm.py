"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from ..autograd.tensor import Tensor
from . import functional as F
from .module import Module
from .parameter import Buffer, Parameter, allocate, real_dtype

_ONE = np.ones((), np.int64)  # an array: adding a Python number takes longer


def _affine(
    layer: str,
    shape: tuple[int, ...],
    bias: bool,
    device: str | None,
    dtype: npt.DTypeLike | None,
) -> tuple[Parameter, Parameter | None]:
    """A scale of ones and, if wanted, a shift of zeros."""
    weight = allocate(layer, shape, device, dtype)
    weight.data[...] = 1
    return weight, allocate(layer, shape, device, dtype) if bias else None


class _ChannelNorm(Module):
    """What batch and instance norms share: scale and shift per channel, and running statistics."""

    _ranks: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: str | None,
        dtype: npt.DTypeLike | None,
        bias: bool,
    ) -> None:
        layer = type(self).__name__
        if num_features < 1:
            raise ValueError(f"{layer}: expected num_features to be positive, got {num_features}")
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if affine:
            self.weight, self.bias = _affine(layer, (num_features,), bias, device, dtype)
        self.running_mean: Buffer | None = None
        self.running_var: Buffer | None = None
        self.num_batches_tracked: Buffer | None = None
        if track_running_stats:
            real = real_dtype(layer, dtype)
            self.running_mean = Buffer(np.zeros(num_features, real))
            self.running_var = Buffer(np.ones(num_features, real))
            self.num_batches_tracked = Buffer(np.zeros((), np.int64))

    def reset_running_stats(self) -> None:
        """Forget the statistics: mean 0, variance 1, no batches seen."""
        for buffer, value in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                buffer.data[...] = value
                buffer.bump()

    def reset_parameters(self) -> None:
        """Forget the statistics; set the scale to one and the shift to zero."""
        self.reset_running_stats()
        for parameter, value in ((self.weight, 1), (self.bias, 0)):
            if parameter is not None:
                parameter.data[...] = value
                parameter.bump()

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self._ranks:
            ranks = " or ".join(str(rank) for rank in self._ranks)
            raise ValueError(
                f"{type(self).__name__}: expected an input with {ranks} dimensions, got shape {input.shape}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    """Batch normalisation, `y = (x - mean) / √(var + eps) · weight + bias`, per channel.

    In training mode mean and (biased) variance are the batch's, and the running ones move towards the
    batch's mean and unbiased variance by `momentum`; in evaluation mode the running ones are used.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance.
        momentum: the share of the newest batch in the running statistics; None makes them the plain average
            of all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without, evaluation uses the batch's too.
        device: None or "cpu".
        dtype: float32 (default) or float64.
        bias: with `affine`, whether there is a bias.

    Attributes:
        weight: (C,), ones at first. bias: (C,), zeros at first.
        running_mean: (C,). running_var: (C,). num_batches_tracked: () int64.

    Shape:
        BatchNorm1d (N, C) or (N, C, L), BatchNorm2d (N, C, H, W), BatchNorm3d (N, C, D, H, W); the output is
        like the input.

    Raises:
        ValueError: if the input has another number of dimensions, or in training mode one value a channel.

    Source: Ioffe and Szegedy, "Batch normalization", ICML 2015, arXiv:1502.03167.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def _momentum(self) -> float:
        """The share of the coming batch in the running statistics."""
        if self.momentum is not None:
            return self.momentum
        return 0.0 if self.num_batches_tracked is None else 1.0 / (float(self.num_batches_tracked.data) + 1.0)

    def _count(self) -> None:
        """Count a batch that has been normalised, and note that it has changed the running statistics."""
        if not self.training:
            return
        for buffer in (self.running_mean, self.running_var):
            if buffer is not None:
                buffer.bump()
        if self.num_batches_tracked is not None:
            count = self.num_batches_tracked.data
            np.add(count, _ONE, count)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        mean, var = self.running_mean, self.running_var
        training = self.training or mean is None
        y = F.batch_norm(input, mean, var, self.weight, self.bias, training, self._momentum(), self.eps)
        self._count()
        return y


class BatchNorm1d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    _ranks = (4,)


class BatchNorm3d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    _ranks = (5,)


class _InstanceNorm(_ChannelNorm):
    """Instance normalisation: batch normalisation of every sample by itself, over its positions.

    Args:
        num_features: the number of channels, C.
        eps: added to the variance.
        momentum: the share of the newest batch in the running statistics.
        affine: whether there are weight and bias.
        track_running_stats: whether running statistics are kept and used in evaluation mode.
        device: None or "cpu".
        dtype: float32 (default) or float64.
        bias: with `affine`, whether there is a bias.

    Shape:
        InstanceNorm1d (N, C, L), 2d (N, C, H, W), 3d (N, C, D, H, W); the output is like the input. N may be
        missing.

    Source: Ulyanov et al., "Instance normalization", arXiv:1607.08022.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        if input.ndim == self._ranks[0]:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        if input.shape[1] != self.num_features:
            raise ValueError(f"{type(self).__name__}: expected {self.num_features} channels, got shape {input.shape}")
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _ranks = (4, 5)


class LayerNorm(Module):
    """Layer normalisation: `(x - mean) / √(var + eps) · weight + bias` over the last dimensions of a sample.

    Args:
        normalized_shape: the shape of those dimensions, or the length of the last one.
        eps: added to the (biased) variance.
        elementwise_affine: whether there are weight and bias.
        bias: with `elementwise_affine`, whether there is a bias.
        device: None or "cpu".
        dtype: float32 (default) or float64.

    Shape:
        (*, *normalized_shape) -> the same

    Source: Ba et al., "Layer normalization", arXiv:1607.06450.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if prod(shape) < 1 or not shape:
            raise ValueError(f"LayerNorm: expected a normalized_shape that is not empty, got {shape}")
        self.normalized_shape = shape
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if elementwise_affine:
            self.weight, self.bias = _affine("LayerNorm", shape, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Group normalisation: a sample's channels in groups, each normalised over its channels and positions.

    Args:
        num_groups: the number of groups; must divide `num_channels`.
        num_channels: the number of channels, C.
        eps: added to the (biased) variance.
        affine: whether there are weight and bias, per channel.
        device: None or "cpu".
        dtype: float32 (default) or float64.
        bias: with `affine`, whether there is a bias.

    Shape:
        (N, C, *) -> the same

    Raises:
        ValueError: if the groups do not divide the channels.

    Source: Wu and He, "Group normalization", ECCV 2018, arXiv:1803.08494.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
        *,
        bias: bool = True,
    ) -> None:
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: expected num_groups to divide num_channels, got {num_groups=}, {num_channels=}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if affine:
            self.weight, self.bias = _affine("GroupNorm", (num_channels,), bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
