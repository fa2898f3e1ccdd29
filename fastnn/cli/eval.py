"""`fastnn eval RUN`: accuracy, loss and the commonest confusions on the test images."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt

from .parser import add_run_arguments

__all__ = ["add_arguments", "run"]

_CONFUSIONS_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_run_arguments(parser)
    parser.add_argument("--data-dir", metavar="DIR", help="where the dataset's files are, if they were moved")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print.

    Raises:
        ValueError, OSError: if the run or its data are missing or damaged.
    """
    from ..cpu import set_num_threads
    from ..nn import CrossEntropyLoss
    from ..train import Accuracy, ConfusionMatrix, evaluate
    from ..train.build import test_loader
    from ..train.files import json_text
    from ..train.run import load_datasets, load_model, load_preprocessor

    if args.threads is not None:
        set_num_threads(args.threads)
    model, config, facts = load_model(args.folder, args.checkpoint)
    _, test = load_datasets(config, args.data_dir)
    if tuple(test.classes) != facts.classes:
        raise ValueError(f"the classes of the test images are not those that {args.folder} was trained on")
    metrics = {"accuracy": Accuracy(), "confusion": ConfusionMatrix(len(facts.classes))}
    loader = test_loader(facts, test, load_preprocessor(args.folder, config))
    values = evaluate(model, loader, CrossEntropyLoss(), metrics)
    matrix: npt.NDArray[np.int64] = values["confusion"]
    result: dict[str, Any] = {
        "run": args.folder,
        "checkpoint": args.checkpoint,
        "dataset": config.dataset,
        "model": config.model,
        "images": len(test),
        "test_accuracy": values["accuracy"],
        "test_loss": values["loss"],
    }
    print(_report(result, matrix, facts.classes))
    if args.json:
        print(json_text(result | {"classes": facts.classes, "confusion": matrix}))
    return 0


def _report(result: dict[str, Any], matrix: npt.NDArray[np.int64], classes: tuple[str, ...]) -> str:
    lines = [
        f"test accuracy {100 * result['test_accuracy']:.2f} %, test loss {result['test_loss']:.4f} "
        f"on {result['images']:,} images"
    ]
    off_diagonal = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    for cell in np.argsort(-off_diagonal, axis=None, kind="stable")[:_CONFUSIONS_SHOWN]:
        right, wrong = divmod(int(cell), len(matrix))
        times = int(off_diagonal[right, wrong])
        if times:
            share = 100 * times / int(matrix[right].sum())
            lines.append(
                f"  {classes[right]} taken for {classes[wrong]}: {times} time{'s' * (times > 1)} ({share:.1f} %)"
            )
    return "\n".join(lines)
