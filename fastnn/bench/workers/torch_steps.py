"""Steps of PyTorch, and the networks of the benchmark as its users write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

FORMS = ("eager", "channels-last", "compiled")
"""Eager in NCHW with the default optimiser; in channels-last with the fused one; the latter compiled."""


def prepare(task: Mapping[str, Any]) -> Callable[[], float]:
    """The step of a task; see `fastnn.bench.steps` for what a task holds. "form" is one of `FORMS`."""
    torch.set_num_threads(task["threads"])
    layout = torch.contiguous_format if task["form"] == "eager" else torch.channels_last
    model, x, y = load(task)
    model, x = model.to(memory_format=layout), x.contiguous(memory_format=layout)
    run = torch.compile(model) if task["form"] == "compiled" else model
    if task["mode"] == "infer":
        return _inference(model, run, x)
    return _training(model, run, x, y, task)


def load(task: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """The network with the weights of the task, images and labels."""
    with np.load(task["data"]) as data:
        x, y = torch.from_numpy(data["x"]), torch.from_numpy(data["y"])
    model = create(task["model"], x.shape[1], x.shape[2])
    with np.load(task["weights"]) as weights:
        state = {name: torch.from_numpy(weights[name]) for name in weights.files}
    # fastnn's norms may or may not count batches; nothing else may be missing.
    missing, unexpected = model.load_state_dict(state, strict=False)
    wrong = [name for name in (*missing, *unexpected) if not name.endswith("num_batches_tracked")]
    if wrong:
        raise ValueError(f"the networks of fastnn and PyTorch differ in {wrong}")
    return model, x, y


def _training(model: Any, run: Any, x: Any, y: Any, task: Mapping[str, Any]) -> Callable[[], float]:
    loss_of = nn.CrossEntropyLoss(label_smoothing=task["label_smoothing"])
    fused = {} if task["form"] == "eager" else {"fused": True}
    optimizer = torch.optim.SGD(model.parameters(), **task["sgd"], **fused)
    model.train()

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(run(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def _inference(model: Any, run: Any, x: Any) -> Callable[[], float]:
    model.eval()

    def step() -> float:
        with torch.no_grad():
            return float(run(x)[0, 0])

    return step


def create(name: str, channels: int, size: int) -> Any:
    """The network called `name`, built like that of `fastnn.models`, with the same names of parameters."""
    networks: dict[str, Callable[[], Any]] = {
        "mlp": lambda: _mlp(channels * size**2),
        "lenet5": lambda: _lenet(channels, (size // 2 - 4) // 2),
        "small": lambda: _small(channels, size // 8),
        "resnet20": lambda: ResNet(channels, blocks=3),
        "mobile": lambda: _mobile(channels),
        "speed94": lambda: _speed94(channels),
    }
    return networks[name]()


def _mlp(inputs: int) -> Any:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, 256),
        nn.ReLU(inplace=True),
        nn.Linear(256, 128),
        nn.ReLU(inplace=True),
        nn.Linear(128, 10),
    )


def _lenet(channels: int, left: int) -> Any:
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * left**2, 120),
        nn.ReLU(inplace=True),
        nn.Linear(120, 84),
        nn.ReLU(inplace=True),
        nn.Linear(84, 10),
    )


def _stage(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[Any]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _small(channels: int, left: int) -> Any:
    layers: list[Any] = []
    for inputs, outputs in ((channels, 32), (32, 64), (64, 128)):
        layers += [*_stage(inputs, outputs), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * left**2, 10))


def _mobile(channels: int) -> Any:
    layers, inputs = _stage(channels, 32), 32
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        layers += _stage(inputs, inputs, 3, stride, inputs) + _stage(inputs, outputs, 1)
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def _speed94(channels: int) -> Any:
    layers: list[Any] = [nn.Conv2d(channels, 8 * channels, 2), nn.GELU()]
    for inputs, outputs in ((8 * channels, 64), (64, 256), (256, 256)):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.MaxPool2d(2),
            _unscaled_norm(outputs),
            nn.GELU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            _unscaled_norm(outputs),
            nn.GELU(),
        ]
    return nn.Sequential(*layers, nn.MaxPool2d(3), nn.Flatten(), ScaledLinear(256, 10, bias=False))


def _unscaled_norm(channels: int) -> Any:
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


class ScaledLinear(nn.Linear):  # type: ignore[misc]
    """A linear layer whose outputs are divided by 9."""

    def forward(self, x: Any) -> Any:
        return super().forward(x) * (1 / 9)


class Block(nn.Module):  # type: ignore[misc]
    """A residual block with a shortcut without parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, (outputs - inputs) // 2

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.stride > 1 or self.extra:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(y + x, inplace=True)


class ResNet(nn.Module):  # type: ignore[misc]
    """He et al.'s network for CIFAR, of 6 `blocks` + 2 layers."""

    def __init__(self, channels: int, blocks: int, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs = widths[0]
        for number, outputs in enumerate(widths, 1):
            first = Block(inputs, outputs, 1 if number == 1 else 2)
            rest = (Block(outputs, outputs, 1) for _ in range(blocks - 1))
            setattr(self, f"layer{number}", nn.Sequential(first, *rest))
            inputs = outputs
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.pool(x).flatten(1))
