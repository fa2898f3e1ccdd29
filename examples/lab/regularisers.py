"""What each regulariser does to a network that memorises: few digits, every fifth of them with a wrong label.

Lecture: CS231n, lecture 7, "Regularization": what keeps a model from fitting its training data too well and so narrows
the gap to data it has not seen; the course diaries list early stopping, norm penalties, augmentation, noise, label
smoothing, mixup and CutMix, dropout and batch normalisation. Early stopping watches the very digits that the gap is
measured on, so its figure is a little too good.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from figure import BLUE, GREY, ORANGE, Finding, main, progress

import fastnn
from fastnn import data, nn, optim, train, transforms
from fastnn.nn import functional as F

TRAINING_IMAGES = 250
WRONG = 0.2
WIDTH = 128
EPOCHS = 40


@dataclass(frozen=True)
class Case:
    """How one network and its training differ from the plain one.

    Attributes:
        penalty: of the optimiser's group.
        network: arguments of `network`.
        transforms: of the training images.
        loss: of the training.
        mix: of the images and labels of a batch.
        stop: whether to stop early.
    """

    penalty: dict[str, float] = field(default_factory=dict)
    network: dict[str, Any] = field(default_factory=dict)
    transforms: Sequence[transforms.Transform] = ()
    loss: Callable[..., fastnn.Tensor] = F.cross_entropy
    mix: transforms.Mixture | None = None
    stop: bool = False


CASES = {
    "none": Case(),
    "L2": Case(penalty={"weight_decay": 2e-2}),
    "L1": Case(penalty={"l1": 1e-3}),
    "elastic net": Case(penalty={"l1": 5e-4, "weight_decay": 1e-2}),
    "max-norm": Case(penalty={"max_norm": 0.4}),
    "dropout": Case(network={"dropout": 0.4}),
    "DropConnect": Case(network={"linear": partial(nn.DropConnectLinear, p=0.4)}),
    "stochastic depth": Case(network={"depth": 0.5}),
    "batch norm": Case(network={"norm": True}),
    "input noise": Case(network={"noise": 0.6}),
    "label smoothing": Case(loss=partial(F.cross_entropy, label_smoothing=0.2)),
    "mixup": Case(mix=transforms.MixUp(num_classes=10)),
    "CutMix": Case(mix=transforms.CutMix(num_classes=10)),
    "random crops": Case(transforms=[transforms.RandomCrop(8, padding=1)]),
    "early stopping": Case(stop=True),
}


@dataclass(frozen=True)
class Regularisers(Finding):
    """Accuracies by case, one entry for each seed.

    Attributes:
        training: on the training images, with the labels they were trained on.
        validation: on the others, all rightly labelled.
    """

    size = (12.0, 5.8)

    training: dict[str, np.ndarray]
    validation: dict[str, np.ndarray]

    def gap(self, name: str) -> float:
        """Training less validation accuracy, mean over the seeds."""
        return float((self.training[name] - self.validation[name]).mean())

    def gain(self, name: str) -> tuple[float, float]:
        """Validation accuracy gained, mean over the seeds and its standard error; the same data in both."""
        gains = self.validation[name] - self.validation["none"]
        return float(gains.mean()), float(gains.std(ddof=1) / len(gains) ** 0.5)

    def claims(self) -> dict[str, bool]:
        others = [name for name in self.training if name != "none"]
        narrower = [name for name in others if self.gap(name) < self.gap("none")]
        gains = {name: self.gain(name) for name in others}
        sure = [name for name in others if gains[name][0] > 2 * gains[name][1]]
        best = max(others, key=lambda name: gains[name][0])
        plain = self.training["none"].mean(), self.validation["none"].mean()
        return {
            f"without any, {plain[0]:.0%} of the training labels are learnt, the wrong {WRONG:.0%} included, and "
            f"{plain[1]:.0%} of the other digits read": plain[0] > 0.95 and plain[0] - plain[1] > 0.1,
            f"{len(narrower)} of {len(others)} narrow the gap": len(narrower) >= len(others) - 2,
            f"{len(sure)} of {len(others)} read more of the other digits, by more than two standard errors": (
                len(sure) >= len(others) // 2
            ),
            f"the most brings {best}: {100 * gains[best][0]:+.1f} ± {100 * gains[best][1]:.1f} points": (
                gains[best][0] > 0.05
            ),
        }

    def draw(self, figure: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1.6, 1], sharey=True)
        names = [
            "none",
            *sorted((name for name in self.training if name != "none"), key=lambda name: self.gain(name)[0]),
        ]
        places = np.arange(len(names))
        for place, name in zip(places, names):
            ends = 100 * self.validation[name].mean(), 100 * self.training[name].mean()
            left.plot(ends, (place, place), color=GREY, linewidth=5, alpha=0.3, solid_capstyle="butt")
        for accuracies, colour, label in (
            (self.validation, BLUE, "other digits"),
            (self.training, ORANGE, "training digits, as labelled"),
        ):
            means = [100 * accuracies[name].mean() for name in names]
            spreads = [100 * accuracies[name].std(ddof=1) for name in names]
            left.errorbar(means, places, xerr=spreads, fmt="o", color=colour, markersize=5, capsize=2, label=label)
        left.axvline(100 * (1 - WRONG), color="black", linestyle=":", linewidth=1)
        left.set_yticks(places, names)
        left.text(100 * (1 - WRONG) + 0.4, -0.75, "no wrong label learnt", fontsize=8, va="center")
        seeds = len(self.training["none"])
        left.set(xlabel=f"accuracy, %: mean ± sd over {seeds} seeds", ylim=(-1.1, len(names) - 0.4))
        left.set_title("Grey: the gap")
        left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=2)
        gains = np.array([self.gain(name) for name in names])
        colours = [BLUE if gain > 2 * error else GREY for gain, error in gains]
        right.barh(places, 100 * gains[:, 0], xerr=100 * gains[:, 1], color=colours, height=0.6, capsize=2)
        for place, (gain, error) in zip(places[1:], gains[1:]):
            right.text(100 * (max(gain, 0) + error) + 0.3, place, f"{100 * gain:+.1f}", va="center", fontsize=9)
        right.set(xlabel="points gained over none, ± standard error", xlim=(None, 100 * gains[:, 0].max() + 3.5))
        right.set_title("Other digits; blue: surely more than none")


def network(
    linear: Callable[[int, int], nn.Module] = nn.Linear,
    dropout: float = 0.0,
    norm: bool = False,
    noise: float = 0.0,
    depth: float = 0.0,
) -> nn.Sequential:
    """A hidden layer and two residual ones of equal width."""

    def hidden(inputs: int) -> list[nn.Module]:
        layers = [linear(inputs, WIDTH), *([nn.BatchNorm1d(WIDTH)] if norm else []), nn.ReLU()]
        return [*layers, *([nn.Dropout(dropout)] if dropout else [])]

    def residual() -> nn.Module:
        return nn.Residual(nn.Sequential(*hidden(WIDTH), *([nn.StochasticDepth(depth)] if depth else [])))

    first: list[nn.Module] = [nn.Flatten(), *([nn.GaussianNoise(noise)] if noise else [])]
    return nn.Sequential(*first, *hidden(64), residual(), residual(), nn.Linear(WIDTH, 10))


def fit(case: Case, few: data.Dataset, others: data.Dataset, seed: int) -> tuple[float, float]:
    """Train one network; its accuracy on the training images and on the others."""
    fastnn.manual_seed(seed)
    normalize = transforms.Normalize(0.3, 0.37)
    transform = transforms.Compose([*case.transforms, normalize])
    loader = data.DataLoader(few, 32, shuffle=True, transform=transform, mix=case.mix, seed=seed)
    seen, unseen = (data.DataLoader(part, 1000, transform=normalize) for part in (few, others))
    model = network(**case.network)
    trainer = train.Trainer(
        model,
        optim.Adam([{"params": model.parameters(), **case.penalty}], lr=1e-3),
        case.loss,
        callbacks=[train.EarlyStopping("test_loss", "min", patience=5)] if case.stop else [],
        metrics={} if case.mix else None,
        eval_loss=nn.CrossEntropyLoss(),
    )
    trainer.fit(loader, unseen if case.stop else None, EPOCHS)
    accuracies = [trainer.evaluate(part, {"accuracy": train.Accuracy()})["accuracy"] for part in (seen, unseen)]
    return accuracies[0], accuracies[1]


def measure(quick: bool = False) -> Regularisers:
    """Every case on the same data for each seed."""
    parts = data.load("digits")
    images = np.concatenate([part.images for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    names = ["none", "L1", "dropout", "input noise", "CutMix"] if quick else list(CASES)
    accuracies = np.empty((len(names), 2 if quick else 5, 2))
    for seed in progress(range(accuracies.shape[1]), "seeds"):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(labels))
        chosen, rest = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
        if quick:
            rest = rest[:500]
        given = labels[chosen].copy()
        wrong = rng.permutation(TRAINING_IMAGES)[: int(WRONG * TRAINING_IMAGES)]
        given[wrong] = (given[wrong] + rng.integers(1, 10, len(wrong))) % 10
        few, others = data.ArrayDataset(images[chosen], given), data.ArrayDataset(images[rest], labels[rest])
        for place, name in enumerate(names):
            accuracies[place, seed] = fit(CASES[name], few, others, seed)
    return Regularisers(
        {name: accuracies[place, :, 0] for place, name in enumerate(names)},
        {name: accuracies[place, :, 1] for place, name in enumerate(names)},
    )


if __name__ == "__main__":
    main(measure)
