"""Activations and gradients by depth under six initialisations of one deep network.

Lecture: CS231n, lecture 6, "Weight initialization": with weights from N(0, 0.01²) activations shrink to nothing, with
N(0, 0.5²) tanh saturates; 1/√d_in (Xavier) keeps tanh alive and √(2/d_in) (He) keeps ReLU alive, for which Xavier is
too small. "Batch normalization": the network depends less on how it was initialised.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, Finding, main

import fastnn
from fastnn import diagnose, nn

DEPTH = 10
SHOWN = (1, 2, 4, 7, 10)
"""The layers whose histograms are drawn."""

CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Parameter], object], bool]] = {
    "tanh, N(0, 0.01²)": (nn.Tanh, lambda w: nn.init.normal_(w, std=0.01), False),
    "tanh, N(0, 0.5²)": (nn.Tanh, lambda w: nn.init.normal_(w, std=0.5), False),
    "tanh, Xavier": (nn.Tanh, nn.init.lecun_normal_, False),
    "ReLU, Xavier": (nn.ReLU, nn.init.lecun_normal_, False),
    "ReLU, He": (nn.ReLU, lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"), False),
    "ReLU, N(0, 0.01²), batch norm": (nn.ReLU, lambda w: nn.init.normal_(w, std=0.01), True),
}
COLOURS = dict(zip(CASES, (BLUE, RED, GREEN, ORANGE, BLACK, PURPLE)))
SMALL, LARGE, XAVIER, XAVIER_RELU, HE, NORMED = CASES


@dataclass(frozen=True)
class Initialisation(Finding):
    """What the layers of each network put out, and the gradients that come back to them.

    Attributes:
        width: units of each layer.
        activations, gradients: by network, one entry for each of the hidden layers.
    """

    size = (13.0, 8.2)

    width: int
    activations: dict[str, list[diagnose.LayerStatistics]]
    gradients: dict[str, list[diagnose.LayerStatistics]]

    def factor(self, name: str) -> float:
        """By what the standard deviation of the activations is multiplied from layer to layer, on average."""
        layers = self.activations[name]
        return float((layers[-1].std / layers[0].std) ** (1 / (DEPTH - 1)))

    def back(self, name: str) -> float:
        """By what that of the gradients is multiplied for each layer further from the loss."""
        layers = self.gradients[name]
        return float((layers[0].std / layers[-1].std) ** (1 / (DEPTH - 1)))

    def claims(self) -> dict[str, bool]:
        theory = 0.01 * self.width**0.5
        flat = float(np.mean([each.saturated for each in self.activations[LARGE]]))
        last = self.activations[XAVIER][-1].std
        return {
            f"N(0, 0.01²) with tanh: a layer multiplies the spread by {self.factor(SMALL):.2f}, 0.01 √width is "
            f"{theory:.2f}, and the gradients by {self.back(SMALL):.2f}": (
                abs(self.factor(SMALL) / theory - 1) < 0.1 and abs(self.back(SMALL) / theory - 1) < 0.1
            ),
            f"N(0, 0.5²) with tanh: {flat:.0%} of the units are saturated, and gradients grow "
            f"{self.back(LARGE):.1f}-fold a layer": flat > 0.7 and self.back(LARGE) > 1.5,
            f"Xavier with tanh: layer {DEPTH} still has a spread of {last:.2f}, gradients change by "
            f"{self.back(XAVIER):.2f} a layer": last > 0.2 and 0.8 < self.back(XAVIER) < 1.2,
            f"Xavier with ReLU: a layer multiplies the spread by {self.factor(XAVIER_RELU):.2f}, √½ is 0.71": (
                abs(self.factor(XAVIER_RELU) - 0.5**0.5) < 0.06
            ),
            f"He with ReLU: by {self.factor(HE):.2f}": abs(self.factor(HE) - 1) < 0.08,
            f"batch norm after N(0, 0.01²): by {self.factor(NORMED):.2f}": abs(self.factor(NORMED) - 1) < 0.03,
        }

    def draw(self, figure: Any) -> None:
        left, right = figure.subfigures(1, 2, width_ratios=[1.9, 1])
        grid = left.subplots(len(CASES), len(SHOWN))
        for row, name in zip(grid, CASES):
            for axes, layer in zip(row, SHOWN):
                _draw_histogram(axes, self.activations[name][layer - 1], "tanh" in name, COLOURS[name])
            # Each part on a line of its own; a parenthesis stays whole.
            label = re.sub(r", (?!0\.)", ",\n", name)
            row[0].set_ylabel(label, rotation=0, ha="right", va="center", labelpad=8)
        for axes, layer in zip(grid[0], SHOWN):
            axes.set_title(f"layer {layer}")
        left.suptitle("Activations that are not 0, one scale for a row")
        above, below = right.subplots(2, 1, sharex=True)
        depth = np.arange(1, DEPTH + 1)
        for name, colour in COLOURS.items():
            label = f"{name}: × {self.factor(name):.2f}"
            above.semilogy(depth, [each.std for each in self.activations[name]], ".-", color=colour, label=label)
            label = f"{name}: × {self.back(name):.2f}"
            below.semilogy(depth, [each.std for each in self.gradients[name]], ".-", color=colour, label=label)
        above.set_title("Spread of the activations (× a layer, forwards)")
        below.set_title("Spread of the gradients (× a layer, backwards)")
        below.set(xlabel="layer", xticks=depth)
        for axes, low in ((above, 1e-13), (below, 1e-19)):
            axes.set_ylim(bottom=low)
            axes.legend(loc="lower left", fontsize=8)


def _draw_histogram(axes: Any, layer: diagnose.LayerStatistics, tanh: bool, colour: str) -> None:
    """The values other than 0, on one scale for all layers, with their spread and the share of zeros."""
    low, high = (-1.0, 1.0) if tanh else (0.0, 4.0)
    edges, counts = np.array(layer.edges), np.array(layer.counts, float)
    counts[np.searchsorted(edges, 0.0, side="right") - 1] -= layer.zeros * layer.count
    middle = (edges[1:] + edges[:-1]) / 2
    if tanh:  # exactly ±1 lies on an edge
        middle = np.clip(middle, low, high)
    heights, bounds = np.histogram(middle, bins=16, range=(low, high), weights=counts)
    axes.stairs(heights / heights.max(), bounds, fill=True, color=colour)
    said = f"sd {layer.std:.1g}" if layer.std < 0.005 else f"sd {layer.std:.2f}"
    if layer.zeros > 0.01:
        said += f"\n{layer.zeros:.0%} are 0"
    axes.text(0.97, 0.95, said, ha="right", va="top", transform=axes.transAxes, fontsize=8)
    axes.set(yticks=[], xticks=[low, (low + high) / 2, high], ylim=(0, 1.75))
    axes.tick_params(labelsize=7)
    axes.grid(False)


def network(width: int, activation: Callable[[], nn.Module], weights: Callable[..., object], norm: bool) -> nn.Module:
    """Ten layers of equal width and an output layer, biases 0."""
    layers: list[nn.Module] = []
    for _ in range(DEPTH):
        layers += [nn.Linear(width, width), *([nn.BatchNorm1d(width)] if norm else []), activation()]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    for layer in model:
        if isinstance(layer, nn.Linear):
            weights(layer.weight)
            nn.init.zeros_(layer.bias)
    return model


def measure(quick: bool = False) -> Initialisation:
    """One batch of standard normal inputs and random classes, forwards and backwards."""
    fastnn.manual_seed(0)
    width, rows = (256, 256) if quick else (512, 1024)
    batch = (fastnn.randn(rows, width), fastnn.randint(0, 10, (rows,)))
    activations, gradients = {}, {}
    for name, (activation, weights, norm) in CASES.items():
        model = network(width, activation, weights, norm)
        report = diagnose.layer_statistics(model, [batch], nn.CrossEntropyLoss(), training=True)
        kind = activation.__name__
        activations[name] = [each for each in report.activations if each.kind == kind]
        gradients[name] = [each for each in report.gradients if each.kind == kind]
    return Initialisation(width, activations, gradients)


if __name__ == "__main__":
    main(measure)
