"""Checks before a long training: gradients against differences, the loss at the start, a handful of images by heart.

Lecture: CS231n, lecture 6, "Babysitting the learning process", and the course's notes on gradient checks: the error of
centred differences falls as h² until rounding takes over, so h must not be too small, least of all in single
precision; an untrained network's loss is log C; one that cannot learn twenty images by heart has a mistake in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREEN, GREY, ORANGE, RED, SKY, Finding, main

import fastnn
from fastnn import data, nn, optim, transforms
from fastnn.nn import functional as F

CLASSES = (2, 5, 10, 30, 100, 300, 1000)
TINY = 20


@dataclass(frozen=True)
class GradientCheck(Finding):
    """Errors of differences, losses at the start, and the loss on twenty images.

    Attributes:
        steps: h.
        errors: relative error of the directional derivative, by kind of difference and dtype; median of directions.
        classes: C.
        losses: cross-entropy of an untrained network, for each C.
        tiny_loss: on the twenty images, by training step.
        tiny_accuracy: at the end.
    """

    size = (13.0, 4.4)

    steps: np.ndarray
    errors: dict[str, np.ndarray]
    classes: np.ndarray
    losses: np.ndarray
    tiny_loss: np.ndarray
    tiny_accuracy: float

    def best(self, name: str) -> tuple[float, float]:
        """The h with the smallest error, and that error."""
        place = int(np.argmin(self.errors[name]))
        return float(self.steps[place]), float(self.errors[name][place])

    def order(self, name: str) -> float:
        """p of error ~ hᵖ, where rounding does not matter yet."""
        part = (self.steps >= 2e-3) & (self.steps <= 5e-2)
        return float(np.polyfit(np.log(self.steps[part]), np.log(self.errors[name][part]), 1)[0])

    def claims(self) -> dict[str, bool]:
        double, single = self.best("centred, float64"), self.best("centred, float32")
        forward, centred = self.order("forward, float64"), self.order("centred, float64")
        off = float(np.abs(self.losses / np.log(self.classes) - 1).max())
        return {
            f"the error of forward differences falls as h^{forward:.2f}, of centred ones as h^{centred:.2f}": (
                abs(forward - 1) < 0.15 and abs(centred - 2) < 0.2
            ),
            f"float64: the best h is {double[0]:.0e}, with an error of {double[1]:.0e}": (
                1e-7 < double[0] < 1e-3 and double[1] < 1e-8
            ),
            f"float32: the best h is {single[0]:.0e}, with an error of {single[1]:.0e}": (
                single[0] > 1e-3 and single[1] < 1e-2
            ),
            f"the loss of untrained networks is log C to {off:.1%}, for 2 to 1000 classes": off < 0.03,
            f"{TINY} images by heart: the loss goes from {self.tiny_loss[0]:.2f} (log 10 is {math.log(10):.2f}) to "
            f"{self.tiny_loss[-1]:.0e}, {self.tiny_accuracy:.0%} read": (
                self.tiny_loss[-1] < 1e-2 and self.tiny_accuracy == 1
            ),
        }

    def draw(self, figure: Any) -> None:
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.3, 1, 1])
        for (name, errors), colour in zip(self.errors.items(), (SKY, BLUE, ORANGE, RED)):
            left.loglog(self.steps, errors, ".-", color=colour, label=name)
        for name in ("centred, float64", "centred, float32"):
            left.plot(*self.best(name), "k*", markersize=11, zorder=3)
        left.set(xlabel="h", ylabel="relative error of the derivative", title="Differences against backward()")
        left.set_ylim(1e-13, 1e4)
        left.legend(loc="upper center", ncols=2, columnspacing=1.0)
        middle.semilogx(self.classes, np.log(self.classes), color=GREY, label="log C")
        middle.semilogx(self.classes, self.losses, "o", color=GREEN, label="untrained networks")
        middle.set_xticks(self.classes, [str(count) for count in self.classes])
        middle.minorticks_off()
        middle.set(xlabel="classes, C", ylabel="cross-entropy", title="The loss before the first step")
        middle.legend(loc="upper left")
        right.semilogy(self.tiny_loss, color=BLUE, label=f"{TINY} images")
        right.axhline(math.log(10), color=GREY, linestyle="--", linewidth=1.2, label="log 10")
        right.set(xlabel="step", ylabel="cross-entropy", title="A few images by heart")
        right.legend(loc="center right")


def network(inputs: int, classes: int) -> nn.Sequential:
    """Two smooth layers with small outputs, so that no class is preferred at the start."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 40), nn.Tanh(), nn.Linear(40, classes))
    nn.init.normal_(model[-1].weight, std=0.01)
    nn.init.zeros_(model[-1].bias)
    return model


