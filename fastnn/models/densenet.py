"""Densely connected networks with bottlenecks and compression (DenseNet-BC) for small images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .. import nn, ops
from ..autograd.tensor import Tensor
from ..nn import functional as F
from ..random import Generator
from .blocks import convolution, linear
from .size import remaining


class DenseLayer(nn.Module):
    """`k` further channels: batch norm, ReLU, 1×1 convolution to 4 k channels, batch norm, ReLU, 3×3 convolution.

    Args:
        in_channels: channels of the input.
        growth_rate: k.
        dropout: the probability of a zero in the output.
        generator: where the initial values come from.

    Shape:
        (N, in_channels, H, W) -> (N, growth_rate, H, W)
    """

    def __init__(
        self, in_channels: int, growth_rate: int, dropout: float = 0.0, generator: Generator | None = None
    ) -> None:
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = convolution(in_channels, 4 * growth_rate, 1, generator=generator)
        self.norm2 = nn.BatchNorm2d(4 * growth_rate)
        self.conv2 = convolution(4 * growth_rate, growth_rate, 3, generator=generator)
        self.dropout = nn.Dropout(dropout)

    def forward(self, input: Tensor) -> Tensor:
        x = F.relu(self.norm2(self.conv1(F.relu(self.norm1(input)))))
        y: Tensor = self.dropout(self.conv2(x))
        return y


class DenseBlock(nn.Module):
    """Layers each of which reads the block's input and the output of all layers before it; so does what follows.

    Args:
        layers: how many.
        in_channels: channels of the input.
        growth_rate: channels that each layer adds.
        dropout: see `DenseLayer`.
        generator: where the initial values come from.

    Shape:
        (N, in_channels, H, W) -> (N, in_channels + layers · growth_rate, H, W)
    """

    def __init__(
        self,
        layers: int,
        in_channels: int,
        growth_rate: int,
        dropout: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        for i in range(layers):
            layer = DenseLayer(in_channels + i * growth_rate, growth_rate, dropout, generator)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, input: Tensor) -> Tensor:
        x = input
        for layer in self.children():
            x = ops.cat([x, layer(x)], 1)
        return x


class Transition(nn.Sequential):
    """What stands between dense blocks: batch norm, ReLU, 1×1 convolution to fewer channels, 2×2 average pooling.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        generator: where the initial values come from.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, H // 2, W // 2)
    """

    def __init__(self, in_channels: int, out_channels: int, generator: Generator | None = None) -> None:
        super().__init__(
            {
                "norm": nn.BatchNorm2d(in_channels),
                "relu": nn.ReLU(),
                "conv": convolution(in_channels, out_channels, 1, generator=generator),
                "pool": nn.AvgPool2d(2),
            }
        )


class DenseNet(nn.Module):
    """DenseNet-BC: a 3×3 convolution, three dense blocks with transitions between them, global average, linear output.

    The names of the parts are torchvision's.

    Args:
        depth: L = 6 n + 4 layers, for n dense layers of two convolutions in a block.
        growth_rate: k; the first convolution has 2 k channels.
        num_classes: outputs.
        in_channels: channels of the images.
        compression: the share of channels that a transition keeps.
        dropout: the probability of a zero in the output of a dense layer; the paper takes 0.2 without augmentation.
        generator: where the initial values come from. Convolutions start from `kaiming_normal_`, the output's bias
            from 0.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of at least 4×4.

    Raises:
        ValueError: if the depth is not 10, 16, 22, ..., the growth rate not positive or the compression not in (0, 1].

    Example:
        >>> sum(p.data.size for p in DenseNet(40, 12).parameters())
        176122

    Source: Huang et al., "Densely connected convolutional networks", CVPR 2017, arXiv:1608.06993.
    """

    def __init__(
        self,
        depth: int,
        growth_rate: int,
        num_classes: int = 10,
        in_channels: int = 3,
        compression: float = 0.5,
        dropout: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"DenseNet: expected a depth of 6 n + 4 with n >= 1, got {depth}")
        if growth_rate < 1:
            raise ValueError(f"DenseNet: expected a positive growth_rate, got {growth_rate}")
        if not 0 < compression <= 1:
            raise ValueError(f"DenseNet: expected compression in (0, 1], got {compression}")
        layers, channels = (depth - 4) // 6, 2 * growth_rate
        parts: dict[str, nn.Module] = {"conv0": convolution(in_channels, channels, 3, generator=generator)}
        for i in (1, 2, 3):
            parts[f"denseblock{i}"] = DenseBlock(layers, channels, growth_rate, dropout, generator)
            channels += layers * growth_rate
            if i < 3:
                kept = int(compression * channels)
                parts[f"transition{i}"] = Transition(channels, kept, generator)
                channels = kept
        parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(parts)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = linear(channels, num_classes, generator=generator)

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.avgpool(F.relu(self.features(input))).flatten(1))
        return y


def densenet_bc(
    depth: int,
    growth_rate: int,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
) -> DenseNet:
    """The `DenseNet` of a depth and a growth rate.

    Raises:
        ValueError: if the image is smaller than 4×4.
    """
    remaining(f"densenet_bc_{depth}_{growth_rate}", image_size, lambda size: size // 4)
    return DenseNet(depth, growth_rate, num_classes, in_channels, generator=generator)


MODELS: dict[str, Callable[..., nn.Module]] = {
    f"densenet_bc_{depth}_{growth}": partial(densenet_bc, depth, growth) for depth, growth in ((40, 12), (100, 12))
}
