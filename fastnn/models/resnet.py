"""The residual networks of He et al. for images of CIFAR's size."""

from __future__ import annotations

from .. import nn
from ..autograd.tensor import Tensor
from ..nn import functional as F
from ..random import Generator


class PadShortcut(nn.Module):
    """The shortcut without parameters (the paper's option A): every second pixel, and channels of zeros.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, half of the new ones before the old ones and half after.
        stride: the distance between the pixels taken.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        if out_channels < in_channels:
            raise ValueError(f"PadShortcut: expected out_channels >= {in_channels}, got {out_channels}")
        self.before = (out_channels - in_channels) // 2
        self.after = out_channels - in_channels - self.before
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        x = input[:, :, :: self.stride, :: self.stride] if self.stride > 1 else input
        return F.pad(x, (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        return f"channels=(+{self.before}, +{self.after}), stride={self.stride}"


class BasicBlock(nn.Module):
    """`relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))`.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, generator: Generator | None = None
    ) -> None:
        self.conv1 = _conv3x3(in_channels, out_channels, stride, generator)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _conv3x3(out_channels, out_channels, 1, generator)
        self.bn2 = nn.BatchNorm2d(out_channels)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else PadShortcut(in_channels, out_channels, stride)

    def forward(self, input: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(input)))
        return F.relu(self.bn2(self.conv2(x)) + self.shortcut(input))


class ResNet(nn.Module):
    """A 3×3 convolution, three stages of blocks with 16, 32 and 64 channels, global average, linear output.

    Args:
        depth: 6 n + 2 layers, for n blocks a stage.
        num_classes: outputs.
        in_channels: channels of the images.
        generator: where the initial values come from. Convolutions start from `kaiming_normal_`.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes)

    Raises:
        ValueError: if the depth is not 8, 14, 20, ...

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """

    def __init__(
        self, depth: int, num_classes: int = 10, in_channels: int = 3, generator: Generator | None = None
    ) -> None:
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"ResNet: expected a depth of 6 n + 2 with n >= 1, got {depth}")
        blocks = (depth - 2) // 6
        self.conv1 = _conv3x3(in_channels, 16, 1, generator)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, blocks, 1, generator)
        self.layer2 = _stage(16, 32, blocks, 2, generator)
        self.layer3 = _stage(32, 64, blocks, 2, generator)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes, generator=generator)

    def forward(self, input: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(input)))
        x = self.layer3(self.layer2(self.layer1(x)))
        y: Tensor = self.fc(self.pool(x).flatten(1))
        return y


def _conv3x3(in_channels: int, out_channels: int, stride: int, generator: Generator | None) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False, generator=generator)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu", generator=generator)
    return conv


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int, generator: Generator | None) -> nn.Sequential:
    """Blocks of one width; the first one changes size and channels."""
    first = BasicBlock(in_channels, out_channels, stride, generator)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels, 1, generator) for _ in range(blocks - 1)))


def resnet(
    depth: int,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
) -> ResNet:
    """The `ResNet` of a depth; images of any size do, for it ends with a global average."""
    return ResNet(depth, num_classes, in_channels, generator)
