"""The network that trains to 94 % on CIFAR-10 in seconds on a GPU."""

from __future__ import annotations

from .. import nn
from ..autograd import Tensor, no_grad
from ..preprocessing import PatchWhitening
from ..random import Generator
from .size import remaining

__all__ = ["Speed94", "speed94"]

_WIDTHS = (64, 256, 256)
_EPS, _MOMENTUM = 1e-12, 0.4
_LOGIT_SCALE = 1 / 9


class _ScaledLinear(nn.Linear):
    """A linear layer without bias whose outputs are small at first, so that the loss starts near log C."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) * _LOGIT_SCALE


class Speed94(nn.Sequential):
    """A whitening 2×2 convolution, three groups of two convolutions with 64, 256 and 256 channels, scaled output.

    A group is convolution, max pooling, batch norm, GELU, convolution, batch norm, GELU. Three choices make it fast
    to train: batch norm has no scale (its weight stays 1) and follows recent batches closely; convolutions hand
    their first channels through at first (Dirac); and the first layer is not learnt but whitens 2×2 patches,
    once `fit_patches` has seen images. Until then it is an ordinary convolution.

    Args:
        num_classes: the number of outputs.
        in_channels: channels of the images; the first layer has 8 outputs for each.
        image_size: their height and width. A last max pooling takes the 3×3 pixels that the groups leave of a
            32×32 image (all that is left, if less).
        generator: where the initial values come from; None means the default generator.

    Shape:
        (N, in_channels, *image_size) -> (N, num_classes)

    Raises:
        ValueError: if the image is smaller than 9×9.

    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498.

    Example:
        >>> sum(p.data.size for p in Speed94().parameters() if p.requires_grad)
        1971640
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: tuple[int, int] = (32, 32),
        generator: Generator | None = None,
    ) -> None:
        left = remaining("speed94", image_size, lambda size: (size - 1) // 8)
        window = (min(left[0], 3), min(left[1], 3))
        area = (left[0] // window[0]) * (left[1] // window[1])
        channels = 8 * in_channels
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, 2, generator=generator), nn.GELU()]
        for width in _WIDTHS:
            layers += [_convolution(channels, width, generator), nn.MaxPool2d(2), _norm(width), nn.GELU()]
            layers += [_convolution(width, width, generator), _norm(width), nn.GELU()]
            channels = width
        head = _ScaledLinear(channels * area, num_classes, bias=False, generator=generator)
        super().__init__(*layers, nn.MaxPool2d(window), nn.Flatten(), head)

    def fit_patches(self, images: Tensor) -> None:
        """Make the first layer whiten the 2×2 patches of images, and fix its weight; the bias stays trainable.

        Its filters are the principal directions of the patches divided by the standard deviations along them, and
        the negatives of these, so that nothing is lost in the activation.

        Args:
            images: some thousand training images, normalised as for training.

        Shape:
            images (N, in_channels, *image_size)

        Raises:
            ValueError: if the images have other channels.
        """
        first = self[0]
        assert isinstance(first, nn.Conv2d)
        PatchWhitening(2).fit(images.data.transpose(0, 2, 3, 1)).initialize(first)

    def fix_patches(self) -> None:
        """Fix the first layer's weight, as `fit_patches` does: for a network that got its weights elsewhere."""
        first = self[0]
        assert isinstance(first, nn.Conv2d)
        first.weight.requires_grad_(False)


def speed94(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
) -> Speed94:
    """The network `Speed94`; arguments, shape, errors and source as there."""
    return Speed94(num_classes, in_channels, image_size, generator)


def _convolution(in_channels: int, out_channels: int, generator: Generator | None) -> nn.Conv2d:
    """A 3×3 convolution whose first `in_channels` outputs are its inputs at first."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False, generator=generator)
    with no_grad():
        nn.init.dirac_(conv.weight[:in_channels])
    return conv


def _norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm whose scale stays 1."""
    norm = nn.BatchNorm2d(channels, eps=_EPS, momentum=_MOMENTUM)
    assert norm.weight is not None
    norm.weight.requires_grad_(False)
    return norm
