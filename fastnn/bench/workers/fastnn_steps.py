"""Steps of fastnn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import fastnn
from fastnn import Tensor, inference, models, nn, optim


def prepare(task: Mapping[str, Any]) -> Callable[[], float]:
    """The step of a task; see `fastnn.bench.steps` for what a task holds."""
    fastnn.set_num_threads(task["threads"])
    with np.load(task["data"]) as data:
        # Channels-last in memory, as DataLoader yields images.
        x = Tensor(np.ascontiguousarray(data["x"].transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2))
        y = Tensor(data["y"])
    _, channels, height, width = x.shape
    model = models.create(task["model"], 10, channels, (height, width))
    with np.load(task["weights"]) as weights:
        model.load_state_dict({name: Tensor(weights[name]) for name in weights.files})
    if task["mode"] == "infer":
        return _inference(model, x, compiled=task["form"] != "eager")
    return _training(model, x, y, task)


def _training(model: nn.Module, x: Tensor, y: Tensor, task: Mapping[str, Any]) -> Callable[[], float]:
    loss_of = nn.CrossEntropyLoss(label_smoothing=task["label_smoothing"])
    optimizer = optim.SGD(model.parameters(), **task["sgd"])
    model.train()

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def _inference(model: nn.Module, x: Tensor, *, compiled: bool) -> Callable[[], float]:
    model.eval()
    network = inference.compile(model, x) if compiled else model
    if isinstance(network, inference.Compiled) and network.reason(x) is not None:
        raise ValueError(f"the network cannot be compiled: {network.reason(x)}")

    def step() -> float:
        with fastnn.no_grad():
            return float(network(x).data[0, 0])

    return step
