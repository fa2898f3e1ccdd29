"""Transfer learning in its four cases: little or much data, a similar or a different task.

Lecture: CS231n, lecture 7, "Transfer learning": with little data of a similar kind, train a linear classifier on the
features that are there; with more, fine-tune at a lower learning rate; for data that look quite different the features
may be of little use, unless there is much data to change them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREY, ORANGE, Finding, main, progress

import fastnn
from fastnn import data, nn, optim, transfer, transforms
from fastnn.nn import functional as F

SIZE = 12
NOISE = 0.25
LITTLE, MUCH = 4, 100
"""Labelled images of each of the five classes."""
STEPS = {LITTLE: 60, MUCH: 200}
RATE = 3e-3
BATCH = 50
CONTENT = {"source": "digits 0 to 4", "similar": "digits 5 to 9", "different": "stripes"}
HOW = ("from scratch", "linear on features", "fine-tuned")

NORMALIZE = transforms.Normalize(0.3, 0.2)


@dataclass(frozen=True)
class TransferCases(Finding):
    """Test accuracies, one entry for each seed.

    Attributes:
        source: of the pretrained network on its own task, digits 0 to 4.
        accuracy: by (task, images of each class), for each way of HOW.
        samples: some images of each task.
    """

    size = (12.0, 6.4)

    source: np.ndarray
    accuracy: dict[str, dict[str, np.ndarray]]
    samples: dict[str, np.ndarray]

    def gain(self, case: str, how: str) -> tuple[float, float]:
        """Points won over training from scratch, mean over the seeds and its standard error."""
        gains = 100 * (self.accuracy[case][how] - self.accuracy[case]["from scratch"])
        return float(gains.mean()), float(gains.std(ddof=1) / len(gains) ** 0.5)

    def claims(self) -> dict[str, bool]:
        features, tuned = ([self.gain(key("similar", count), how) for count in (LITTLE, MUCH)] for how in HOW[1:])
        different = [self.gain(key("different", count), "fine-tuned") for count in (LITTLE, MUCH)]
        frozen = self.gain(key("different", MUCH), HOW[1])
        return {
            f"similar task, {LITTLE} images a class: frozen features win {_points(*features[0])} over training from "
            f"scratch, fine-tuning {_points(*tuned[0])}": tuned[0][0] > 3 and features[0][0] > 0,
            f"similar task, {MUCH} images a class: fine-tuning wins {_points(*tuned[1])}": tuned[1][0] > 1,
            f"there it beats frozen features by {tuned[1][0] - features[1][0]:.1f} points": (
                tuned[1][0] > features[1][0] + 5
            ),
            f"different task: fine-tuning wins {_points(*different[0])} with {LITTLE} images a class and "
            f"{_points(*different[1])} with {MUCH}": max(gain for gain, _ in different) < 5,
            f"with {MUCH} images of a different task frozen features win {_points(*frozen)}": frozen[0] < -10,
        }

    def draw(self, figure: Any) -> None:
        left, right = figure.subfigures(1, 2, width_ratios=[1, 2.3])
        grid = left.subplots(5, len(self.samples))
        for column, (name, images) in zip(grid.T, self.samples.items()):
            column[0].set_title(f"{name}:\n{CONTENT[name]}", fontsize=9)
            for axes, image in zip(column, images):
                axes.imshow(image[..., 0], cmap="gray_r", vmin=60, vmax=200)
                axes.set_axis_off()
        left.suptitle("An image of each class")
        panels = right.subplots(2, 2, sharey=True)
        for row, count, amount in zip(panels, (LITTLE, MUCH), ("little", "much")):
            for axes, task in zip(row, ("similar", "different")):
                self._draw_case(axes, task, count)
                axes.set_title(f"{amount} data ({5 * count} images), {task} task")
            row[0].set_ylabel("test accuracy, %")
        right.suptitle(f"Pretrained on digits 0 to 4; mean ± sd over {len(self.source)} seeds; dotted: chance")

    def _draw_case(self, axes: Any, task: str, count: int) -> None:
        for place, (how, colour) in enumerate(zip(HOW, (GREY, ORANGE, BLUE))):
            values = 100 * self.accuracy[key(task, count)][how]
            axes.bar(place, values.mean(), 0.65, color=colour, alpha=0.85)
            axes.errorbar(place, values.mean(), values.std(ddof=1), color="black", capsize=4, linewidth=1.2)
            axes.text(place, 3, f"{values.mean():.0f}", ha="center", color="white", weight="bold")
        axes.axhline(20, color="black", linestyle=":", linewidth=1.2)
        axes.set(xticks=range(3), ylim=(0, 100))
        axes.set_xticklabels(HOW)


def key(task: str, count: int) -> str:
    """The name of a case."""
    return f"{task}, {count}"


def _points(gain: float, error: float) -> str:
    return f"{gain:+.1f} ± {error:.1f} points"


def digits_of(dataset: data.Dataset, first: int, rng: np.random.Generator, copies: int) -> data.ArrayDataset:
    """The digits first … first + 4, each `copies` times at places of their own on a larger noisy field."""
    chosen = np.repeat(np.flatnonzero((dataset.labels >= first) & (dataset.labels < first + 5)), copies)
    images = np.zeros((len(chosen), SIZE, SIZE))
    for image, digit, top, left in zip(images, dataset.images[chosen], *rng.integers(0, SIZE - 7, (2, len(chosen)))):
        image[top : top + 8, left : left + 8] = digit[..., 0] / 255
    return data.ArrayDataset(noisy(images, NOISE, rng), dataset.labels[chosen] - first)


def stripes(count: int, rng: np.random.Generator) -> data.ArrayDataset:
    """Noisy waves; the class is their direction, one of five."""
    labels = rng.integers(0, 5, count)
    angle = labels * np.pi / 5 + rng.normal(0, 0.1, count)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    waves = rng.uniform(2, 3, count)[:, None, None] * along + rng.random(count)[:, None, None]
    return data.ArrayDataset(noisy(0.5 + 0.35 * np.sin(2 * np.pi * waves), 0.5, rng), labels)


def noisy(images: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """With noise, from [-0.5, 1.5] to uint8: (N, H, W) -> (N, H, W, 1)."""
    values = images + rng.normal(0, sigma, images.shape)
    return (255 * np.clip((values + 0.5) / 2, 0, 1)).astype(np.uint8)[..., None]


def network() -> nn.Sequential:
    """Three convolutions with batch norm, their mean over the image, and a linear output."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 8), (8, 16), (16, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers.append(nn.MaxPool2d(2) if outputs < 32 else nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 5))


