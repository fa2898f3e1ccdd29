"""`fastnn bench roofline`: the layers of a network in training, each beside what the machine allows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from .. import nn, optim
from ..autograd import Tensor
from .networks import Network
from .table import Column, Table, milliseconds, share

if TYPE_CHECKING:
    from ..profiler import Profile, Roofline

__all__ = ["measure", "table"]

_WARM_UP = 3


def measure(network: Network, seconds: float) -> Profile:
    """Profile training steps of a network on random images, operations told apart by their shapes.

    Args:
        network: what to train, with the SGD of the training benchmark.
        seconds: how long to repeat the step.
    """
    from ..profiler import profile

    rng = np.random.default_rng(0)
    n, channels, height, width = network.input_shape
    images = rng.standard_normal((n, height, width, channels), np.float32).transpose(0, 3, 1, 2)
    x, y = Tensor(images), Tensor(rng.integers(0, 10, n))
    model, loss_of = network.create(), nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)

    def step() -> None:
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()

    for _ in range(_WARM_UP):
        step()
    end = time.perf_counter() + seconds
    with profile() as measured:
        while True:
            step()
            if time.perf_counter() >= end:
                break
    return measured.report(group_by_input_shape=True)


def table(roofline: Roofline) -> tuple[Table, list[list[str]]]:
    """The points as a table, and its cells, the slowest first."""
    points = sorted(roofline.points, key=lambda point: point.seconds, reverse=True)
    width = max((len(point.label) for point in points), default=9)
    columns = [Column("operation", width, text=True), Column("pass", 8, text=True)]
    columns += [Column(head, 8) for head in ("ms", "GFLOP", "MB", "FLOP/B", "GFLOP/s", "of roof")]
    cells = [
        [
            point.label,
            point.direction,
            milliseconds(point.seconds),
            f"{point.flops / 1e9:.3f}",
            f"{point.bytes / 1e6:.1f}",
            f"{point.intensity:.1f}",
            f"{point.gflops:,.1f}",
            share(point.gflops / roofline.bound(point.intensity)),
        ]
        for point in points
    ]
    return Table(columns), cells
