"""MobileNets, versions 1 and 2, with their strides adapted to small images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .. import nn
from ..autograd.tensor import Tensor
from ..random import Generator
from .blocks import convolution, linear


def _unit(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int,
    groups: int,
    activation: type[nn.Module],
    generator: Generator | None,
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    conv = convolution(in_channels, out_channels, kernel_size, stride, groups, generator)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), activation())


def _classifier(in_features: int, num_classes: int, dropout: float, generator: Generator | None) -> nn.Sequential:
    """Dropout and the output, whose weights start from N(0, 0.01²) and biases from 0, as in torchvision."""
    return nn.Sequential(nn.Dropout(dropout), linear(in_features, num_classes, 0.01, generator))


def _check_width(model: str, width: float) -> None:
    if not width > 0:
        raise ValueError(f"{model}: expected a positive width, got {width}")


class MobileNetV1(nn.Module):
    """A 3×3 convolution, 13 depthwise-separable blocks, global average, dropout, linear output.

    A block is a 3×3 depthwise and a 1×1 convolution, each with batch norm and ReLU. The paper's network for 224×224
    images halves the image five times; this one does so four times, as the first convolution keeps its size. The
    parameters are the same.

    Args:
        width: factor for all numbers of channels, rounded down (the paper's α).
        num_classes: outputs.
        in_channels: channels of the images.
        dropout: the probability of a zero before the output.
        generator: where the initial values come from. Convolutions start from `kaiming_normal_`, the output's weights
            from N(0, 0.01²) and biases from 0.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of any size.

    Raises:
        ValueError: if the width is not positive.

    Example:
        >>> sum(p.data.size for p in MobileNetV1(num_classes=1000).parameters())
        4231976

    Source: Howard et al., "MobileNets", arXiv:1704.04861.
    """

    BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
    """Channels and stride of each."""

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 10,
        in_channels: int = 3,
        dropout: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        _check_width("MobileNetV1", width)
        channels = max(int(32 * width), 1)
        features = [_unit(in_channels, channels, 3, 1, 1, nn.ReLU, generator)]
        for full, stride in self.BLOCKS:
            out = max(int(full * width), 1)
            depthwise = _unit(channels, channels, 3, stride, channels, nn.ReLU, generator)
            features.append(nn.Sequential(depthwise, _unit(channels, out, 1, 1, 1, nn.ReLU, generator)))
            channels = out
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = _classifier(channels, num_classes, dropout, generator)

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.avgpool(self.features(input)).flatten(1))
        return y


class InvertedResidual(nn.Module):
    """1×1 convolution to `expansion` times the channels, 3×3 depthwise convolution, 1×1 convolution without activation.

    Batch norm follows each, ReLU6 the first two. Where input and output have one shape, the input is added.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the depthwise convolution.
        expansion: how many times as many channels there are inside; 1 leaves the first convolution out.
        generator: where the initial values come from.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        expansion: int,
        generator: Generator | None = None,
    ) -> None:
        inner = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers.append(_unit(in_channels, inner, 1, 1, 1, nn.ReLU6, generator))
        layers.append(_unit(inner, inner, 3, stride, inner, nn.ReLU6, generator))
        layers += [convolution(inner, out_channels, 1, generator=generator), nn.BatchNorm2d(out_channels)]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.conv(input)
        return y + input if self.residual else y


class MobileNetV2(nn.Module):
    """A 3×3 convolution, 17 inverted residual blocks, a 1×1 convolution, global average, dropout, linear output.

    The network for 224×224 images halves the image five times; this one does so three times, as the first convolution
    and the second group of blocks keep its size. Parameters and their names are those of torchvision's
    `mobilenet_v2`.

    Args:
        width: factor for the numbers of channels, which are rounded to multiples of 8 and lose no more than a tenth by
            that. The 1,280 channels of the last convolution are never fewer.
        num_classes: outputs.
        in_channels: channels of the images.
        dropout: the probability of a zero before the output.
        generator: where the initial values come from. Convolutions start from `kaiming_normal_`, the output's weights
            from N(0, 0.01²) and biases from 0.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of any size.

    Raises:
        ValueError: if the width is not positive.

    Example:
        >>> sum(p.data.size for p in MobileNetV2(num_classes=1000).parameters())
        3504872

    Source: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, arXiv:1801.04381.
    """

    GROUPS = (
        (1, 16, 1, 1),
        (6, 24, 2, 1),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    """Expansion, channels, number of blocks, and stride of the first one."""

    def __init__(
        self,
        width: float = 1.0,
        num_classes: int = 10,
        in_channels: int = 3,
        dropout: float = 0.2,
        generator: Generator | None = None,
    ) -> None:
        _check_width("MobileNetV2", width)
        channels, last = _eights(32 * width), _eights(1280 * max(1.0, width))
        features: list[nn.Module] = [_unit(in_channels, channels, 3, 1, 1, nn.ReLU6, generator)]
        for expansion, full, blocks, stride in self.GROUPS:
            out = _eights(full * width)
            for i in range(blocks):
                features.append(InvertedResidual(channels, out, stride if i == 0 else 1, expansion, generator))
                channels = out
        features.append(_unit(channels, last, 1, 1, 1, nn.ReLU6, generator))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = _classifier(last, num_classes, dropout, generator)

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.avgpool(self.features(input)).flatten(1))
        return y


def _eights(channels: float) -> int:
    """The nearest multiple of 8, or the next one if that is less than nine tenths of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def mobilenet_v1(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
    width: float = 1.0,
) -> MobileNetV1:
    """A `MobileNetV1`; images of any size do, for it ends with a global average."""
    return MobileNetV1(width, num_classes, in_channels, generator=generator)


def mobilenet_v2(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
    width: float = 1.0,
) -> MobileNetV2:
    """A `MobileNetV2`; images of any size do, for it ends with a global average."""
    return MobileNetV2(width, num_classes, in_channels, generator=generator)


WIDTHS = {"_025": 0.25, "_050": 0.5, "_075": 0.75, "": 1.0}
MODELS: dict[str, Callable[..., nn.Module]] = {
    **{f"mobilenet_v1{name}": partial(mobilenet_v1, width=width) for name, width in WIDTHS.items()},
    **{f"mobilenet_v2{name}": partial(mobilenet_v2, width=width) for name, width in WIDTHS.items()},
}
