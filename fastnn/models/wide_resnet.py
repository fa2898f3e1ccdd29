"""Wide residual networks: few layers, many channels, batch norm and ReLU before each convolution."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .. import nn
from ..autograd.tensor import Tensor
from ..nn import functional as F
from ..random import Generator
from .blocks import convolution, linear


class PreActivationBlock(nn.Module):
    """`conv2(dropout(relu(bn2(conv1(a))))) + x`, with `a = relu(bn1(x))`.

    Where the output has another shape than the input, x is replaced by `downsample(a)`, a 1×1 convolution of what the
    first convolution reads.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first convolution.
        dropout: the probability of a zero between the convolutions.
        generator: where the initial values come from.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)

    Source: He et al., "Identity mappings in deep residual networks", ECCV 2016, arXiv:1603.05027.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        dropout: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = convolution(in_channels, out_channels, 3, stride, generator=generator)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = convolution(out_channels, out_channels, 3, generator=generator)
        same = stride == 1 and in_channels == out_channels
        self.downsample = None if same else convolution(in_channels, out_channels, 1, stride, generator=generator)

    def forward(self, input: Tensor) -> Tensor:
        active = F.relu(self.bn1(input))
        skip = input if self.downsample is None else self.downsample(active)
        x = F.relu(self.bn2(self.conv1(active)))
        y: Tensor = self.conv2(self.dropout(x))
        return y + skip


class WideResNet(nn.Module):
    """WRN-d-k: a 3×3 convolution, three stages with 16 k, 32 k and 64 k channels, batch norm, global average, linear.

    Args:
        depth: d = 6 n + 4 layers, for n blocks a stage.
        width: k, how many times wider than `ResNet` it is.
        num_classes: outputs.
        in_channels: channels of the images.
        dropout: the probability of a zero between the convolutions of a block; the paper takes 0.3 where it helps.
        generator: where the initial values come from. Convolutions start from `kaiming_normal_`, the output's bias
            from 0.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of any size.

    Raises:
        ValueError: if the depth is not 10, 16, 22, ..., or the width not positive.

    Example:
        >>> sum(p.data.size for p in WideResNet(16, 4).parameters())
        2748890

    Source: Zagoruyko and Komodakis, "Wide residual networks", BMVC 2016, arXiv:1605.07146.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        num_classes: int = 10,
        in_channels: int = 3,
        dropout: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"WideResNet: expected a depth of 6 n + 4 with n >= 1, got {depth}")
        if width < 1:
            raise ValueError(f"WideResNet: expected a positive width, got {width}")
        blocks = (depth - 4) // 6
        self.conv1 = convolution(in_channels, 16, 3, generator=generator)
        self.layer1 = _stage(16, 16 * width, blocks, 1, dropout, generator)
        self.layer2 = _stage(16 * width, 32 * width, blocks, 2, dropout, generator)
        self.layer3 = _stage(32 * width, 64 * width, blocks, 2, dropout, generator)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = linear(64 * width, num_classes, generator=generator)

    def forward(self, input: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(input))))
        y: Tensor = self.fc(self.avgpool(F.relu(self.bn1(x))).flatten(1))
        return y


def _stage(
    in_channels: int, out_channels: int, blocks: int, stride: int, dropout: float, generator: Generator | None
) -> nn.Sequential:
    """Blocks of one width; the first one changes size and channels."""
    first = PreActivationBlock(in_channels, out_channels, stride, dropout, generator)
    rest = [PreActivationBlock(out_channels, out_channels, 1, dropout, generator) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def wide_resnet(
    depth: int,
    width: int,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
    dropout: float = 0.0,
) -> WideResNet:
    """The `WideResNet` of a depth and a width; images of any size do, for it ends with a global average."""
    return WideResNet(depth, width, num_classes, in_channels, dropout, generator)


MODELS: dict[str, Callable[..., nn.Module]] = {
    f"wrn_{depth}_{width}": partial(wide_resnet, depth, width)
    for depth, width in ((10, 2), (16, 2), (16, 4), (16, 8), (28, 2), (40, 2), (28, 10))
}
