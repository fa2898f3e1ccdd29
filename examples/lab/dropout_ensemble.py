"""Dropout trains an ensemble of thinned networks; scaled weights stand in for its average.

Lecture: CS231n, lecture 7, "Dropout": it trains a large ensemble of models that share parameters; at test time the
expectation over the masks can be approximated by drawing masks and averaging, or in one pass by scaling with the
probability of keeping a unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREEN, GREY, ORANGE, RED, Finding, main, progress

import fastnn
from fastnn import data, nn, optim, train, transforms

TRAINING_IMAGES = 300
MASKS = 300
ORDERS = 40
"""How often k of the masks are chosen anew."""


@dataclass(frozen=True)
class DropoutEnsemble(Finding):
    """Accuracy and loss of averages over k masks, and of scaled weights.

    Attributes:
        counts: k.
        accuracy, loss: of the average of k masks' probabilities, (orders, len(counts)).
        scaled_accuracy, scaled_loss: of one pass with scaled weights.
        logits: the scaled network's logits less their mean, some images, flattened.
        mean_logits: the same for the mean over all masks.
        images: how many they were measured on.
    """

    size = (13.0, 4.3)

    counts: np.ndarray
    accuracy: np.ndarray
    loss: np.ndarray
    scaled_accuracy: float
    scaled_loss: float
    logits: np.ndarray
    mean_logits: np.ndarray
    images: int

    def correlation(self) -> float:
        """Between the logits of the scaled network and the mean logits."""
        return float(np.corrcoef(self.logits, self.mean_logits)[0, 1])

    def claims(self) -> dict[str, bool]:
        one, many = self.accuracy[:, 0].mean(), self.accuracy[:, -1].mean()
        k = self.counts[-1]
        return {
            f"one mask reads {one:.1%} of the digits, the average of {k} {many:.1%}": many > one + 0.01,
            f"scaled weights read {self.scaled_accuracy:.1%} in one pass": abs(self.scaled_accuracy - many) < 0.006,
            f"the loss falls from {self.loss[:, 0].mean():.3f} with one mask to {self.loss[:, -1].mean():.3f} with "
            f"{k}, and never rises on the way": bool((np.diff(self.loss.mean(axis=0)) < 0).all()),
            f"with 10 masks {self.gain(10):.0%} of what {k} bring is there": self.gain(10) > 0.8,
            f"logits of scaled weights and mean logits over the masks correlate with {self.correlation():.4f}": (
                self.correlation() > 0.98
            ),
        }

    def gain(self, count: int) -> float:
        """The share of the loss that all masks save which `count` of them save."""
        loss = self.loss.mean(axis=0)
        return float((loss[0] - loss[list(self.counts).index(count)]) / (loss[0] - loss[-1]))

    def draw(self, figure: Any) -> None:
        left, middle, right = figure.subplots(1, 3)
        panels = ((left, 100 * self.accuracy, 100 * self.scaled_accuracy), (middle, self.loss, self.scaled_loss))
        for axes, values, scaled in panels:
            mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1)
            axes.fill_between(self.counts, mean - spread, mean + spread, color=BLUE, alpha=0.2, linewidth=0)
            axes.semilogx(self.counts, mean, ".-", color=BLUE, label="average of k masks, ± sd")
            axes.axhline(scaled, color=RED, linestyle="--", label="scaled weights, one pass")
            axes.set(xlabel="masks averaged, k", xticks=[1, 3, 10, 30, 100], xticklabels=["1", "3", "10", "30", "100"])
            axes.minorticks_off()
        left.set(ylabel=f"accuracy on {self.images} images, %", title="Accuracy")
        left.legend(loc="lower right")
        middle.set(ylabel="cross-entropy", title="Loss")
        middle.legend(loc="upper right")
        low, high = self.mean_logits.min(), self.mean_logits.max()
        right.plot([low, high], [low, high], color=GREY, linewidth=1, label="equal")
        right.plot(self.mean_logits, self.logits, ".", color=GREEN, markersize=3, alpha=0.4)
        slope = np.polyfit(self.mean_logits, self.logits, 1)
        ends = np.array([low, high])
        label = f"fit: slope {slope[0]:.2f}, correlation {self.correlation():.4f}"
        right.plot(ends, np.polyval(slope, ends), color=ORANGE, label=label)
        right.set(xlabel="mean over the masks", ylabel="scaled weights, one pass", title="Logits, 100 images")
        right.legend(loc="upper left")


def network() -> nn.Sequential:
    """Two hidden layers, half of each dropped."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 10),
    )


def measure(quick: bool = False) -> DropoutEnsemble:
    """Train on few digits, then look at the others through many masks."""
    training, test = data.load("digits")
    few, more = data.random_split(training, [TRAINING_IMAGES, len(training) - TRAINING_IMAGES], seed=1)
    normalize = transforms.Normalize(0.3, 0.37)
    learner = train.NetworkLearner(
        network, lambda p: optim.Adam(p, lr=1e-3), epochs=30 if quick else 60, transform=normalize
    )
    model = learner.fit(few, seed=0)
    images = np.concatenate([more.images, test.images])
    labels = np.concatenate([more.labels, test.labels])
    x = fastnn.tensor(normalize(images)).permute(0, 3, 1, 2)

    scaled = train.predict(model, x)
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.train()
    fastnn.manual_seed(0)
    with fastnn.no_grad():
        passes = np.stack([model(x).numpy() for _ in progress(range(MASKS), "masks")]).astype(np.float64)

    counts = np.array([1, 2, 3, 5, 10, 20, 30, 50, 100])
    probabilities = softmax(passes)
    rng = np.random.default_rng(0)
    accuracy, loss = np.empty((2, ORDERS, len(counts)))
    for order in range(ORDERS):
        chosen = probabilities[rng.permutation(MASKS)[: counts[-1]]]
        for place, count in enumerate(counts):
            mean = chosen[:count].mean(axis=0)
            accuracy[order, place] = (mean.argmax(axis=1) == labels).mean()
            loss[order, place] = cross_entropy(mean, labels)
    some = slice(0, 100)
    return DropoutEnsemble(
        counts,
        accuracy,
        loss,
        float((scaled.argmax(axis=1) == labels).mean()),
        cross_entropy(softmax(scaled.astype(np.float64)), labels),
        centred(scaled[some]).ravel(),
        centred(passes.mean(axis=0)[some]).ravel(),
        len(labels),
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log p of the right class."""
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def centred(logits: np.ndarray) -> np.ndarray:
    """Without each row's mean, which the softmax does not see."""
    return logits - logits.mean(axis=1, keepdims=True)


if __name__ == "__main__":
    main(measure)
