"""Trains the networks of the zoo and writes their cards and weights: python scripts/make_zoo.py --data-dir DIR.

Every network is a training by `fastnn train`, listed here, in a folder below `--runs`; a training that is there is not
repeated, an interrupted one goes on. Then its weights are stored in few bits, evaluated as they will be loaded, and
described by a card. See fastnn/models/zoo/cards.py for what a card says.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from fastnn import cli, data, nn, serialization
from fastnn.models.zoo.cards import FOLDER, Card
from fastnn.models.zoo.rounding import KINDS, restore, shrink
from fastnn.train import Config, evaluate
from fastnn.train.build import test_loader
from fastnn.train.run import load_datasets, load_model


class Training(NamedTuple):
    """What `fastnn train` is given for a network, and how its weights are stored."""

    arguments: str
    weights: str = "int8"


TRAININGS = {
    "digits": Training("digits --epochs 30"),
    "lenet5-mnist": Training("mnist --model lenet5 --epochs 12"),
    "resnet8-cifar10": Training("cifar10 --model resnet8 --epochs 25"),
    # Without label smoothing, which draws the images of a class together and leaves less for other classes.
    "resnet8-cifar5": Training(
        "cifar10 --model resnet8 --epochs 30 --label-smoothing 0 --classes airplane,automobile,cat,deer,frog"
    ),
    "resnet20-cifar10": Training("cifar10 --model resnet20 --epochs 30", "float16"),
    "resnet20-cifar5": Training(
        "cifar10 --model resnet20 --epochs 30 --label-smoothing 0 --classes airplane,automobile,cat,deer,frog",
        "float16",
    ),
}
IN_THE_PACKAGE = ("digits", "lenet5-mnist", "resnet8-cifar10", "resnet8-cifar5")
"""The others are written beside their runs, to be put where FASTNN_ZOO says; their cards are in the package too."""

DATA = {
    "digits": "Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998), embedded in fastnn; see DIGITS.md",
    "mnist": "MNIST (LeCun, Cortes, Burges), the original files",
    "cifar10": "CIFAR-10 (Krizhevsky 2009), a copy whose images were coded as JPEG in between: scores are some points "
    "below those on the original pixels",
}
LICENCES = {
    "digits": "weights: BSD-3-Clause, as fastnn; data: CC BY 4.0",
    "mnist": "weights: BSD-3-Clause, as fastnn; data: CC BY-SA 3.0 (LeCun, Cortes)",
    "cifar10": "weights: BSD-3-Clause, as fastnn; data: published for research without a licence, to be cited",
}
NOT_THE_RESULTS = ("data_dir", "evaluate_every", "checkpoint_every", "recipe")
"""Settings on which no weight depends."""


def train(name: str, runs: Path, data_dir: str, threads: int) -> Path:
    """The folder of a finished training."""
    folder = runs / name
    if (folder / "result.json").is_file():
        return folder
    common = ["--quiet", "--threads", str(threads)]
    if (folder / "config.json").is_file():
        arguments = ["train", "--resume", str(folder), *common]
    else:
        arguments = ["train", *shlex.split(TRAININGS[name].arguments), "--out", str(folder), *common]
        arguments += [] if name == "digits" else ["--data-dir", data_dir]
    if cli.main(arguments):
        sys.exit(1)
    return folder


def make(name: str, run: Path, out: Path, cards: Path, weights: str, data_dir: str) -> Card:
    """Write the weights and the card of a run; returns the card."""
    model, config, facts = load_model(run)
    if config.preprocess != "standardize":
        sys.exit(f"make_zoo: {run} has the preprocessing {config.preprocess}, which cards do not describe")
    _, test = load_datasets(config, None if config.dataset == "digits" else data_dir)
    loader = test_loader(facts, test, None)
    before = evaluate(model, loader, nn.CrossEntropyLoss())
    stored = shrink(model.state_dict(), weights)
    model.load_state_dict(restore(stored))
    after = evaluate(model, loader, nn.CrossEntropyLoss())
    path = out / f"{name}.safetensors"
    serialization.save(stored, path)
    content = path.read_bytes()
    card = Card(
        name=name,
        model=config.model,
        classes=facts.classes,
        held_out=held_out(config, data_dir),
        channels=facts.channels,
        height=facts.height,
        width=facts.width,
        mean=facts.mean,
        std=facts.std,
        data=DATA[config.dataset],
        training=settings(config),
        command=f"fastnn train {TRAININGS[name].arguments}" + " --data-dir DIR" * (config.dataset != "digits"),
        score={
            "test_accuracy": after["accuracy"],
            "test_loss": after["loss"],
            "before_rounding": {"test_accuracy": before["accuracy"], "test_loss": before["loss"]},
            "test_rows": len(test),
        },
        weights=weights,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence=LICENCES[config.dataset],
    )
    serialization.write_file(cards / f"{name}.json", card.to_json().encode())
    return card


def held_out(config: Config, data_dir: str) -> tuple[str, ...]:
    """The classes of the data set that the run did not train on."""
    if config.classes is None:
        return ()
    _, test = data.load(config.dataset, None if config.dataset == "digits" else data_dir)
    return tuple(each for each in test.classes if each not in config.classes)


def settings(config: Config) -> dict[str, Any]:
    """What the weights depend on."""
    values = asdict(config)
    return {key: value for key, value in values.items() if value is not None and key not in NOT_THE_RESULTS}


def main(arguments: list[str]) -> int:
    """Train what is missing, write everything, and print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: {', '.join(IN_THE_PACKAGE)}")
    parser.add_argument("--data-dir", required=True, help="where MNIST and CIFAR-10 are")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/zoo"), help="folder of the trainings (default: runs/zoo)"
    )
    parser.add_argument("--weights", choices=KINDS, help="how to store weights, other than the table says")
    parser.add_argument("--out", type=Path, help="folder for weights and cards, other than the package's")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(arguments)
    unknown = [name for name in args.names if name not in TRAININGS]
    if unknown:
        parser.error(f"there is no training for {', '.join(unknown)}; there are {', '.join(TRAININGS)}")
    for name in args.names or IN_THE_PACKAGE:
        run = train(name, args.runs, args.data_dir, args.threads)
        out = args.out or (FOLDER if name in IN_THE_PACKAGE else run)
        out.mkdir(parents=True, exist_ok=True)
        card = make(name, run, out, args.out or FOLDER, args.weights or TRAININGS[name].weights, args.data_dir)
        before, after = card.score["before_rounding"]["test_accuracy"], card.score["test_accuracy"]
        print(
            f"{name}: {100 * after:.2f} % ({100 * before:.2f} % before rounding to {card.weights}), "
            f"{card.parameters:,} parameters, {card.bytes:,} bytes"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
