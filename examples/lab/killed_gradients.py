"""Saturated sigmoids kill the gradient: each layer passes a quarter of it at most, a saturated one next to nothing.

Lecture: lecture 6, "Training neural networks I", "Sigmoid function: killed gradients": the slope is q (1 - q), so at
x = 10 as at x = -10 hardly anything is left of what comes from above, and every further sigmoid shrinks it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREEN, ORANGE, Finding, main

import fastnn
from fastnn import data, diagnose, nn, transforms
from fastnn.nn import functional as F

DEPTH, WIDTH = 10, 100
COLOURS = {"sigmoid": BLUE, "tanh": ORANGE, "ReLU": GREEN}
SLOPES: dict[str, Callable[[fastnn.Tensor], fastnn.Tensor]] = {"sigmoid": F.sigmoid, "tanh": F.tanh, "ReLU": F.relu}
LAYERS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "sigmoid": (nn.Sigmoid, 1.0),
    "tanh": (nn.Tanh, 1.0),
    "ReLU": (nn.ReLU, 2**0.5),
}
"""Each activation as a layer, and the usual size of weights before it, times √inputs."""


@dataclass(frozen=True)
class KilledGradients(Finding):
    """Slopes of activations, and what is left of the gradient layer by layer in a network at its start.

    Attributes:
        x, slopes: places, and the slope of each activation there.
        at_ten: the sigmoid's slope at 10 and -10.
        gradients: standard deviation of the gradient at each layer's output, first layer first, by activation.
        scales: by how much the usual weights are multiplied.
        saturated: the share of saturated values in all layers, for each scale, by activation.
        passed: what an activation leaves of the gradient's standard deviation, likewise, mean of all layers.
    """

    size = (13.0, 4.2)

    x: np.ndarray
    slopes: dict[str, np.ndarray]
    at_ten: tuple[float, float]
    gradients: dict[str, list[float]]
    scales: list[float]
    saturated: dict[str, list[float]]
    passed: dict[str, list[float]]

    def left(self, name: str) -> float:
        """The first layer's gradient as a share of the last one's."""
        return self.gradients[name][0] / self.gradients[name][-1]

    def claims(self) -> dict[str, bool]:
        steepest = float(self.slopes["sigmoid"].max())
        per_layer = self.left("sigmoid") ** (1 / (DEPTH - 1))
        share, rest = self.saturated["sigmoid"], self.passed["sigmoid"]
        return {
            f"the sigmoid's steepest slope is {steepest:.3f}": abs(steepest - 0.25) < 1e-6,
            f"at 10 and -10 it is {self.at_ten[0]:.1e} and {self.at_ten[1]:.1e}": max(self.at_ten) < 5e-5,
            f"each sigmoid layer passes on {per_layer:.2f} of the gradient": per_layer < 0.25,
            f"the first of {DEPTH} gets {self.left('sigmoid'):.0e} of the last one's": self.left("sigmoid") < 1e-5,
            f"with ReLU it gets {self.left('ReLU'):.2g}, with tanh {self.left('tanh'):.2g}": (
                self.left("ReLU") > 0.2 and self.left("tanh") > 0.2
            ),
            f"weights × {self.scales[-1]:g} saturate {share[-1]:.0%} of the sigmoids, not {share[0]:.0%}": (
                share[0] < 0.05 and share[-1] > 0.6
            ),
            f"a sigmoid then passes on {rest[-1]:.2f} of the gradient, not {rest[0]:.2f}": rest[-1] < 0.6 * rest[0],
        }

    def draw(self, figure: Any) -> None:
        slope, depth, saturation = figure.subplots(1, 3)
        for name, values in self.slopes.items():
            slope.plot(self.x, values, color=COLOURS[name], label=name)
        slope.set(xlabel="x", ylabel="slope", title="Slope of the activation", ylim=(-0.03, 1.15))
        slope.annotate(
            f"sigmoid at 10: {self.at_ten[0]:.1e}", (10, 0), (2.2, 0.5), arrowprops={"arrowstyle": "->"}, fontsize=9
        )
        slope.legend(loc="upper left")
        layers = np.arange(1, DEPTH + 1)
        for name, colour in COLOURS.items():
            depth.semilogy(layers, self.gradients[name], ".-", color=colour, markersize=8, label=name)
            saturation.semilogx(self.scales, self.passed[name], ".-", color=colour, markersize=8, label=name)
            saturation.semilogx(self.scales, self.saturated[name], ":", color=colour)
        depth.set(xlabel="layer, first to last", title="Spread of the gradient by layer, at the start")
        depth.set_xticks(layers)
        depth.legend(loc="lower right")
        saturation.plot([], [], "k.-", label="gradient passed on")
        saturation.plot([], [], "k:", label="share saturated")
        saturation.set(
            xlabel="weights, times the usual", title="One activation, by the size of weights", ylim=(0, 1.25)
        )
        saturation.legend(ncols=2, loc="upper center")


def network(activation: Callable[[], nn.Module], gain: float) -> nn.Sequential:
    """Ten layers of 100 units; weights Gaussian of standard deviation gain / √inputs, biases 0."""
    layers: list[nn.Module] = [nn.Flatten()]
    for number in range(DEPTH):
        linear = nn.Linear(WIDTH if number else 64, WIDTH)
        nn.init.normal_(linear.weight, std=gain / linear.weight.shape[1] ** 0.5)
        nn.init.zeros_(linear.bias)
        layers += [linear, activation()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 10))


def measure(quick: bool = False) -> KilledGradients:
    """Differentiate the activations; pass digits through new networks, and the gradient back."""
    x = fastnn.linspace(-11, 11, 221, dtype=fastnn.float64).requires_grad_()
    slopes = {}
    for name, function in SLOPES.items():
        x.grad = None
        function(x).sum().backward()
        slopes[name] = x.grad.numpy().copy()
    at = {round(float(place), 6): float(value) for place, value in zip(x.tolist(), slopes["sigmoid"])}

    train, _ = data.load("digits")
    loader = data.DataLoader(train, 100 if quick else 500, transform=transforms.Normalize(0.3, 0.37))
    batch = next(iter(loader))
    gradients, saturated, passed = {}, {name: [] for name in LAYERS}, {name: [] for name in LAYERS}
    scales = [1.0, 3.0, 10.0, 30.0]
    for name, (activation, gain) in LAYERS.items():
        for scale in scales:
            fastnn.manual_seed(0)
            model = network(activation, scale * gain)
            report = diagnose.layer_statistics(model, [batch], nn.CrossEntropyLoss())
            kinds = {each.name: each.kind for each in report.activations}
            after = [each.std for each in report.gradients if kinds[each.name] == activation.__name__]
            before = [each.std for each in report.gradients if kinds[each.name] == "Linear"]
            shares = [each.saturated for each in report.activations if each.kind == activation.__name__]
            gradients.setdefault(name, after)
            saturated[name].append(float(np.mean(shares)))
            passed[name].append(float(np.mean(np.array(before[:DEPTH]) / after)))
    return KilledGradients(x.detach().numpy(), slopes, (at[10.0], at[-10.0]), gradients, scales, saturated, passed)


if __name__ == "__main__":
    main(measure)
