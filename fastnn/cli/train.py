"""`fastnn train`: train a network, or go on with an interrupted run."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .parser import count, names, rate, seed

if TYPE_CHECKING:
    from ..train import Config, Run

__all__ = ["add_arguments", "run"]

SETTINGS = (
    "model", "epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "schedule", "augment",
    "preprocess", "label_smoothing", "seed", "image_size", "classes", "checkpoint_every", "autocast",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; every setting is None where it was not given."""
    from .. import models, transforms
    from ..train.config import PREPROCESSING, SCHEDULES
    from ..train.defaults import DATASETS, OPTIMIZERS

    datasets = [name for name in DATASETS if name != "folder"]
    parser.add_argument(
        "dataset",
        nargs="?",
        metavar="DATASET",
        help=f"{', '.join(datasets)}, or a folder with train/CLASS/ and test/CLASS/ (default: digits)",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where the dataset's files are (default: data)")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/DATASET-MODEL-N)")
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    settings = parser.add_argument_group("settings", "Defaults depend on the dataset.")
    settings.add_argument("--model", choices=models.names(), metavar="NAME", help=", ".join(models.names()))
    settings.add_argument("--epochs", type=count, metavar="N")
    settings.add_argument("--batch-size", type=count, metavar="N")
    settings.add_argument("--optimizer", choices=tuple(OPTIMIZERS), metavar="NAME", help=", ".join(OPTIMIZERS))
    settings.add_argument("--lr", type=rate, metavar="RATE", help="the highest learning rate")
    settings.add_argument("--momentum", type=rate, metavar="M")
    settings.add_argument("--weight-decay", type=rate, metavar="W")
    settings.add_argument("--schedule", choices=SCHEDULES, metavar="NAME", help=", ".join(SCHEDULES))
    settings.add_argument(
        "--augment",
        choices=transforms.AUGMENTATIONS,
        metavar="NAME",
        help=", ".join(transforms.AUGMENTATIONS),
    )
    settings.add_argument(
        "--preprocess",
        choices=PREPROCESSING,
        metavar="NAME",
        help=f"{', '.join(PREPROCESSING)} (default: standardize)",
    )
    settings.add_argument("--label-smoothing", type=rate, metavar="S")
    settings.add_argument("--seed", type=seed, metavar="N", help="default: 0")
    settings.add_argument("--image-size", type=count, metavar="N", help="side to bring a folder's images to")
    settings.add_argument("--classes", type=names, metavar="A,B,...", help="train on these classes alone")
    settings.add_argument(
        "--checkpoint-every", type=count, metavar="STEPS", help="also write checkpoints within epochs"
    )
    settings.add_argument("--autocast", action="store_const", const=True, help="multiply in bfloat16")
    parser.add_argument("--threads", type=count, metavar="N", help="threads of the kernels; changes no result")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def run(args: argparse.Namespace) -> int:
    """Train, and print what came out.

    Raises:
        ValueError, OSError: for impossible arguments, missing data, or a folder that cannot be written.
        KeyboardInterrupt: saying how to go on.
    """
    from ..cpu import set_num_threads
    from ..train.files import json_text

    if args.threads is not None:
        set_num_threads(args.threads)
    training = _resumed(args) if args.resume is not None else _new(args)
    if not args.quiet:
        print(_description(training), flush=True)
    try:
        result = training.fit(quiet=args.quiet)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"go on with: fastnn train --resume {training.folder}") from None
    if not (args.quiet and args.json):
        print(_summary(training, result))
    if args.json:
        print(json_text(result))
    return 0


def _new(args: argparse.Namespace) -> Run:
    from ..train import Config, Run

    dataset, data_dir = _dataset(args.dataset or "digits", args.data_dir)
    chosen = {name: getattr(args, name) for name in SETTINGS if name != "seed"}
    config = Config.create(dataset, data_dir=data_dir, seed=args.seed or 0, **chosen)
    return Run(config, args.out)


def _dataset(name: str, data_dir: str | None) -> tuple[str, str | None]:
    """The name in the table of defaults and the folder of the files, from what the user wrote.

    Raises:
        ValueError: if it is neither a dataset nor a folder.
    """
    from ..train.defaults import DATASETS

    key = name.lower().replace("_", "-")
    if key == "digits":
        return key, None
    if key in DATASETS and key != "folder":
        return key, data_dir or "data"
    if key == "folder" and data_dir is not None:
        return key, data_dir
    if Path(name).is_dir():
        return "folder", name
    known = ", ".join(each for each in DATASETS if each != "folder")
    raise ValueError(f"there is no dataset and no folder {name!r}; datasets are {known}")


def _resumed(args: argparse.Namespace) -> Run:
    from ..train import Run
    from ..train.run import read_config

    if args.out is not None:
        raise ValueError("--out cannot be given with --resume: a resumed run stays in its folder")
    config, _ = read_config(args.resume)
    _refuse_changes(args, config)
    return Run.resume(args.resume, args.data_dir)


def _refuse_changes(args: argparse.Namespace, config: Config) -> None:
    """A run that changed its settings half-way would not be the run that was interrupted."""
    values: dict[str, Any] = asdict(config)
    given: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    if args.dataset is not None:
        given["dataset"] = _dataset(args.dataset, args.data_dir)[0]
    for name, value in given.items():
        if value is not None and value != values[name]:
            label = name if name == "dataset" else "--" + name.replace("_", "-")
            raise ValueError(f"{label} {value} differs from the run's {values[name]}; a resumed run keeps its settings")


def _description(training: Run) -> str:
    from .. import cpu

    config, facts = training.config, training.facts
    params = sum(parameter.numel() for parameter in training.model.parameters())
    momentum = "" if config.momentum is None else f", momentum {config.momentum:g}"
    threads = cpu.get_num_threads()
    lines = [
        f"{config.dataset}: {facts.rows:,} training and {len(training.test_data):,} test images of "
        f"{facts.height}x{facts.width}x{facts.channels}, {len(facts.classes)} classes",
        f"model {config.model}, {params:,} parameters; {threads} thread{'s' * (threads > 1)}, {cpu.level()}",
        f"{config.optimizer}, lr {config.lr:g}{momentum}, weight decay {config.weight_decay:g}, "
        f"schedule {config.schedule}, batches of {config.batch_size}, augmentation {config.augment}, "
        f"label smoothing {config.label_smoothing:g}, seed {config.seed}" + ", autocast" * config.autocast,
    ]
    trainer = training.trainer
    if trainer.step:
        lines.append(f"resumed after step {trainer.step}, {trainer.epoch} of {config.epochs} epochs done")
    return "\n".join(lines)


def _summary(training: Run, result: dict[str, Any]) -> str:
    speed = f", {result['images_per_second']:,.0f} images/s" if result["images_per_second"] else ""
    lines = [
        f"test accuracy {100 * result['test_accuracy']:.2f} %, test loss {result['test_loss']:.4f}; "
        f"{result['train_seconds']:.1f} s of training steps{speed}",
        f"run folder {training.folder}",
    ]
    return "\n".join(lines + ([training.notice] if training.notice else []))
