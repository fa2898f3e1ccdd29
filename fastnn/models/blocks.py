"""What the networks of several families are built from."""

from __future__ import annotations

from .. import nn
from ..autograd.tensor import Tensor
from ..nn import functional as F
from ..random import Generator


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    generator: Generator | None = None,
    padding: int | None = None,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution with He initialisation, as it stands before a batch norm: without bias.

    The weights are drawn from N(0, 2 / fan_in), fan_in being the number of values that an output is a sum of; the nine
    pixels of a depthwise 3×3 convolution, say. Some codes take fan_out, which is the same wherever a layer keeps the
    number of channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: the window's height and width.
        stride: the window's step.
        groups: independent convolutions that the channels are split into.
        generator: where the initial values come from.
        padding: points added on every side; None is `kernel_size // 2`.
        bias: whether there is a bias; it starts from 0.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉), for odd kernels with their padding.

    Source: He et al., "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852.
    """
    conv = nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        kernel_size // 2 if padding is None else padding,
        groups=groups,
        bias=bias,
        generator=generator,
    )
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def linear(
    in_features: int, out_features: int, std: float | None = None, generator: Generator | None = None
) -> nn.Linear:
    """A linear layer whose bias starts from 0.

    Args:
        in_features: length of the input.
        out_features: length of the output.
        std: the weights start from N(0, std²); None leaves them as `nn.Linear` draws them.
        generator: where the initial values come from.

    Shape:
        (N, in_features) -> (N, out_features)
    """
    layer = nn.Linear(in_features, out_features, generator=generator)
    if std is not None:
        nn.init.normal_(layer.weight, 0.0, std, generator)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class PadShortcut(nn.Module):
    """The shortcut without parameters (option A): every second pixel, and channels of zeros.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, half of the new ones before the old ones and half after.
        stride: the distance between the pixels taken.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)

    Raises:
        ValueError: if `out_channels` is smaller than `in_channels`.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, section 3.3.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        if out_channels < in_channels:
            raise ValueError(f"PadShortcut: expected out_channels >= {in_channels}, got {out_channels}")
        self.before = (out_channels - in_channels) // 2
        self.after = out_channels - in_channels - self.before
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        x = input[:, :, :: self.stride, :: self.stride] if self.stride > 1 else input
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        return f"channels=(+{self.before}, +{self.after}), stride={self.stride}"


class ConvShortcut(nn.Sequential):
    """The shortcut with parameters (option B): a 1×1 convolution and batch norm.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: the distance between the pixels taken.
        generator: where the initial values come from.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, section 3.3.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, generator: Generator | None = None) -> None:
        super().__init__(
            convolution(in_channels, out_channels, 1, stride, generator=generator), nn.BatchNorm2d(out_channels)
        )
