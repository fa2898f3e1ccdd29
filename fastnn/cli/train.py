"""`fastnn train`: train a network, or go on with an interrupted run."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .parser import count, names, positive, rate, seed, seeds

if TYPE_CHECKING:
    from ..train import Config, Run

__all__ = ["add_arguments", "run"]

SETTINGS = (
    "model", "epochs", "batch_size", "drop_last", "optimizer", "lr", "momentum", "weight_decay", "bias_lr_factor",
    "decay_norms", "clip_norm", "freeze", "schedule", "warm_up", "lr_start", "lr_end", "augment", "mix", "mix_alpha",
    "preprocess", "label_smoothing", "averaging", "averaging_decay", "averaging_start", "snapshots", "views",
    "evaluate_every", "seed", "image_size", "classes", "checkpoint_every", "autocast", "init",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; every setting is None where it was not given."""
    from ..train.defaults import DATASETS

    datasets = [name for name in DATASETS if name != "folder"]
    parser.add_argument(
        "dataset",
        nargs="?",
        metavar="DATASET",
        help=f"{', '.join(datasets)}, or a folder with train/CLASS/ and test/CLASS/ (default: digits)",
    )
    parser.add_argument("--recipe", metavar="NAME", help="the settings of a recipe, see `fastnn recipes`")
    parser.add_argument("--data-dir", metavar="DIR", help="where the dataset's files are (default: data)")
    parser.add_argument("--out", metavar="DIR", help="the run's folder (default: runs/RECIPE-N, runs/DATASET-MODEL-N)")
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    parser.add_argument(
        "--seeds", type=seeds, metavar="N,N,...", help="a run for each seed, in seed-N; with --out goes on if repeated"
    )
    _add_network(parser.add_argument_group("network and data", "Defaults depend on the recipe or the dataset."))
    _add_optimization(parser.add_argument_group("optimisation"))
    _add_evaluation(parser.add_argument_group("averaging and evaluation"))
    parser.add_argument("--threads", type=count, metavar="N", help="threads of the kernels; changes no result")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def _choice(group: argparse._ArgumentGroup, name: str, choices: Sequence[str], note: str = "") -> None:
    group.add_argument(name, choices=tuple(choices), metavar="NAME", help=", ".join(choices) + note)


def _add_network(group: argparse._ArgumentGroup) -> None:
    from .. import models, transforms
    from ..train.config import MIXTURES, PREPROCESSING

    _choice(group, "--model", models.names())
    group.add_argument(
        "--init", metavar="NAME", help=f"begin with trained weights: {', '.join(models.zoo.names())}, a RUN or a FILE"
    )
    _choice(group, "--augment", transforms.AUGMENTATIONS)
    _choice(group, "--mix", MIXTURES, ": of the images of a batch and their labels")
    group.add_argument("--mix-alpha", type=positive, metavar="A", help="of the Beta distribution of their shares")
    _choice(group, "--preprocess", PREPROCESSING, " (default: standardize)")
    group.add_argument("--image-size", type=count, metavar="N", help="side to bring a folder's images to")
    group.add_argument("--classes", type=names, metavar="A,B,...", help="train on these classes alone")
    group.add_argument("--batch-size", type=count, metavar="N")
    group.add_argument(
        "--drop-last", action=argparse.BooleanOptionalAction, help="leave out a last batch that is smaller"
    )
    group.add_argument("--label-smoothing", type=rate, metavar="S")
    group.add_argument("--seed", type=seed, metavar="N", help="default: 0")
    group.add_argument("--autocast", action="store_const", const=True, help="multiply in bfloat16")


def _add_optimization(group: argparse._ArgumentGroup) -> None:
    from ..train.config import SCHEDULES
    from ..train.defaults import OPTIMIZERS

    group.add_argument("--epochs", type=positive, metavar="E", help="passes over the images, fractions included")
    _choice(group, "--optimizer", tuple(OPTIMIZERS))
    group.add_argument("--lr", type=rate, metavar="RATE", help="the highest learning rate")
    group.add_argument("--momentum", type=rate, metavar="M")
    group.add_argument("--weight-decay", type=rate, metavar="W")
    group.add_argument(
        "--bias-lr-factor", type=positive, metavar="F", help="of the biases of normalisation layers (default: 1)"
    )
    group.add_argument(
        "--decay-norms", action=argparse.BooleanOptionalAction, help="decay normalisation layers and biases"
    )
    group.add_argument("--clip-norm", type=positive, metavar="C", help="the largest norm of the gradients")
    group.add_argument(
        "--freeze", type=names, metavar="P,P,...", help="patterns of parameters to freeze, P or P@EPOCH to train first"
    )
    _choice(group, "--schedule", SCHEDULES)
    group.add_argument("--warm-up", type=rate, metavar="SHARE", help="share of the run in which the rate rises")
    group.add_argument("--lr-start", type=rate, metavar="SHARE", help="share of the rate that a triangle begins with")
    group.add_argument("--lr-end", type=rate, metavar="SHARE", help="share of the rate that a triangle ends with")


def _add_evaluation(group: argparse._ArgumentGroup) -> None:
    from ..train.config import AVERAGING
    from ..transforms import VIEWS

    _choice(group, "--averaging", AVERAGING, ": of the weights")
    group.add_argument("--averaging-decay", type=rate, metavar="D", help="of ema (0.999) and lookahead (0.95)")
    group.add_argument("--averaging-start", type=rate, metavar="SHARE", help="share of the run before it begins")
    group.add_argument("--snapshots", type=count, metavar="N", help="keep N networks, from a schedule of N cycles")
    _choice(group, "--views", VIEWS, ": further evaluation on several views of each image")
    group.add_argument("--evaluate-every", type=count, metavar="EPOCHS")
    group.add_argument("--checkpoint-every", type=count, metavar="STEPS", help="also write checkpoints within epochs")


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
    if args.seeds is not None:
        result = _of_seeds(args)
    else:
        result = _train(_resumed(args) if args.resume is not None else _new(args), args)
    if args.json:
        print(json_text(result))
    return 0


