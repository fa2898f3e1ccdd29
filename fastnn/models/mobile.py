"""A small MobileNet: depthwise-separable convolutions."""

from __future__ import annotations

from .. import nn
from ..random import Generator


def _conv(
    in_channels: int, out_channels: int, kernel: int, stride: int, groups: int, generator: Generator | None
) -> list[nn.Module]:
    """Convolution without bias, batch norm, ReLU."""
    return [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            kernel // 2,
            groups=groups,
            bias=False,
            generator=generator,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


def mobile(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
) -> nn.Sequential:
    """A 3×3 convolution and five depthwise-separable blocks, global average, linear output.

    A block is a 3×3 depthwise convolution and a 1×1 convolution, each with batch norm and ReLU. The blocks
    have 64, 128, 128, 256 and 256 channels; the second and the fourth halve the image.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of any size.

    Source: Howard et al., "MobileNets", arXiv:1704.04861, with fewer and narrower blocks.
    """
    layers = _conv(in_channels, 32, 3, 1, 1, generator)
    channels = 32
    for width, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        layers += _conv(channels, channels, 3, stride, channels, generator)
        layers += _conv(channels, width, 1, 1, 1, generator)
        channels = width
    return nn.Sequential(
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, num_classes, generator=generator),
    )
