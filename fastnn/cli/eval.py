"""`fastnn eval RUN...`: how good networks are on the test images, each by itself and all together."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..train.metrics import Metric
from .parser import add_prediction_arguments

if TYPE_CHECKING:
    from ..data.catalogue import ImageDataset
    from ..ensemble.runs import Member
    from ..evaluation import Confusion

__all__ = ["add_arguments", "run"]

_CONFUSIONS_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="folder of a training run, or a name in the zoo; several form an ensemble",
    )
    add_prediction_arguments(parser)
    parser.add_argument("--per-class", action="store_true", help="show recall and precision of every class")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print.

    Raises:
        ValueError, OSError: if a run or its data are missing or damaged, or the runs do not suit each other.
    """
    from ..cpu import set_num_threads
    from ..ensemble.runs import average_members, load_members
    from ..evaluation import confusion
    from ..train.files import json_text
    from ..train.run import load_datasets

    if args.threads is not None:
        set_num_threads(args.threads)
    members = load_members(args.runs, args.checkpoint, args.snapshots)
    first = members[0]
    _, test = load_datasets(first.config, args.data_dir)
    if tuple(test.classes) != first.facts.classes:
        raise ValueError(f"the classes of the test images are not those that {first.name} was trained on")
    if args.average:
        members = [average_members(members, args.data_dir)]
    probabilities, judged = _judge(members, test, args)
    result: dict[str, Any] = {
        "runs": args.runs,
        "checkpoint": args.checkpoint if args.snapshots is None else None,
        "dataset": first.config.dataset,
        "model": first.config.model,
        "images": len(test),
        "views": args.views,
        "combine": args.combine,
        **judged[-1],
        "members": [{"name": member.name, **each} for member, each in zip(members, judged, strict=False)],
    }
    found = confusion(probabilities, np.asarray(test.labels), first.facts.classes)
    print(_report(result, found))
    if args.per_class:
        print(_per_class(found))
    if args.json:
        classes = {name: getattr(found, name) for name in ("classes", "recall", "precision")}
        print(json_text(result | classes | {"confusion": found.counts}))
    return 0


def _judge(
    members: Sequence[Member], test: ImageDataset, args: argparse.Namespace
) -> tuple[npt.NDArray[Any], list[dict[str, Any]]]:
    """The probabilities of the ensemble, and what is said of every member and, last, of the ensemble.

    The loss of one network on one view is that of its outputs, as `fastnn train` computes it, to the last digit; all
    others are those of the probabilities.
    """
    from ..ensemble.runs import image_batches
    from ..nn import CrossEntropyLoss
    from ..train import Predictor, evaluate
    from ..train.plots import softmax
    from ..transforms import view_set

    facts, labels = members[0].facts, np.asarray(test.labels)
    if not labels.size:
        raise ValueError("the test part of the dataset has no images of these classes")
    views = view_set(args.views, (facts.height, facts.width))
    if len(members) == 1 and views is None:
        outputs = _Outputs()
        loss = evaluate(members[0].model, image_batches(test), CrossEntropyLoss(), {"outputs": outputs})["loss"]
        probabilities = softmax(outputs.compute())
        figures = _figures(probabilities, labels) | {"test_loss": loss}
        return probabilities, [figures, figures]
    predictor = Predictor([member.model for member in members], combine=args.combine, views=views)
    found = predictor.predictions(image_batches(test))
    return found.probabilities, [_figures(each, labels) for each in (*found.members, found.probabilities)]


class _Outputs(Metric):
    """Keeps the outputs, and remembers them as long as an evaluation lasts."""

    def reset(self) -> None:
        self.parts: list[npt.NDArray[Any]] = []

    def update(self, output: npt.NDArray[Any], target: npt.NDArray[Any]) -> None:
        self.parts.append(output.copy())

    def compute(self) -> npt.NDArray[Any]:
        return np.concatenate(self.parts)


def _figures(probabilities: npt.NDArray[Any], labels: npt.NDArray[Any]) -> dict[str, Any]:
    """Accuracy with its interval, loss and calibration of predictions, (N, C) and (N,)."""
    from ..evaluation import calibration, wilson_interval

    right = int((probabilities.argmax(axis=1) == labels).sum())
    judged = calibration(probabilities, labels)
    return {
        "test_accuracy": right / len(labels),
        "accuracy_interval": wilson_interval(right, len(labels)),
        "test_loss": judged.nll,
        "calibration_error": judged.error,
        "brier": judged.brier,
    }


def _report(result: Mapping[str, Any], found: Confusion) -> str:
    members, lines = result["members"], []
    if len(members) > 1:
        width = max(len(member["name"]) for member in members)
        lines += [f"{member['name']:{width}}  {_line(member)}" for member in members]
        gain = 100 * (result["test_accuracy"] - max(member["test_accuracy"] for member in members))
        place = f"{abs(gain):.2f} points {'below' if gain < 0 else 'above'} the best of them"
        lines.append(f"{len(members)} networks together, by {result['combine']}, {place}:")
    views = f" with views {result['views']}" if result["views"] != "none" else ""
    low, high = (100 * end for end in result["accuracy_interval"])
    lines.append(f"test {_line(result)} on {result['images']:,} images{views}")
    lines.append(f"  95 % interval of the accuracy {low:.2f} to {high:.2f} %")
    wrong = found.counts * (1 - np.eye(len(found.counts), dtype=np.int64))
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS_SHOWN]:
        right, taken = divmod(int(cell), len(wrong))
        times = int(wrong[right, taken])
        if times:
            share = 100 * times / int(found.counts[right].sum())
            lines.append(
                f"  {found.classes[right]} taken for {found.classes[taken]}: "
                f"{times} time{'s' * (times > 1)} ({share:.1f} %)"
            )
    return "\n".join(lines)


def _line(figures: Mapping[str, Any]) -> str:
    return (
        f"accuracy {100 * figures['test_accuracy']:.2f} %, test loss {figures['test_loss']:.4f}, "
        f"calibration error {figures['calibration_error']:.4f}"
    )


def _per_class(found: Confusion) -> str:
    """A row for each class: how many of its images were found, and how often its prediction was right."""
    width = max(len(name) for name in (*found.classes, "class"))
    lines = [f"{'class':{width}}  images  recall %  precision %"]
    for name, images, recall, precision in zip(
        found.classes, found.counts.sum(axis=1), found.recall, found.precision, strict=True
    ):
        lines.append(f"{name:{width}}  {images:6d}  {_percent(recall):>8}  {_percent(precision):>11}")
    return "\n".join(lines)


def _percent(share: float) -> str:
    """NaN, of a class that does not occur or was never predicted, is a dash."""
    return "-" if np.isnan(share) else f"{100 * share:.2f}"
