"""With batch norm a network learns at rates at which it would otherwise not learn at all.

Lecture: "Optimization basics" (AITech), "Batch normalization": because the data between the layers then look alike all
the time, the learning rate may be chosen large. A network of three hidden layers reads handwritten digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREY, ORANGE, Finding, main, progress

from fastnn import data, nn, optim, transforms
from fastnn.train import NetworkLearner, evaluate

EPOCHS = 5
BATCH = 64
"""The last batch of an epoch then has 34 images. Batches of 32 would leave 2, which say little about a variance."""
GOOD = 0.8
COLOURS = {"without": ORANGE, "with": BLUE}


@dataclass(frozen=True)
class BatchNorm(Finding):
    """Accuracies on held-out digits after a few epochs.

    Attributes:
        rates: learning rates.
        accuracy: (seeds, rates), "with" and "without" batch norm.
    """

    size = (8.0, 4.6)

    rates: np.ndarray
    accuracy: dict[str, np.ndarray]

    def largest(self, kind: str) -> float:
        """The largest rate at which so many digits are right, mean over the seeds; 0 if there is none."""
        return float(self.rates[self.accuracy[kind].mean(axis=0) >= GOOD].max(initial=0.0))

    def claims(self) -> dict[str, bool]:
        plain, normed = self.largest("without"), self.largest("with")
        best = {kind: float(values.mean(axis=0).max()) for kind, values in self.accuracy.items()}
        return {
            f"without batch norm {GOOD:.0%} are right for rates up to {plain:.2g}": plain > 0,
            f"with batch norm for rates up to {normed:.2g}": normed >= 4 * plain,
            f"at its best rate {best['with']:.1%} are right with and {best['without']:.1%} without": (
                best["with"] > best["without"] - 0.005
            ),
        }

    def draw(self, figure: Any) -> None:
        axes = figure.subplots()
        for kind, colour in COLOURS.items():
            values = 100 * self.accuracy[kind]
            axes.semilogx(self.rates, values.mean(axis=0), "o-", color=colour, markersize=5, label=f"{kind} batch norm")
            axes.fill_between(self.rates, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
            largest = self.largest(kind)
            axes.axvline(largest, color=colour, linestyle=":", linewidth=1.2)
            axes.text(largest, 3, f" {largest:.2g}", color=colour, fontsize=9)
        axes.axhline(100 * GOOD, color=GREY, linestyle=":", linewidth=1.2)
        seeds = len(self.accuracy["with"])
        axes.set(xlabel="learning rate", ylabel="held-out digits right, per cent", ylim=(0, 102))
        axes.set_title(f"After {EPOCHS} epochs, mean and range of {seeds} seeds; dotted: largest rate above {GOOD:.0%}")
        axes.legend(loc="center left")


def network(norm: bool) -> nn.Sequential:
    """Three hidden layers of 50 units."""
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (64, 50, 50):
        layers += [nn.Linear(inputs, 50), *([nn.BatchNorm1d(50)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(50, 10))


def measure(quick: bool = False) -> BatchNorm:
    """Train at every rate, with and without batch norm."""
    train, held_out = data.load("digits")
    normalize = transforms.Normalize(0.3, 0.37)
    rates = np.array([0.4, 2.0]) if quick else np.geomspace(0.01, 10, 10)
    seeds = 1 if quick else 3
    accuracy = {kind: np.empty((seeds, len(rates))) for kind in COLOURS}
    runs = [(kind, seed, place) for kind in COLOURS for seed in range(seeds) for place in range(len(rates))]
    for kind, seed, place in progress(runs, "trainings"):
        learner = NetworkLearner(
            lambda kind=kind: network(kind == "with"),
            lambda parameters, rate=float(rates[place]): optim.SGD(parameters, lr=rate),
            epochs=EPOCHS,
            batch_size=BATCH,
            transform=normalize,
            test_transform=normalize,
        )
        model = learner.fit(train, seed)
        accuracy[kind][seed, place] = evaluate(model, learner.batches(held_out), nn.CrossEntropyLoss())["accuracy"]
    return BatchNorm(rates, accuracy)


if __name__ == "__main__":
    main(measure)
