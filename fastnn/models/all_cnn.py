"""The all convolutional network: strides instead of pooling, 1×1 convolutions instead of linear layers."""

from __future__ import annotations

from collections.abc import Callable

from .. import nn
from ..autograd.tensor import Tensor
from ..random import Generator
from .blocks import convolution
from .size import remaining


class AllCNNC(nn.Module):
    """All-CNN-C: seven 3×3 convolutions, two of them with stride 2, two 1×1 convolutions, global average.

    Every convolution has a bias and a ReLU, the last one too. There is no batch norm, so it takes a small learning
    rate (the paper tries 0.25, 0.1, 0.05 and 0.01) and a long training.

    Args:
        num_classes: outputs.
        in_channels: channels of the images.
        dropout: the probabilities of a zero in the image, and in the output of each convolution with stride 2.
        generator: where the initial values come from. Weights start from `kaiming_normal_`, biases from 0.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of at least 9×9.

    Example:
        >>> sum(p.data.size for p in AllCNNC().parameters())
        1369738

    Source: Springenberg et al., "Striving for simplicity: the all convolutional net", 2015, arXiv:1412.6806.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        dropout: tuple[float, float] = (0.2, 0.5),
        generator: Generator | None = None,
    ) -> None:
        layers: list[nn.Module] = [nn.Dropout(dropout[0])]
        channels = in_channels
        for width, kernel, stride, padding in (
            (96, 3, 1, 1),
            (96, 3, 1, 1),
            (96, 3, 2, 1),
            (192, 3, 1, 1),
            (192, 3, 1, 1),
            (192, 3, 2, 1),
            (192, 3, 1, 0),
            (192, 1, 1, 0),
            (num_classes, 1, 1, 0),
        ):
            conv = convolution(channels, width, kernel, stride, 1, generator, padding, bias=True)
            layers += [conv, nn.ReLU()]
            if stride == 2:
                layers.append(nn.Dropout(dropout[1]))
            channels = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.avgpool(self.features(input)).flatten(1)
        return y


def all_cnn_c(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
) -> AllCNNC:
    """An `AllCNNC`.

    Raises:
        ValueError: if the image is smaller than 9×9.
    """
    remaining("all_cnn_c", image_size, lambda size: (size + 3) // 4 - 2)
    return AllCNNC(num_classes, in_channels, generator=generator)


MODELS: dict[str, Callable[..., nn.Module]] = {"all_cnn_c": all_cnn_c}