def inputs_of(images: np.ndarray) -> fastnn.Tensor:
    """Normalised images as the network wants them."""
    return fastnn.tensor(NORMALIZE(images)).permute(0, 3, 1, 2)


def fit(model: nn.Module, parameters: Iterable[Any], labelled: data.ArrayDataset, steps: int, seed: int) -> nn.Module:
    """Train by so many steps of Adam on random batches."""
    rng = np.random.default_rng(seed)
    optimizer = optim.Adam(parameters, lr=RATE)
    model.train()
    for _ in range(steps):
        images, labels = labelled.batch(rng.permutation(len(labelled))[:BATCH])
        loss = F.cross_entropy(model(inputs_of(images)), fastnn.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def accuracy(model: nn.Module, labelled: data.ArrayDataset) -> float:
    """The share of images that are classified rightly."""
    with fastnn.no_grad():
        classes = model.eval()(inputs_of(labelled.images)).argmax(1).numpy()
    return float((classes == labelled.labels).mean())


def transferred(pretrained: nn.Module, how: str, few: data.ArrayDataset, seed: int) -> nn.Module:
    """A network for the new task."""
    fastnn.manual_seed(seed)
    model, steps = network(), STEPS[len(few) // 5]
    if how == "from scratch":
        return fit(model, model.parameters(), few, steps, seed)
    model.load_state_dict(pretrained.state_dict())
    transfer.fit_head(model, few, 5, transform=NORMALIZE, l2=1e-2)
    if how == "fine-tuned":
        fit(model, transfer.parameter_groups(model, RATE / 3, factor=1.5), few, steps, seed)
    return model


def one_seed(seed: int, draws: dict[int, int]) -> tuple[float, dict[str, list[float]], dict[str, data.ArrayDataset]]:
    """Pretrain once, transfer in every case: accuracy of the source, those by case in the order of HOW, the tasks."""
    training, test = data.load("digits")
    rng = np.random.default_rng(seed)
    fastnn.manual_seed(seed)
    pretrained = network()
    fit(pretrained, pretrained.parameters(), digits_of(training, 0, rng, 20), 400, seed)
    tasks = {
        "similar": (digits_of(training, 5, rng, 1), digits_of(test, 5, rng, 2)),
        "different": (stripes(700, rng), stripes(350, rng)),
    }
    found = {}
    for (task, (source, tested)), count in itertools.product(tasks.items(), (LITTLE, MUCH)):
        accuracies = np.empty((draws[count], len(HOW)))
        for row in accuracies:
            each = [rng.permutation(np.flatnonzero(source.labels == label))[:count] for label in range(5)]
            few = data.ArrayDataset(*source.batch(np.concatenate(each)))
            row[:] = [accuracy(transferred(pretrained, how, few, seed), tested) for how in HOW]
        found[key(task, count)] = accuracies.mean(axis=0).tolist()
    shown = {"source": digits_of(training, 0, rng, 1)} | {name: source for name, (source, _) in tasks.items()}
    return accuracy(pretrained, digits_of(test, 0, rng, 2)), found, shown


def measure(quick: bool = False) -> TransferCases:
    """Pretrain and transfer, from several seeds."""
    draws = {LITTLE: 3, MUCH: 1}
    runs = [one_seed(seed, draws) for seed in progress(range(2 if quick else 4), "seeds")]
    accuracies = {
        case: {how: np.array([found[case][place] for _, found, _ in runs]) for place, how in enumerate(HOW)}
        for case in runs[0][1]
    }
    samples = {
        name: each.images[[int(np.flatnonzero(each.labels == label)[1]) for label in range(5)]]
        for name, each in runs[0][2].items()
    }
    return TransferCases(np.array([source for source, _, _ in runs]), accuracies, samples)


if __name__ == "__main__":
    main(measure)
