"""Plain convolutional networks: conv 3×3, batch norm, ReLU, and pooling between the stages."""

from __future__ import annotations

from collections.abc import Sequence

from .. import nn
from ..random import Generator
from .size import remaining


def _stage(in_channels: int, out_channels: int, generator: Generator | None) -> list[nn.Module]:
    """Convolution without bias (the norm has one), batch norm, ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False, generator=generator),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


def _convnet(channels: Sequence[int | None], in_channels: int, generator: Generator | None) -> list[nn.Module]:
    """One stage per number of channels, a 2×2 max pooling per None."""
    layers: list[nn.Module] = []
    for width in channels:
        if width is None:
            layers.append(nn.MaxPool2d(2))
        else:
            layers += _stage(in_channels, width, generator)
            in_channels = width
    return layers


def small(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
) -> nn.Sequential:
    """Three stages of 32, 64 and 128 channels, a pooling after each, and a linear output.

    It has 113,962 parameters on 3×32×32 images.

    Shape:
        (N, in_channels, *image_size) -> (N, num_classes)

    Raises:
        ValueError: if the image is smaller than 8×8.
    """
    height, width = remaining("small", image_size, lambda size: size // 8)
    return nn.Sequential(
        *_convnet([32, None, 64, None, 128, None], in_channels, generator),
        nn.Flatten(),
        nn.Linear(128 * height * width, num_classes, generator=generator),
    )


def digits(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: tuple[int, int] = (8, 8),
    generator: Generator | None = None,
) -> nn.Sequential:
    """The default network, for images as small as 8×8; 67,754 parameters on 1×8×8.

    Stages of 32, 32, pooling, 64, 64, pooling, and a linear output.

    Shape:
        (N, in_channels, *image_size) -> (N, num_classes)

    Raises:
        ValueError: if the image is smaller than 4×4.
    """
    height, width = remaining("digits", image_size, lambda size: size // 4)
    return nn.Sequential(
        *_convnet([32, 32, None, 64, 64, None], in_channels, generator),
        nn.Flatten(),
        nn.Linear(64 * height * width, num_classes, generator=generator),
    )