def _train(training: Run, args: argparse.Namespace) -> dict[str, Any]:
    """Train to the end and say what came out."""
    if not args.quiet:
        print(_description(training), flush=True)
    try:
        result = training.fit(quiet=args.quiet)
    except KeyboardInterrupt as error:
        raise type(error)(_how_to_go_on(training, args)) from None
    except OSError as error:
        reason = f"{error.strerror or error}; {_how_to_go_on(training, args)}"
        raise OSError(error.errno, reason, error.filename) from None
    if not (args.quiet and args.json):
        print(_summary(training, result), flush=True)
    return result


def _how_to_go_on(training: Run, args: argparse.Namespace) -> str:
    if args.seeds is not None:
        return f"go on with: the same command and --out {args.out}"
    return f"go on with: fastnn train --resume {training.folder}"


def _of_seeds(args: argparse.Namespace) -> dict[str, Any]:
    """A run for each seed, one after the other, and their means; what a folder holds already is gone on with."""
    from ..train import Run
    from ..train.files import write_json
    from ..train.run import CONFIG_FILE, name_of, new_folder, read_config
    from ..train.seeds import SEEDS_FILE, over_seeds

    if args.resume is not None or args.seed is not None:
        raise ValueError("--seeds cannot be given with --resume or --seed")
    config = _config(args)
    root = new_folder("runs", name_of(config)) if args.out is None else Path(args.out)
    args.out = str(root)
    results = []
    for number in args.seeds:
        folder, wanted = root / f"seed-{number}", replace(config, seed=number)
        if not (folder / CONFIG_FILE).exists():
            training = Run(wanted, folder)
        elif replace(read_config(folder)[0], data_dir=wanted.data_dir) == wanted:
            training = Run.resume(folder, wanted.data_dir)
        else:
            raise ValueError(f"{folder} holds a run with other settings; choose another folder")
        results.append(_train(training, args))
    result = over_seeds(results)
    write_json(root / SEEDS_FILE, result)
    if not (args.quiet and args.json):
        accuracies = [name for name in ("test_accuracy", "test_accuracy_views") if name in result]
        print("\n".join(_mean_line(name, result) for name in accuracies))
    return result


def _mean_line(name: str, result: Mapping[str, Any]) -> str:
    text = name.replace("test_accuracy", "test accuracy").replace("_views", ", several views")
    spread = f" ± {100 * result[name]['sd']:.2f}" if result[name]["sd"] is not None else ""
    return f"{text}: {100 * result[name]['mean']:.2f}{spread} % over {len(result['seeds'])} seeds"


def _new(args: argparse.Namespace) -> Run:
    from ..train import Run

    return Run(_config(args), args.out)


def _config(args: argparse.Namespace) -> Config:
    """The settings that the arguments ask for: those of a recipe, or else of a dataset, and what was given."""
    from .. import recipes
    from ..train import Config

    recipe = None if args.recipe is None else recipes.find(args.recipe)
    name = args.dataset or ("digits" if recipe is None else recipe.settings["dataset"])
    dataset, data_dir = _dataset(name, args.data_dir)
    chosen = {name: getattr(args, name) for name in SETTINGS if name != "seed"}
    chosen |= {"data_dir": data_dir, "seed": args.seed or 0}
    if args.init is not None and args.model is None:
        from ..transfer import trained_model

        chosen["model"] = trained_model(args.init)
    if recipe is None:
        return Config.create(dataset, **chosen)
    return recipe.config(dataset=dataset, **chosen)


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
    from .. import recipes

    values: dict[str, Any] = asdict(config)
    given: dict[str, Any] = {name: getattr(args, name) for name in SETTINGS}
    if args.dataset is not None:
        given["dataset"] = _dataset(args.dataset, args.data_dir)[0]
    if args.recipe is not None:
        given["recipe"] = recipes.find(args.recipe).name
    for name, value in given.items():
        if value is not None and value != values[name]:
            label = name if name == "dataset" else "--" + name.replace("_", "-")
            raise ValueError(f"{label} {value} differs from the run's {values[name]}; a resumed run keeps its settings")


def _description(training: Run) -> str:
    from .. import cpu, recipes

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
    if config.recipe is not None:
        known = config.recipe in recipes.names()  # a run may be resumed by a version that lost its recipe
        changed = recipes.find(config.recipe).changes(asdict(config)) if known else {}
        told = ", ".join(f"{name} {value['run']} for {value['recipe']}" for name, value in changed.items())
        lines.insert(0, f"recipe {config.recipe}" + (f", changed: {told}" if changed else ""))
    trainer = training.trainer
    if trainer.step:
        lines.append(f"resumed after step {trainer.step}, {trainer.epoch} of {config.epochs} epochs done")
    return "\n".join(lines)


def _summary(training: Run, result: dict[str, Any]) -> str:
    speed = f", {result['images_per_second']:,.0f} images/s" if result["images_per_second"] else ""
    several = result.get("test_accuracy_views")
    views = f"{100 * several:.2f} % with views {training.config.views}, " if several is not None else ""
    lines = [
        f"test accuracy {100 * result['test_accuracy']:.2f} %, {views}test loss {result['test_loss']:.4f}; "
        f"{result['train_seconds']:.1f} s of training steps{speed}",
        f"run folder {training.folder}",
    ]
    return "\n".join(lines + ([training.notice] if training.notice else []))
