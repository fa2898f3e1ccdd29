"""The residual networks of He et al. for small images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeAlias

from .. import nn
from ..autograd.tensor import Tensor
from ..nn import functional as F
from ..random import Generator
from .blocks import ConvShortcut, PadShortcut, convolution

Shortcut: TypeAlias = Literal["A", "B"]
"""How a block's input gets another size: "A" without parameters, "B" by a 1×1 convolution with batch norm."""


class BasicBlock(nn.Module):
    """`relu(bn2(conv2(relu(bn1(conv1(x))))) + downsample(x))`.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: of the first convolution.
        generator: where the initial values come from.
        shortcut: what `downsample` is where the output has another shape than the input: "A" is a `PadShortcut`, "B" a
            `ConvShortcut`. Elsewhere it is the identity.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)

    Raises:
        ValueError: if `shortcut` is neither.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        generator: Generator | None = None,
        shortcut: Shortcut = "A",
    ) -> None:
        if shortcut not in ("A", "B"):
            raise ValueError(f"BasicBlock: expected shortcut 'A' or 'B', got {shortcut!r}")
        self.conv1 = convolution(in_channels, out_channels, 3, stride, generator=generator)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = convolution(out_channels, out_channels, 3, generator=generator)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module
        if stride == 1 and in_channels == out_channels:
            self.downsample = nn.Identity()
        elif shortcut == "A":
            self.downsample = PadShortcut(in_channels, out_channels, stride)
        else:
            self.downsample = ConvShortcut(in_channels, out_channels, stride, generator)

    def forward(self, input: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(input)))
        return F.relu(self.bn2(self.conv2(x)) + self.downsample(input))


class _Stages(nn.Module):
    """A 3×3 convolution, stages of basic blocks, global average, linear output; each stage but the first halves images.

    The names of the parts are torchvision's.
    """

    def __init__(
        self,
        widths: Sequence[int],
        blocks: int,
        num_classes: int,
        in_channels: int,
        generator: Generator | None,
        shortcut: Shortcut,
        zero_init_residual: bool,
    ) -> None:
        self._stages = [f"layer{i + 1}" for i in range(len(widths))]
        self.conv1 = convolution(in_channels, widths[0], 3, generator=generator)
        self.bn1 = nn.BatchNorm2d(widths[0])
        before = widths[0]
        for i, width in enumerate(widths):
            stage = [BasicBlock(before, width, 1 if i == 0 else 2, generator, shortcut)]
            stage += [BasicBlock(width, width, 1, generator, shortcut) for _ in range(blocks - 1)]
            self.add_module(self._stages[i], nn.Sequential(*stage))
            before = width
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, num_classes, generator=generator)
        if zero_init_residual:
            for module in self.modules():
                if isinstance(module, BasicBlock) and module.bn2.weight is not None:
                    nn.init.zeros_(module.bn2.weight)

    def forward(self, input: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(input)))
        for name in self._stages:
            x = getattr(self, name)(x)
        y: Tensor = self.fc(self.avgpool(x).flatten(1))
        return y


class ResNet(_Stages):
    """A 3×3 convolution, three stages of blocks with 16, 32 and 64 channels, global average, linear output.

    Args:
        depth: 6 n + 2 layers, for n blocks a stage.
        num_classes: outputs.
        in_channels: channels of the images.
        generator: where the initial values come from. Convolutions start from `kaiming_normal_`.
        shortcut: how a block's input gets another size (see `BasicBlock`). The paper's networks for CIFAR have "A"; "B"
            has 2,752 parameters more, whatever the depth.
        zero_init_residual: whether the last batch norm of every block starts from scale 0, which makes the block
            the identity: Goyal et al., "Accurate, large minibatch SGD", 2017.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of any size.

    Raises:
        ValueError: if the depth is not 8, 14, 20, ..., or there is no such shortcut.

    Example:
        >>> sum(p.data.size for p in ResNet(110).parameters())
        1727962

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """

    def __init__(
        self,
        depth: int,
        num_classes: int = 10,
        in_channels: int = 3,
        generator: Generator | None = None,
        shortcut: Shortcut = "A",
        zero_init_residual: bool = False,
    ) -> None:
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"ResNet: expected a depth of 6 n + 2 with n >= 1, got {depth}")
        blocks = (depth - 2) // 6
        super().__init__((16, 32, 64), blocks, num_classes, in_channels, generator, shortcut, zero_init_residual)


class ResNet18(_Stages):
    """ResNet-18 for small images: a 3×3 convolution and no pooling before four stages of 64, 128, 256 and 512 channels.

    torchvision's `resnet18` has a 7×7 convolution with stride 2 and a pooling before the same stages; the names of
    all parameters are the same.

    Args:
        num_classes: outputs.
        in_channels: channels of the images.
        generator: where the initial values come from. Convolutions start from `kaiming_normal_`.
        shortcut: how a block's input gets another size (see `BasicBlock`).
        zero_init_residual: whether the last batch norm of every block starts from scale 0.

    Shape:
        (N, in_channels, H, W) -> (N, num_classes), for images of any size.

    Raises:
        ValueError: if there is no such shortcut.

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016, table 1.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        generator: Generator | None = None,
        shortcut: Shortcut = "B",
        zero_init_residual: bool = False,
    ) -> None:
        super().__init__((64, 128, 256, 512), 2, num_classes, in_channels, generator, shortcut, zero_init_residual)


def resnet(
    depth: int,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
    shortcut: Shortcut = "A",
) -> ResNet:
    """The `ResNet` of a depth; images of any size do, for it ends with a global average."""
    return ResNet(depth, num_classes, in_channels, generator, shortcut)


def resnet18(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: tuple[int, int] = (32, 32),
    generator: Generator | None = None,
) -> ResNet18:
    """A `ResNet18`; images of any size do, for it ends with a global average."""
    return ResNet18(num_classes, in_channels, generator)


DEPTHS = (8, 14, 20, 32, 44, 56, 110)
MODELS: dict[str, Callable[..., nn.Module]] = {
    **{f"resnet{depth}": partial(resnet, depth) for depth in DEPTHS},
    **{f"resnet{depth}_b": partial(resnet, depth, shortcut="B") for depth in DEPTHS},
    "resnet18": resnet18,
}
