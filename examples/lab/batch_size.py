"""Large batches end in sharper minima than small ones.

Lecture: "Optimization basics" (AITech) and DL Basic, "Batch-size matters", after Keskar et al. 2017: large-batch
methods tend to converge to sharp minimisers, small-batch methods to flat ones, because of the noise in their gradients.

Every network is trained at one learning rate until its training loss is the same; only the batch differs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREEN, GREY, ORANGE, RED, Finding, main, progress

import fastnn
from fastnn import data, diagnose, nn, optim, transforms
from fastnn.nn import functional as F
from fastnn.train import evaluate

RATE, TARGET = 0.1, 0.03
ALL = 1442
"""The batch that is all training images: gradient descent without noise."""
COLOURS = {8: BLUE, 32: GREEN, 128: ORANGE, ALL: RED}


@dataclass(frozen=True)
class Minimum:
    """Where one training ended.

    Attributes:
        loss: the training loss.
        eigenvalue: the largest of the loss's Hessian.
        sharpness: Keskar's measure.
        worst: losses on the straight way to the worst place nearby.
        random: losses along a random direction.
        right: the share of held-out digits that are right.
    """

    loss: float
    eigenvalue: float
    sharpness: float
    worst: list[float]
    random: list[float]
    right: float


@dataclass(frozen=True)
class BatchSize(Finding):
    """Minima by batch size, one for each seed.

    Attributes:
        minima: by batch size.
        steps: where the losses along a random direction were taken.
    """

    size = (13.0, 4.4)

    minima: dict[int, list[Minimum]]
    steps: list[float]

    def median(self, batch: int, what: str) -> Any:
        """Over the seeds."""
        return np.median([getattr(each, what) for each in self.minima[batch]], axis=0)

    def claims(self) -> dict[str, bool]:
        small, large = min(self.minima), max(self.minima)
        edge = 2 / RATE
        eigenvalues, sharp = (
            [float(self.median(batch, what)) for batch in (small, large)] for what in ("eigenvalue", "sharpness")
        )
        losses = [each.loss for minima in self.minima.values() for each in minima]
        return {
            f"all end at a training loss of {min(losses):.3f} to {max(losses):.3f}": max(losses) <= TARGET,
            f"the Hessian's largest eigenvalue is {eigenvalues[0]:.1f} after batches of {small}, {eigenvalues[1]:.1f} "
            f"after batches of {large}": eigenvalues[1] > 1.4 * eigenvalues[0],
            f"without noise it rises to where gradient descent becomes unstable, 2 / rate = {edge:.0f}": (
                eigenvalues[1] > 0.8 * edge and eigenvalues[0] < 0.5 * edge
            ),
            f"Keskar's sharpness is {sharp[0]:.1f} and {sharp[1]:.1f}": sharp[1] > 1.2 * sharp[0],
        }

    def draw(self, figure: Any) -> None:
        eigenvalue, worst, random = figure.subplots(1, 3)
        for batch, minima in self.minima.items():
            colour = COLOURS[batch]
            eigenvalue.plot([batch] * len(minima), [each.eigenvalue for each in minima], "o", color=colour, alpha=0.6)
            label = f"{batch}: {self.median(batch, 'right'):.1%} right"
            way = self.median(batch, "worst")
            worst.plot(np.linspace(0, 1, len(way)), way, color=colour, label=label)
            random.plot(self.steps, self.median(batch, "random"), color=colour, label=f"batch {batch}")
        batches = list(self.minima)
        eigenvalue.plot(batches, [self.median(batch, "eigenvalue") for batch in batches], "k-", linewidth=1.0)
        eigenvalue.axhline(2 / RATE, color=GREY, linestyle=":", linewidth=1.2)
        eigenvalue.text(min(batches), 2 / RATE * 1.06, "2 / learning rate", fontsize=9)
        eigenvalue.set(xscale="log", xlabel="batch size", title="Largest eigenvalue of the Hessian", yscale="log")
        eigenvalue.set_xticks(batches, [str(batch) for batch in batches], minor=False)
        eigenvalue.set_yticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
        eigenvalue.minorticks_off()
        worst.set(
            xlabel="share of the way to the worst place nearby", ylabel="training loss", title="Towards the worst"
        )
        worst.legend(title="batch, held-out digits")
        random.set(xlabel="step along a random direction", ylabel="training loss", title="Along random directions")
        random.legend()


def train(batch: int, seed: int) -> Minimum:
    """Train until the training loss is reached, and look around."""
    fastnn.manual_seed(seed)
    digits, held_out = data.load("digits")
    normalize = transforms.Normalize(0.3, 0.37)
    images = [next(iter(data.DataLoader(digits, ALL, transform=normalize)))]
    loader = data.DataLoader(digits, batch, shuffle=True, transform=normalize)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = optim.SGD(model.parameters(), lr=RATE)
    loss = nn.CrossEntropyLoss()
    # Gradient descent sees the same batch again and again: no need to gather it anew.
    epochs = itertools.repeat(images if batch == ALL else loader)
    for step, (x, y) in enumerate(itertools.chain.from_iterable(epochs)):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        if step % max(256 // batch, 4) == 0:
            reached = evaluate(model, images, loss)["loss"]
            if reached <= TARGET:
                break
    sharp = diagnose.sharpness(model, images, loss, epsilon=5e-3)
    eigenvalue = diagnose.hessian_spectrum(model, images, loss).eigenvalues[0]
    random = diagnose.loss_landscape(model, images, loss, points=11, seed=seed).loss
    right = evaluate(model, data.DataLoader(held_out, 355, transform=normalize), loss)["accuracy"]
    return Minimum(reached, eigenvalue, sharp.sharpness, sharp.profile, random.tolist(), right)


def measure(quick: bool = False) -> BatchSize:
    """Train with every batch size."""
    batches, seeds = ([8, ALL], 1) if quick else ([8, 32, 128, ALL], 3)
    runs = [(batch, seed) for batch in batches for seed in range(seeds)]
    found: dict[int, list[Minimum]] = {batch: [] for batch in batches}
    for batch, seed in progress(runs, "trainings"):
        found[batch].append(train(batch, seed))
    return BatchSize(found, np.linspace(-1, 1, 11).tolist())


if __name__ == "__main__":
    main(measure)
