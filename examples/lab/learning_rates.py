"""What the loss tells about the learning rate: low crawls, high gets stuck above the good one, too high never learns.

Lecture: CS231n, lecture 7, the loss curves of four learning rates; lecture 6: "use ReLU, be careful with your learning
rates". A small network reads handwritten digits, shifted at random by up to a pixel so that it cannot learn them by
heart; everything but the learning rate is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLACK, BLUE, GREEN, ORANGE, RED, Finding, main, progress

import fastnn
from fastnn import data, nn, optim, transforms
from fastnn.train import Trainer

NAMED = {"low": 0.01, "good": 0.2, "high": 0.8, "too high": 4.0}
COLOURS = {"low": BLUE, "good": GREEN, "high": ORANGE, "too high": RED}
OTHERS = [0.003, 0.03, 0.06, 0.1, 0.4, 1.5]
CHANCE = math.log(10)
"""The loss of a network that gives each of ten digits a tenth."""


@dataclass(frozen=True)
class LearningRates(Finding):
    """Training losses by epoch.

    Attributes:
        losses: of each epoch, by learning rate.
    """

    size = (11.0, 4.4)

    losses: dict[float, list[float]]

    def claims(self) -> dict[str, bool]:
        end = {name: self.losses[rate][-1] for name, rate in NAMED.items()}
        crawl = np.diff(self.losses[NAMED["low"]])
        best = min(self.losses, key=lambda rate: self.losses[rate][-1])
        return {
            f"low: the loss falls in each epoch, by {-crawl.max():.2f} or more, and ends at {end['low']:.2f}": (
                crawl.max() < 0 and end["low"] > 2 * end["good"]
            ),
            f"good: it ends at {end['good']:.2f}": end["good"] < 0.5,
            f"high: it ends at {end['high']:.2f}, {end['high'] / end['good']:.1f} times the good one's": (
                end["high"] > 1.5 * end["good"]
            ),
            f"too high: it ends at {end['too high']:.2f}, no better than chance, {CHANCE:.2f}": (
                end["too high"] > 0.95 * CHANCE
            ),
            f"the best of {len(self.losses)} rates, {best:g}, is between low and high": (
                NAMED["low"] < best < NAMED["high"]
            ),
        }

    def draw(self, figure: Any) -> None:
        curves, ends = figure.subplots(1, 2, sharey=True)
        epochs = np.arange(1, len(self.losses[NAMED["good"]]) + 1)
        for name, rate in NAMED.items():
            curves.semilogy(epochs, self.losses[rate], ".-", color=COLOURS[name], markersize=7)
        curves.axhline(CHANCE, color=BLACK, linestyle=":", linewidth=1.0)
        curves.set(xlabel="epoch", ylabel="training loss", title="Four learning rates")
        rates = sorted(self.losses)
        ends.loglog(rates, [self.losses[rate][-1] for rate in rates], "k-", linewidth=1.0)
        for rate in rates:
            name = next((name for name in NAMED if NAMED[name] == rate), "")
            label = f"{name}: {rate:g}" if name else None
            colour = COLOURS.get(name, "white")
            ends.plot(rate, self.losses[rate][-1], "o", color=colour, markeredgecolor="k", label=label)
        ends.axhline(CHANCE, color=BLACK, linestyle=":", linewidth=1.0)
        ends.text(rates[0], 1.08 * CHANCE, "chance, ln 10", fontsize=9)
        ends.set(xlabel="learning rate", title=f"Loss after {len(epochs)} epochs")
        ends.legend(loc="upper center")


def train(rate: float, epochs: int) -> list[float]:
    """The mean training loss of each epoch."""
    fastnn.manual_seed(0)
    digits, _ = data.load("digits")
    shifted = transforms.Compose([transforms.RandomCrop(8, padding=1), transforms.Normalize(0.3, 0.37)])
    loader = data.DataLoader(digits, 16, shuffle=True, transform=shifted)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    trainer = Trainer(model, optim.SGD(model.parameters(), lr=rate), nn.CrossEntropyLoss())
    return [record["train_loss"] for record in trainer.fit(loader, epochs=epochs)]


def measure(quick: bool = False) -> LearningRates:
    """Train with each learning rate."""
    rates = sorted([*NAMED.values(), *([] if quick else OTHERS)])
    return LearningRates({rate: train(rate, 6 if quick else 15) for rate in progress(rates, "learning rates")})


if __name__ == "__main__":
    main(measure)
