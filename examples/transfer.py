"""Transfer learning in four cases: `python examples/transfer.py --data-dir DIR`.

A ResNet-8 has learnt five classes of CIFAR-10. It is then put to a task that is similar (the five other classes) or
different (MNIST's digits), of which there is little data (50 labelled images a class) or much (500), in three ways:

    features      its trunk as it is, and a linear classifier on what that sees (`transfer.fit_head`)
    fine-tuning   all of it trained further from there, earlier stages more slowly (`transfer.parameter_groups`)
    scratch       the same network from random weights, with the same augmentation and more epochs

Accuracies are those on test images, mean and standard deviation over draws of the images. Rates and epochs of
fine-tuning and of training from scratch were chosen by `--tune`, from as many values for either, on other training
images. Writes `transfer.json` and `transfer.png`; with `--docs` the picture and the table of docs/transfer.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

import fastnn
from fastnn import data, models, nn, optim, transfer, transforms
from fastnn.models import zoo
from fastnn.optim.lr_scheduler import OneCycleLR
from fastnn.report import Report
from fastnn.serialization import write_file
from fastnn.train import Trainer, evaluate
from fastnn.train.config import DataFacts
from fastnn.train.run import read_config

DOCS = Path(__file__).resolve().parents[1] / "docs"
MARKS = ("<!-- measured by examples/transfer.py -->", "<!-- end -->")
METHODS = ("features", "fine-tuning", "scratch")
COLOURS = {"features": "#56B4E9", "fine-tuning": "#0072B2", "scratch": "#E69F00"}
FACTOR = 1.5
PENALTY = {"little": 0.03, "much": 0.003}
TUNING_SEED = 1000
VALIDATION = 200


class Recipe(NamedTuple):
    """How long and how fast a network is trained."""

    epochs: int
    lr: float
    batch: int


RECIPES = {
    ("little", "fine-tuning"): Recipe(40, 0.03, 32),
    ("little", "scratch"): Recipe(120, 0.3, 32),
    ("much", "fine-tuning"): Recipe(15, 0.05, 64),
    ("much", "scratch"): Recipe(30, 0.1, 64),
}
CANDIDATES = {
    "fine-tuning": {"epochs": (20, 40, 80), "lr": (0.01, 0.03, 0.1)},
    "scratch": {"epochs": (60, 120, 240), "lr": (0.03, 0.1, 0.3)},
}
"""What `--tune` tries with little data."""


class Task(NamedTuple):
    """Images to learn from and to be tested on."""

    name: str
    train: data.Dataset
    test: data.Dataset
    augment: str


class Source(NamedTuple):
    """The trained network: its weights and what its images have to look like."""

    model: str
    state: dict[str, Any]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def network(self) -> nn.Module:
        """A copy with its own head."""
        model = models.create(self.model, len(self.classes))
        model.load_state_dict(self.state)
        return model


def source(name: str) -> Source:
    """The network that is in the zoo under a name, or in the folder of a run."""
    if name in zoo.names():
        card = zoo.card(name)
        return Source(card.model, zoo.load(name).state_dict(), card.classes, card.mean, card.std)
    config, facts = read_config(name)
    state = fastnn.load(Path(name) / "checkpoints" / "last" / "model.safetensors")
    return Source(config.model, state, facts.classes, facts.mean, facts.std)


def tasks(data_dir: str, known: Sequence[str]) -> list[Task]:
    """CIFAR-10's classes that the network does not know, and MNIST in colour, with a margin to 32 x 32."""
    parts = data.load("cifar10", data_dir)
    others = [name for name in parts[0].classes if name not in known]
    similar = [data.ClassSubset(part, others) for part in parts]
    digits = [data.ArrayDataset(in_colour(part.images), part.labels) for part in data.load("mnist", data_dir)]
    return [Task("similar", *similar, "standard"), Task("different", *digits, "crop")]


