"""A ReLU that is negative for every image gets no gradient and stays so; LeakyReLU lets enough through to come back.

Lecture: lecture 6, "Training neural networks I", "Dead ReLU problem": a unit whose output is negative is never updated;
a bad initial bias or too large a step puts it there. Leaky ReLU, max(0.01 x, x), cures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREEN, GREY, Finding, main, progress

import fastnn
from fastnn import data, diagnose, nn, optim, transforms
from fastnn.nn import functional as F
from fastnn.train import evaluate

UNITS, EPOCHS = 64, 10
KINDS = {"ReLU": nn.ReLU, "LeakyReLU": nn.LeakyReLU}
COLOURS = {"ReLU": BLUE, "LeakyReLU": GREEN}
RATES = [0.1, 0.5, 1.0, 2.0, 4.0]
"""Of SGD. The bad biases are left to Adam, which scales small gradients up: those that are not exactly 0."""
BIASES = [0.01, -0.5, -1.0, -1.5, -2.0, -3.0]


@dataclass(frozen=True)
class DeadUnits(Finding):
    """Hidden units that are negative for every training image, and accuracy on held-out digits, after training.

    Attributes:
        rates: learning rates, from good to bad.
        biases: initial biases of the hidden units, likewise.
        at_rate, at_bias: by activation, for each of them (share of units, accuracy); at each rate the mean of seeds.
        before: the share of units at each bias before training.
    """

    size = (11.0, 6.6)

    rates: list[float]
    biases: list[float]
    at_rate: dict[str, list[tuple[float, float]]]
    at_bias: dict[str, list[tuple[float, float]]]
    before: list[float]

    def claims(self) -> dict[str, bool]:
        (dead, accuracy), (negative, _) = self.at_rate["ReLU"][-1], self.at_rate["LeakyReLU"][-1]
        (dead_bias, accuracy_bias), (_, leaky_bias) = self.at_bias["ReLU"][-1], self.at_bias["LeakyReLU"][-1]
        good = self.at_rate["ReLU"][0]
        return {
            f"at a rate of {self.rates[0]:g} {good[0]:.0%} of the ReLUs are dead, {good[1]:.1%} of the digits right": (
                good[0] < 0.1 and good[1] > 0.9
            ),
            f"at {self.rates[-1]:g} {dead:.0%} of the ReLUs are dead and {accuracy:.1%} right": (
                dead > 0.5 and accuracy < 0.5
            ),
            f"of the LeakyReLUs {negative:.0%} are negative for every image": negative < dead - 0.05,
            f"with biases of {self.biases[-1]:g} {self.before[-1]:.0%} of them begin and {dead_bias:.0%} end dead": (
                self.before[-1] > 0.9 and dead_bias > 0.9 * self.before[-1]
            ),
            f"then {accuracy_bias:.1%} are right, with LeakyReLU {leaky_bias:.1%}": leaky_bias > accuracy_bias + 0.5,
        }

    def draw(self, figure: Any) -> None:
        (dead_rate, dead_bias), (right_rate, right_bias) = figure.subplots(2, 2, sharex="col", sharey="row")
        for name, colour in COLOURS.items():
            for above, below, x, rows in (
                (dead_rate, right_rate, self.rates, self.at_rate[name]),
                (dead_bias, right_bias, self.biases, self.at_bias[name]),
            ):
                dead, right = 100 * np.array(rows).T
                above.plot(x, dead, "o-", color=colour, markersize=5, label=name)
                below.plot(x, right, "o-", color=colour, markersize=5, label=name)
        dead_bias.plot(self.biases, 100 * np.array(self.before), ":", color=GREY, label="before training")
        right_rate.set(xscale="log", xlabel="learning rate")
        right_bias.set(xlabel="initial bias of the hidden units")
        right_bias.invert_xaxis()
        dead_rate.set(
            title="Learning rate of SGD too high", ylabel="units negative for\nevery image, per cent", ylim=(-4, 104)
        )
        dead_bias.set(title="Initial bias too low, Adam")
        right_rate.set(ylabel="held-out digits\nright, per cent", ylim=(-4, 104))
        dead_bias.legend(loc="upper left")
        right_rate.legend(loc="lower left")


def train(kind: str, rate: float | None, bias: float, seed: int = 0) -> tuple[float, float, float]:
    """Negative units before and after training by SGD, or without a rate by Adam; accuracy on held-out digits."""
    fastnn.manual_seed(seed)
    digits, held_out = data.load("digits")
    normalize = transforms.Normalize(0.3, 0.37)
    hidden = nn.Linear(64, UNITS)
    nn.init.constant_(hidden.bias, bias)
    model = nn.Sequential(nn.Flatten(), hidden, KINDS[kind](), nn.Linear(UNITS, 10))
    images = next(iter(data.DataLoader(digits, len(digits), transform=normalize)))

    def dead() -> float:
        share = diagnose.layer_statistics(model, [images]).activations[2].dead
        assert share is not None
        return share

    before = dead()
    weights = model.parameters()
    optimizer = optim.SGD(weights, lr=rate) if rate is not None else optim.Adam(weights, lr=3e-3)
    loader = data.DataLoader(digits, 32, shuffle=True, transform=normalize)
    for _ in range(EPOCHS):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    right = evaluate(model, data.DataLoader(held_out, 355, transform=normalize), nn.CrossEntropyLoss())["accuracy"]
    return before, dead(), right


def measure(quick: bool = False) -> DeadUnits:
    """Train at every rate with good biases, and from every bias at a good rate."""
    rates, biases = ([RATES[0], RATES[-1]], [BIASES[0], BIASES[-1]]) if quick else (RATES, BIASES)
    seeds = 1 if quick else 3
    at_rate, at_bias, before = {}, {}, []
    for kind in progress(KINDS, "activations"):
        tries = [[train(kind, rate, BIASES[0], seed)[1:] for seed in range(seeds)] for rate in rates]
        at_rate[kind] = [tuple(np.mean(each, axis=0).tolist()) for each in tries]
        runs = [train(kind, None, bias) for bias in biases]
        at_bias[kind] = [run[1:] for run in runs]
        before = [run[0] for run in runs]
    return DeadUnits(rates, biases, at_rate, at_bias, before)


if __name__ == "__main__":
    main(measure)
