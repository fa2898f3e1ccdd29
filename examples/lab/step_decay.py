"""Step decay: where the loss has stopped falling because the steps are too long, a tenth of the rate drops it at once.

Lecture: CS231n, lecture 7, learning-rate decay over time: start high, and where the curve is flat multiply the rate
by a tenth, as in the curves of the ResNet paper. A small network reads digits that are shifted at random by up to a
pixel, so that it cannot learn them by heart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREY, ORANGE, Finding, main, progress

import fastnn
from fastnn import data, nn, optim, transforms
from fastnn.optim.lr_scheduler import MultiStepLR
from fastnn.train import Trainer

RATE = 0.6


@dataclass(frozen=True)
class StepDecay(Finding):
    """Two trainings that differ in the schedule alone.

    Attributes:
        drops: epochs after which the rate is divided by ten.
        constant, decayed: training losses by epoch.
        rates: the learning rate of each epoch of the second training.
        accuracy: of the two on held-out digits, at the end.
    """

    size = (9.0, 5.0)

    drops: list[int]
    constant: list[float]
    decayed: list[float]
    rates: list[float]
    accuracy: tuple[float, float]

    def claims(self) -> dict[str, bool]:
        first = self.drops[0]
        before, after = self.decayed[first - 1], self.decayed[first]
        flat = self.constant[first - 1] / self.constant[first]
        return {
            "until the first drop both trainings are one": self.constant[:first] == self.decayed[:first],
            f"the first drop divides the loss by {before / after:.2f} within an epoch, without it is {flat:.2f}": (
                before / after > 1.4 and before / after > 1.2 * flat
            ),
            f"the loss ends at {self.decayed[-1]:.2f}, without decay at {self.constant[-1]:.2f}": (
                self.decayed[-1] < 0.6 * self.constant[-1]
            ),
            f"held out, {self.accuracy[1]:.1%} are right, without decay {self.accuracy[0]:.1%}": (
                self.accuracy[1] > self.accuracy[0]
            ),
        }

    def draw(self, figure: Any) -> None:
        loss, rate = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        epochs = np.arange(1, len(self.constant) + 1)
        names = ("constant rate", "a tenth of it at each dotted line")
        for values, name, colour, right in zip((self.constant, self.decayed), names, (ORANGE, BLUE), self.accuracy):
            label = f"{name}: {right:.1%} of held-out digits right"
            loss.semilogy(epochs, values, ".-", color=colour, markersize=6, label=label)
        loss.set(ylabel="training loss", title=f"Step decay from a learning rate of {RATE:g}")
        loss.legend(loc="upper right", frameon=True, framealpha=1.0)
        rate.semilogy(epochs, self.rates, drawstyle="steps-mid", color=BLUE)
        rate.axhline(RATE, color=ORANGE, linewidth=1.0)
        rate.set(xlabel="epoch", ylabel="rate")
        for axes in (loss, rate):
            for drop in self.drops:
                axes.axvline(drop + 0.5, color=GREY, linestyle=":", linewidth=1.2)


def train(drops: list[int], epochs: int) -> list[dict[str, Any]]:
    """The history of a training whose rate is divided by ten after some epochs."""
    fastnn.manual_seed(0)
    digits, held_out = data.load("digits")
    normalize = transforms.Normalize(0.3, 0.37)
    shifted = transforms.Compose([transforms.RandomCrop(8, padding=1), normalize])
    loader = data.DataLoader(digits, 16, shuffle=True, transform=shifted)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = optim.SGD(model.parameters(), lr=RATE)
    trainer = Trainer(model, optimizer, nn.CrossEntropyLoss(), MultiStepLR(optimizer, drops, gamma=0.1))
    return trainer.fit(loader, data.DataLoader(held_out, 355, transform=normalize), epochs=epochs)


def measure(quick: bool = False) -> StepDecay:
    """Train with and without drops."""
    drops, epochs = ([6, 9], 10) if quick else ([16, 26], 36)
    constant, decayed = (train(each, epochs) for each in progress(([], drops), "schedules"))
    losses = [[record["train_loss"] for record in history] for history in (constant, decayed)]
    accuracy = (constant[-1]["test_accuracy"], decayed[-1]["test_accuracy"])
    return StepDecay(drops, losses[0], losses[1], [record["lr"] for record in decayed], accuracy)


if __name__ == "__main__":
    main(measure)