def in_colour(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Grey images (N, 28, 28, 1) as (N, 32, 32, 3)."""
    return np.repeat(np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0))), 3, axis=3)


def draw(dataset: Any, per_class: int, seed: int, skip: int = 0) -> data.ArrayDataset:
    """So many images of every class, after leaving out `skip` of each, drawn by a seed."""
    rng = np.random.default_rng(seed)
    rows = []
    for label in range(len(dataset.classes)):
        of_class = rng.permutation(np.flatnonzero(dataset.labels == label))
        rows.append(of_class[skip : skip + per_class])
    images, labels = dataset.batch(np.sort(np.concatenate(rows)))
    return data.ArrayDataset(images, labels, dataset.classes)


def train(
    model: nn.Module, groups: list[dict[str, Any]], few: data.ArrayDataset, recipe: Recipe, transform: Any
) -> None:
    """Nesterov's SGD with a one-cycle schedule of each group's own highest rate."""
    loader = data.DataLoader(few, recipe.batch, shuffle=True, transform=transform, seed=0, drop_last=True)
    optimizer = optim.SGD(groups, recipe.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = recipe.epochs * len(loader)
    rates = [group["lr"] for group in groups]
    schedule = OneCycleLR(optimizer, rates, steps, pct_start=0.2, cycle_momentum=False)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    Trainer(model, optimizer, loss, schedule, schedule_every="step").fit(loader, epochs=recipe.epochs)


def accuracy(
    method: str,
    origin: Source,
    task: Task,
    few: data.ArrayDataset,
    test: data.Dataset,
    amount: str,
    recipe: Recipe | None,
    seed: int,
) -> float:
    """Test accuracy after learning from few images by a method."""
    fastnn.manual_seed(seed)
    classes = len(few.classes)
    mean, std = origin.mean, origin.std
    if method == "scratch":
        facts = DataFacts.of(few)
        model, mean, std = models.create(origin.model, classes), facts.mean, facts.std
    else:
        model = origin.network()
        plain = transforms.augmentation("none", 32, mean, std)
        transfer.fit_head(model, few, classes, transform=plain, l2=PENALTY[amount])
    if method != "features":
        assert recipe is not None
        factor = FACTOR if method == "fine-tuning" else 1.0
        groups = transfer.parameter_groups(model, recipe.lr, factor)
        train(model, groups, few, recipe, transforms.augmentation(task.augment, 32, mean, std))
    loader = data.DataLoader(test, 500, transform=transforms.augmentation("none", 32, mean, std))
    return float(evaluate(model, loader, nn.CrossEntropyLoss())["accuracy"])


@dataclass(frozen=True)
class FourCases(Report):
    """What came out.

    Attributes:
        origin: the trained network.
        known: the classes it was trained on.
        new: the classes of the similar task.
        images: labelled images a class, little and much.
        accuracies: by "task amount method", one for each draw.
        seconds: of everything.
    """

    size: ClassVar[tuple[float, float]] = (8.4, 6.4)

    origin: str
    known: tuple[str, ...]
    new: tuple[str, ...]
    images: dict[str, int]
    accuracies: dict[str, list[float]]
    seconds: float

    def of(self, task: str, amount: str, method: str) -> tuple[float, float]:
        """Mean and standard deviation over the draws, in percent."""
        values = 100 * np.array(self.accuracies[f"{task} {amount} {method}"])
        return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0

    def table(self) -> str:
        """All means and deviations as a table in Markdown."""
        lines = ["| task | data | features | fine-tuning | from scratch |", "|---|---|---|---|---|"]
        for task, amount in product(("similar", "different"), self.images):
            cells = [f"{mean:.1f} ± {sd:.1f} %" for mean, sd in (self.of(task, amount, each) for each in METHODS)]
            lines.append(f"| {task} | {self.images[amount]} images a class | {' | '.join(cells)} |")
        return "\n".join(lines)

    def draw(self, figure: Any) -> None:
        axes = figure.subplots(2, 2, sharey=True)
        for (row, amount), (column, task) in product(enumerate(self.images), enumerate(("similar", "different"))):
            ax = axes[row][column]
            for x, method in enumerate(METHODS):
                mean, sd = self.of(task, amount, method)
                values = 100 * np.array(self.accuracies[f"{task} {amount} {method}"])
                ax.bar(x, mean, 0.7, yerr=sd, capsize=4, color=COLOURS[method])
                ax.plot([x + 0.2] * len(values), values, ".", color="black", markersize=4)
                ax.text(x, 3, f"{mean:.1f}", ha="center", color="white" if method == "fine-tuning" else "black")
            ax.set_xticks(range(len(METHODS)), METHODS)
            ax.set_title(f"{amount} data ({self.images[amount]} images a class), {task} task", fontsize=10)
            ax.set_ylim(0, 100)
            ax.spines[["top", "right"]].set_visible(False)
        for row in axes:
            row[0].set_ylabel("test accuracy, %")
        figure.suptitle(f"A network of {len(self.known)} classes of CIFAR-10 put to other tasks", fontsize=12)


def compare(origin: Source, name: str, data_dir: str, images: dict[str, int], seeds: int, tests: int) -> FourCases:
    """All cases, methods and draws, saying each as it is done."""
    start = time.perf_counter()
    accuracies: dict[str, list[float]] = {}
    every = tasks(data_dir, origin.classes)
    for task, (amount, per_class), method in product(every, images.items(), METHODS):
        key = f"{task.name} {amount} {method}"
        test = draw(task.test, tests, 0)
        accuracies[key] = [
            accuracy(
                method,
                origin,
                task,
                draw(task.train, per_class, seed),
                test,
                amount,
                RECIPES.get((amount, method)),
                seed,
            )
            for seed in range(seeds)
        ]
        shown = ", ".join(f"{100 * value:.1f}" for value in accuracies[key])
        print(f"{time.perf_counter() - start:6.0f} s  {key}: {shown} %", flush=True)
    new = tuple(every[0].train.classes)  # type: ignore[attr-defined]
    return FourCases(name, origin.classes, new, images, accuracies, time.perf_counter() - start)


def tune(origin: Source, data_dir: str, per_class: int) -> None:
    """Print the validation accuracy of every candidate, with little data of the similar task."""
    task = tasks(data_dir, origin.classes)[0]
    few = draw(task.train, per_class, TUNING_SEED)
    validation = draw(task.train, VALIDATION, TUNING_SEED, skip=per_class)
    for method, grid in CANDIDATES.items():
        for epochs, lr in product(grid["epochs"], grid["lr"]):
            value = accuracy(method, origin, task, few, validation, "little", Recipe(int(epochs), lr, 32), TUNING_SEED)
            print(f"{method}, {epochs} epochs, lr {lr:g}: {100 * value:.1f} %", flush=True)


def document(result: FourCases) -> None:
    """Put the picture and the table of a comparison into the documents."""
    page = DOCS / "transfer.md"
    text = page.read_text("utf-8")
    start, end = (text.index(mark) for mark in MARKS)
    draws = len(result.accuracies["similar little scratch"])
    measured = f"\n\n{result.table()}\n\nMean ± standard deviation over {draws} draws of the images; the network was "
    measured += f"`{result.origin}`.\n\n![The four cases](pictures/transfer.png)\n\n"
    write_file(page, (text[: start + len(MARKS[0])] + measured + text[end:]).encode())
    result.plot(DOCS / "pictures" / "transfer.png")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data-dir", required=True, help="where CIFAR-10 and MNIST are")
    parser.add_argument("--init", default="resnet8-cifar5", help="a network of the zoo, or the folder of a run")
    parser.add_argument("--out", type=Path, default=Path("runs/transfer"), help="folder (default: runs/transfer)")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the images (default: 3)")
    parser.add_argument("--little", type=int, default=50, help="images a class (default: 50)")
    parser.add_argument("--much", type=int, default=500, help="images a class (default: 500)")
    parser.add_argument("--tests", type=int, default=1000, help="test images a class, at most (default: 1000)")
    parser.add_argument("--tune", action="store_true", help="try rates and epochs instead")
    parser.add_argument("--docs", action="store_true", help="also write docs/transfer.md and its picture")
    args = parser.parse_args()
    if args.init not in zoo.names() and not Path(args.init).is_dir():
        parser.error(f"{args.init} is no network of the zoo and no folder of a run; scripts/make_zoo.py trains it")
    origin = source(args.init)
    if args.tune:
        tune(origin, args.data_dir, args.little)
        return
    images = {"little": args.little, "much": args.much}
    result = compare(origin, args.init, args.data_dir, images, args.seeds, args.tests)
    args.out.mkdir(parents=True, exist_ok=True)
    result.to_json(args.out / "transfer.json")
    result.plot(args.out / "transfer.png")
    if args.docs:
        document(result)
    gain = result.of("similar", "little", "fine-tuning")[0] - result.of("similar", "little", "scratch")[0]
    print(f"{result.table()}\n\nfine-tuning beats training from scratch by {gain:.1f} points with little similar data")
    print(f"{result.seconds:.0f} s; {args.out / 'transfer.json'} and transfer.png")


if __name__ == "__main__":
    main()
