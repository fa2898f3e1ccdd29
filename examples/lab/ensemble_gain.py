"""An ensemble of independently trained networks beats its members, by a little and very reliably.

Lecture: CS231n, lecture 7, "Model ensembles": train several models independently, average their results at test time;
it brings about two per cent, and does so consistently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREEN, GREY, ORANGE, RED, SKY, Finding, main, progress

from fastnn import data, nn, optim, train, transforms

TRAINING_IMAGES = 200
DRAWS = 200
"""How often k of the members are chosen anew."""


@dataclass(frozen=True)
class EnsembleGain(Finding):
    """Accuracy and loss of ensembles of k members, and where the members disagree.

    Attributes:
        members: accuracy of each member.
        counts: k.
        accuracy, loss: of the averaged probabilities, (draws, len(counts)).
        right: for each image the share of the members that read it rightly.
        whole_right: whether the ensemble of all members reads it rightly.
        disagreement: of every pair of members, the share of images they read differently.
    """

    size = (13.0, 4.3)

    members: np.ndarray
    counts: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray
    right: np.ndarray
    whole_right: np.ndarray
    disagreement: np.ndarray

    def better(self, count: int) -> float:
        """The share of draws of `count` members whose ensemble beats the best single member of all."""
        return float((self.accuracy[:, list(self.counts).index(count)] > self.members.max()).mean())

    def claims(self) -> dict[str, bool]:
        mean = self.accuracy.mean(axis=0)
        spread = self.accuracy.std(axis=0, ddof=1)
        five = list(self.counts).index(5)
        return {
            f"one member reads {mean[0]:.1%} ± {spread[0]:.1%}, five together {mean[five]:.1%} ± {spread[five]:.1%}": (
                mean[five] > mean[0] + spread[0] and spread[five] < spread[0]
            ),
            f"all {self.counts[-1]} read {mean[-1]:.1%}, the best member by itself {self.members.max():.1%}": (
                mean[-1] > self.members.max()
            ),
            f"two members read {self.disagreement.mean():.1%} of the images differently, a member "
            f"{1 - mean[0]:.1%} wrongly": self.disagreement.mean() > 0.02,
            f"the loss falls from {self.loss[:, 0].mean():.3f} to {self.loss[:, -1].mean():.3f}, each further member "
            "bringing less": bool((np.diff(self.loss.mean(axis=0)) < 0).all()),
            f"of the images that most members read wrongly the ensemble reads "
            f"{self.whole_right[self.right < 0.5].mean():.0%} rightly, of the others "
            f"{self.whole_right[self.right > 0.5].mean():.1%}": (
                self.whole_right[self.right < 0.5].mean() < 0.5 and self.whole_right[self.right > 0.5].mean() > 0.97
            ),
        }

    def draw(self, figure: Any) -> None:
        left, middle, right = figure.subplots(1, 3)
        accuracy = 100 * self.accuracy
        left.errorbar(
            self.counts, accuracy.mean(axis=0), accuracy.std(axis=0, ddof=1), fmt="o-", color=BLUE, markersize=4,
            capsize=3, label=f"ensembles, mean ± sd of {DRAWS} draws",
        )  # fmt: skip
        at_one = np.full(len(self.members), self.counts[0] * 0.9)
        left.plot(at_one, 100 * self.members, "_", color=GREY, markersize=9, label="single members")
        left.axhline(100 * self.members.max(), color=RED, linestyle="--", linewidth=1, label="best single member")
        left.set(ylabel=f"accuracy on {len(self.right)} images, %", title="Accuracy")
        loss = self.loss
        middle.errorbar(
            self.counts, loss.mean(axis=0), loss.std(axis=0, ddof=1), fmt="o-", color=GREEN, markersize=4, capsize=3
        )
        middle.set(ylabel="cross-entropy", title="Loss, mean ± sd")
        for axes in (left, middle):
            axes.set_xscale("log")
            axes.set_xticks(self.counts, [str(count) for count in self.counts])
            axes.minorticks_off()
            axes.set_xlabel("members, k")
        left.legend(loc="lower right")
        # Images that every member reads rightly would hide the rest.
        disputed = self.right < 1
        edges = np.linspace(0, 1, 11)
        parts = [100 * self.right[disputed & self.whole_right], 100 * self.right[disputed & ~self.whole_right]]
        labels = ["ensemble right", "ensemble wrong"]
        right.hist(parts, 100 * edges, stacked=True, color=[SKY, ORANGE], label=labels)
        right.axvline(50, color="black", linewidth=1, linestyle=":")
        right.set(xlabel="members that read the image rightly, %", ylabel="images")
        right.set_title(f"The {int(disputed.sum())} images that some member misreads")
        right.legend()


def network() -> nn.Sequential:
    """Two small convolutions and a linear output."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def measure(quick: bool = False) -> EnsembleGain:
    """Train members that differ in their seed alone, on the same few digits."""
    training, test = data.load("digits")
    few, more = data.random_split(training, [TRAINING_IMAGES, len(training) - TRAINING_IMAGES], seed=1)
    normalize = transforms.Normalize(0.3, 0.37)
    learner = train.NetworkLearner(
        network, lambda p: optim.Adam(p, lr=5e-3), epochs=25, transform=normalize, test_transform=normalize
    )
    models = [learner.fit(few, seed) for seed in progress(range(8 if quick else 24), "members")]
    labels = np.concatenate([more.labels, test.labels])
    images = data.ArrayDataset(np.concatenate([more.images, test.images]), labels)
    predicted = np.stack([train.Predictor(model).probabilities(learner.batches(images)) for model in models])
    predicted = predicted.astype(np.float64)

    counts = np.array([1, 2, 3, 5, 8] if quick else [1, 2, 3, 5, 10, 24])
    rng = np.random.default_rng(0)
    accuracy, loss = np.empty((2, DRAWS, len(counts)))
    for draw in range(DRAWS):
        order = predicted[rng.permutation(len(models))]
        for place, count in enumerate(counts):
            mean = order[:count].mean(axis=0)
            accuracy[draw, place] = (mean.argmax(axis=1) == labels).mean()
            loss[draw, place] = -np.log(mean[np.arange(len(labels)), labels]).mean()
    classes = predicted.argmax(axis=2)
    first, second = np.triu_indices(len(models), 1)
    return EnsembleGain(
        (classes == labels).mean(axis=1),
        counts,
        accuracy,
        loss,
        (classes == labels).mean(axis=0),
        predicted.mean(axis=0).argmax(axis=1) == labels,
        (classes[first] != classes[second]).mean(axis=1),
    )


if __name__ == "__main__":
    main(measure)