def difference_errors(dtype: type[np.floating], steps: np.ndarray, directions: int) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of forward and of centred differences of a network's loss along random directions.

    Shape:
        steps (n,) -> (n,), (n,), medians over the directions
    """
    fastnn.manual_seed(0)
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(20, 30, dtype=dtype), nn.Tanh(), nn.Linear(30, 5, dtype=dtype))
    x, y = fastnn.tensor(rng.standard_normal((50, 20)).astype(dtype)), fastnn.tensor(rng.integers(0, 5, 50))
    weight = model[0].weight
    at = weight.detach().clone().numpy()
    F.cross_entropy(model(x), y).backward()
    gradient = weight.grad.numpy().astype(np.float64)

    def loss(values: np.ndarray) -> float:
        with fastnn.no_grad():
            weight.copy_(fastnn.tensor(values))
            return float(F.cross_entropy(model(x), y).item())

    forward, centred = np.empty((2, directions, len(steps)))
    for row in range(directions):
        # Partly along the gradient, so that the slope is not small.
        random = rng.standard_normal(at.shape)
        way = (random / np.linalg.norm(random) + gradient / np.linalg.norm(gradient)).astype(dtype)
        slope, start = float((way * gradient).sum()), loss(at)
        for column, h in enumerate(steps):
            above, below = loss(at + dtype(h) * way), loss(at - dtype(h) * way)
            forward[row, column] = abs((above - start) / h / slope - 1)
            centred[row, column] = abs((above - below) / (2 * h) / slope - 1)
    return np.median(forward, axis=0), np.median(centred, axis=0)


def by_heart(steps: int) -> tuple[np.ndarray, float]:
    """The loss of each step of a training on twenty digits, and their accuracy at the end."""
    training, _ = data.load("digits")
    x = fastnn.tensor(transforms.Normalize(0.3, 0.37)(training.images[:TINY])).permute(0, 3, 1, 2)
    y = fastnn.tensor(training.labels[:TINY])
    fastnn.manual_seed(0)
    model = network(64, 10)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    losses = np.empty(steps)
    for step in range(steps):
        output = model(x)
        loss = F.cross_entropy(output, y)
        losses[step] = loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses, float((output.argmax(1) == y).float().mean().item())


def measure(quick: bool = False) -> GradientCheck:
    """All three checks."""
    steps = np.logspace(-11, 0, 23 if quick else 45)
    errors = {}
    for dtype in (np.float64, np.float32):
        name = np.dtype(dtype).name
        both = difference_errors(dtype, steps, 3 if quick else 15)
        errors[f"forward, {name}"], errors[f"centred, {name}"] = both
    losses = []
    for classes in CLASSES:
        fastnn.manual_seed(classes)
        x, y = fastnn.randn(500, 64), fastnn.randint(0, classes, (500,))
        losses.append(F.cross_entropy(network(64, classes)(x), y).item())
    tiny, accuracy = by_heart(200)
    return GradientCheck(steps, errors, np.array(CLASSES), np.array(losses), tiny, accuracy)


if __name__ == "__main__":
    main(measure)
