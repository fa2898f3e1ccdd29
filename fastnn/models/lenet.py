"""LeNet-5, with today's ReLU and max pooling."""

from __future__ import annotations

from .. import nn
from ..random import Generator
from .size import remaining


def lenet5(
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: tuple[int, int] = (28, 28),
    generator: Generator | None = None,
) -> nn.Sequential:
    """Two 5×5 convolutions with pooling, then 120 and 84 hidden units; 61,706 parameters on 1×28×28.

    Shape:
        (N, in_channels, *image_size) -> (N, num_classes)

    Raises:
        ValueError: if the image is smaller than 12×12.

    Source: LeCun et al., "Gradient-based learning applied to document recognition", 1998; ReLU instead of
    tanh, max pooling instead of trained averages, a linear output instead of radial basis functions.
    """
    height, width = remaining("lenet5", image_size, lambda size: (size // 2 - 4) // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, 6, 5, padding=2, generator=generator),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5, generator=generator),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * height * width, 120, generator=generator),
        nn.ReLU(),
        nn.Linear(120, 84, generator=generator),
        nn.ReLU(),
        nn.Linear(84, num_classes, generator=generator),
    )
