"""VGG networks for small images: stages of 3×3 convolutions between 2×2 poolings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .. import nn
from ..autograd.tensor import Tensor
from ..random import Generator
from .blocks import convolution, linear
from .size import remaining

_STAGES: dict[str, tuple[tuple[int, ...], ...]] = {
    "vgg_small": ((32, 32), (64, 64), (128, 128)),
    "vgg11_bn": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    "vgg13_bn": ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    "vgg16_bn": ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)),
    "vgg19_bn": ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}
"""Output channels of the convolutions of each stage; a pooling follows each stage."""


class VGG(nn.Module):
    """Stages of 3×3 convolutions with batch norm and ReLU, a 2×2 pooling after each, and fully connected layers.

    What the poolings leave is averaged; of 32×32 images, five poolings leave one pixel. The names of the parts are
    torchvision's, and its two hidden layers of the classifier are `hidden=(512, 512)`.

    Args:
        stages: output channels of the convolutions of each stage.
        num_classes: outputs.
        in_channels: channels of the images.
        hidden: sizes of hidden layers between convolutions and output, each with ReLU and dropout.
        dropout: the probability of a zero after a hidden layer.
        batch_norm: whether there is batch norm after each convolution. The paper's networks have none, which makes
            the deep ones hard to start.
        generator: where the initial values come from. Convolutions start from `kaiming_normal_`, linear layers from
            N(0, 0.01²), biases from 0, as in torchvision.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of at least 2ˢ×2ˢ, s being the number of stages.

    Raises:
        ValueError: if there is no stage, or one without a convolution.

    Example:
        >>> net = VGG([[16], [32]], num_classes=7, in_channels=1)
        >>> [name for name, _ in net.features.named_children()]
        ['0', '1', '2', '3', '4', '5', '6', '7']

    Source: Simonyan and Zisserman, "Very deep convolutional networks", ICLR 2015, arXiv:1409.1556; batch norm and the
    small classifier for 32×32 images as in Zagoruyko, "92.45% on CIFAR-10 in Torch", 2015.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[int]],
        num_classes: int = 10,
        in_channels: int = 3,
        hidden: Sequence[int] = (),
        dropout: float = 0.5,
        batch_norm: bool = True,
        generator: Generator | None = None,
    ) -> None:
        if not stages or not all(stages):
            raise ValueError(f"VGG: expected at least one convolution in every stage, got stages {stages}")
        features: list[nn.Module] = []
        channels = in_channels
        for stage in stages:
            for width in stage:
                # batch norm takes a bias out again, but torchvision's weights have one
                features.append(convolution(channels, width, 3, generator=generator, bias=True))
                features += [nn.BatchNorm2d(width), nn.ReLU()] if batch_norm else [nn.ReLU()]
                channels = width
            features.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        classifier: list[nn.Module] = []
        for width in hidden:
            classifier += [linear(channels, width, 0.01, generator), nn.ReLU(), nn.Dropout(dropout)]
            channels = width
        self.classifier = nn.Sequential(*classifier, linear(channels, num_classes, 0.01, generator))

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.avgpool(self.features(input)).flatten(1))
        return y


def vgg(
    name: str,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
) -> VGG:
    """A `VGG` by name: "vgg_small", "vgg11_bn", "vgg13_bn", "vgg16_bn" or "vgg19_bn".

    The last four have the paper's convolutions (its networks A, B, D and E) and one linear layer; "vgg_small" has three
    stages of two convolutions with 32, 64 and 128 channels.

    Raises:
        ValueError: if there is no such network, or the image is smaller than 32×32 (8×8 for "vgg_small").
    """
    if name not in _STAGES:
        raise ValueError(f"vgg: expected one of {', '.join(_STAGES)}, got {name!r}")
    stages = _STAGES[name]
    remaining(name, image_size, lambda size: size >> len(stages))
    return VGG(stages, num_classes, in_channels, generator=generator)


MODELS: dict[str, Callable[..., nn.Module]] = {name: partial(vgg, name) for name in _STAGES}
