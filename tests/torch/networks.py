"""The networks of `fastnn.models` in PyTorch, from the papers; torchvision's names of parts where it has them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def mlp(channels: int, size: int, classes: int = 10) -> nn.Module:
    sizes = [channels * size**2, 256, 128, classes]
    layers: list[nn.Module] = [nn.Flatten()]
    for i in range(3):
        layers += [nn.Linear(sizes[i], sizes[i + 1]), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def lenet5(channels: int, size: int, classes: int = 10) -> nn.Module:
    left = (size // 2 - 4) // 2
    features = [nn.Conv2d(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    features += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Linear(16 * left**2, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes)]
    return nn.Sequential(*features, nn.Flatten(), *head)


class VGG(nn.Module):
    """torchvision's with a last average of one pixel; numbers are widths, "M" a pooling."""

    def __init__(self, plan: Sequence[int | str], channels: int, hidden: Sequence[int] = (), classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for each in plan:
            if each == "M":
                layers.append(nn.MaxPool2d(2, 2))
            else:
                width = int(each)
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        head: list[nn.Module] = []
        for width in hidden:
            head += [nn.Linear(channels, width), nn.ReLU(True), nn.Dropout()]
            channels = width
        self.classifier = nn.Sequential(*head, nn.Linear(channels, classes))

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class AllCNNC(nn.Module):
    """Table 2 of the paper, with strides in place of pooling."""

    def __init__(self, channels: int, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Dropout(0.2),
            *(nn.Conv2d(channels, 96, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(96, 96, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(96, 96, 3, padding=1, stride=2), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Conv2d(96, 192, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(192, 192, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(192, 192, 3, padding=1, stride=2), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Conv2d(192, 192, 3), nn.ReLU()),
            *(nn.Conv2d(192, 192, 1), nn.ReLU()),
            *(nn.Conv2d(192, classes, 1), nn.ReLU()),
        )

    def forward(self, x: Any) -> Any:
        return self.features(x).mean((2, 3))


class BasicBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.stride, self.new = stride, after - before
        self.downsample = None
        if option == "B" and (stride != 1 or before != after):
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.downsample is not None:
            x = self.downsample(x)
        elif self.new:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.new // 2, self.new - self.new // 2))
        return F.relu(y + x)


class ResNet(nn.Module):
    def __init__(self, widths: Sequence[int], blocks: int, option: str, channels: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        before, self.count = widths[0], len(widths)
        for number, width in enumerate(widths, 1):
            first = BasicBlock(before, width, 1 if number == 1 else 2, option)
            rest = [BasicBlock(width, width, 1, option) for _ in range(blocks - 1)]
            setattr(self, f"layer{number}", nn.Sequential(first, *rest))
            before = width
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.bn1(self.conv1(x)))
        for number in range(1, self.count + 1):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(x.mean((2, 3)))


class WideBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        if before != after or stride != 1:
            self.downsample = nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Any) -> Any:
        first = F.relu(self.bn1(x))
        if hasattr(self, "downsample"):
            x = self.downsample(first)
        return x + self.conv2(F.relu(self.bn2(self.conv1(first))))


class WideResNet(nn.Module):
    def __init__(self, depth: int, k: int, channels: int, classes: int = 10) -> None:
        super().__init__()
        n = (depth - 4) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        self.layer1 = nn.Sequential(*(WideBlock(16 if i == 0 else 16 * k, 16 * k, 1) for i in range(n)))
        self.layer2 = nn.Sequential(*(WideBlock((16 if i == 0 else 32) * k, 32 * k, 2 - (i > 0)) for i in range(n)))
        self.layer3 = nn.Sequential(*(WideBlock((32 if i == 0 else 64) * k, 64 * k, 2 - (i > 0)) for i in range(n)))
        self.bn1 = nn.BatchNorm2d(64 * k)
        self.fc = nn.Linear(64 * k, classes)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.bn1(self.layer3(self.layer2(self.layer1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


class DenseLayer(nn.Module):
    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(before)
        self.conv1 = nn.Conv2d(before, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, features: Sequence[Any]) -> Any:
        x = self.conv1(F.relu(self.norm1(torch.cat(list(features), 1))))
        return self.conv2(F.relu(self.norm2(x)))


class DenseBlock(nn.Module):
    def __init__(self, layers: int, before: int, growth: int) -> None:
        super().__init__()
        for i in range(layers):
            self.add_module(f"denselayer{i + 1}", DenseLayer(before + i * growth, growth))

    def forward(self, x: Any) -> Any:
        features = [x]
        for layer in self.children():
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    def __init__(self, depth: int, growth: int, channels: int, classes: int = 10) -> None:
        super().__init__()
        layers, width = (depth - 4) // 6, 2 * growth
        parts: list[tuple[str, nn.Module]] = [("conv0", nn.Conv2d(channels, width, 3, padding=1, bias=False))]
        for i in (1, 2, 3):
            parts.append((f"denseblock{i}", DenseBlock(layers, width, growth)))
            width += layers * growth
            if i < 3:
                inner: list[tuple[str, nn.Module]] = [("norm", nn.BatchNorm2d(width)), ("relu", nn.ReLU())]
                inner += [("conv", nn.Conv2d(width, width // 2, 1, bias=False)), ("pool", nn.AvgPool2d(2, 2))]
                parts.append((f"transition{i}", nn.Sequential(OrderedDict(inner))))
                width //= 2
        parts.append(("norm5", nn.BatchNorm2d(width)))
        self.features = nn.Sequential(OrderedDict(parts))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Any) -> Any:
        return self.classifier(F.relu(self.features(x)).mean((2, 3)))


def unit(before: int, after: int, kernel: int, stride: int, groups: int, activation: type[nn.Module]) -> nn.Sequential:
    conv = nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), activation())


class Mobile(nn.Module):
    """Features, global average, dropout, output."""

    def __init__(self, features: Sequence[nn.Module], last: int, dropout: float, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).mean((2, 3)))


def mobilenet_v1(width: float, channels: int, classes: int = 10) -> nn.Module:
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    before = int(32 * width)
    features: list[nn.Module] = [unit(channels, before, 3, 1, 1, nn.ReLU)]
    for each, stride in plan:
        after = int(each * width)
        depthwise = unit(before, before, 3, stride, before, nn.ReLU)
        features.append(nn.Sequential(depthwise, unit(before, after, 1, 1, 1, nn.ReLU)))
        before = after
    return Mobile(features, before, 0.0, classes)


class Inverted(nn.Module):
    def __init__(self, before: int, after: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * before
        layers: list[nn.Module] = [] if expansion == 1 else [unit(before, inner, 1, 1, 1, nn.ReLU6)]
        layers.append(unit(inner, inner, 3, stride, inner, nn.ReLU6))
        layers += [nn.Conv2d(inner, after, 1, bias=False), nn.BatchNorm2d(after)]
        self.conv = nn.Sequential(*layers)
        self.same = stride == 1 and before == after

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.same else self.conv(x)


def mobilenet_v2(widths: Sequence[int], channels: int, classes: int = 10) -> nn.Module:
    """Widths as multiples of 8: of the first convolution, the seven groups and the last convolution."""
    features: list[nn.Module] = [unit(channels, widths[0], 3, 1, 1, nn.ReLU6)]
    before = widths[0]
    groups = zip((1, 6, 6, 6, 6, 6, 6), widths[1:8], (1, 2, 3, 4, 3, 3, 1), (1, 1, 2, 2, 1, 2, 1), strict=True)
    for expansion, after, blocks, stride in groups:
        for i in range(blocks):
            features.append(Inverted(before, after, stride if i == 0 else 1, expansion))
            before = after
    features.append(unit(before, widths[8], 1, 1, 1, nn.ReLU6))
    return Mobile(features, widths[8], 0.2, classes)


VGG_PLANS: dict[str, list[int | str]] = {
    "vgg_small": [32, 32, "M", 64, 64, "M", 128, 128, "M"],
    "vgg11_bn": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg13_bn": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg16_bn": [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "vgg19_bn": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}
NETWORKS: dict[str, Callable[[int, int], nn.Module]] = {
    "mlp": mlp,
    "lenet5": lenet5,
    **{name: lambda channels, size, plan=plan: VGG(plan, channels) for name, plan in VGG_PLANS.items()},
    "all_cnn_c": lambda channels, size: AllCNNC(channels),
    **{
        f"resnet{6 * n + 2}{suffix}": lambda channels, size, n=n, option=option: ResNet(
            (16, 32, 64), n, option, channels
        )
        for n in (1, 2, 3, 5, 7, 9, 18)
        for suffix, option in (("", "A"), ("_b", "B"))
    },
    "resnet18": lambda channels, size: ResNet((64, 128, 256, 512), 2, "B", channels),
    **{
        f"wrn_{depth}_{k}": lambda channels, size, depth=depth, k=k: WideResNet(depth, k, channels)
        for depth, k in ((10, 2), (16, 2), (16, 4), (16, 8), (28, 2), (40, 2), (28, 10))
    },
    "densenet_bc_40_12": lambda channels, size: DenseNet(40, 12, channels),
    "densenet_bc_100_12": lambda channels, size: DenseNet(100, 12, channels),
    "mobilenet_v1_025": lambda channels, size: mobilenet_v1(0.25, channels),
    "mobilenet_v1_050": lambda channels, size: mobilenet_v1(0.5, channels),
    "mobilenet_v1_075": lambda channels, size: mobilenet_v1(0.75, channels),
    "mobilenet_v1": lambda channels, size: mobilenet_v1(1.0, channels),
    "mobilenet_v2_025": lambda channels, size: mobilenet_v2((8, 8, 8, 8, 16, 24, 40, 80, 1280), channels),
    "mobilenet_v2_050": lambda channels, size: mobilenet_v2((16, 8, 16, 16, 32, 48, 80, 160, 1280), channels),
    "mobilenet_v2_075": lambda channels, size: mobilenet_v2((24, 16, 24, 24, 48, 72, 120, 240, 1280), channels),
    "mobilenet_v2": lambda channels, size: mobilenet_v2((32, 16, 24, 32, 64, 96, 160, 320, 1280), channels),
}
