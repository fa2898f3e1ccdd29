"""A multi-layer perceptron."""

from __future__ import annotations

from math import prod

from .. import nn
from ..random import Generator


def mlp(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: tuple[int, int] = (28, 28),
    generator: Generator | None = None,
) -> nn.Sequential:
    """Flattened image, 256 and 128 hidden units with ReLU, linear output; 235,146 parameters on 1×28×28.

    Shape:
        (N, in_channels, *image_size) -> (N, num_classes)
    """
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(in_channels * prod(image_size), 256, generator=generator),
        nn.ReLU(),
        nn.Linear(256, 128, generator=generator),
        nn.ReLU(),
        nn.Linear(128, num_classes, generator=generator),
    )
