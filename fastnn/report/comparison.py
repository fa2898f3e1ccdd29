"""The sections of a page that compare runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..train.curves import TrainingCurves
from .compare import Comparison, Pair
from .markup import axes, figure, gallery, missing, named, note, number, percent, table, text, value
from .run import RunReport
from .sections import curves_figures

if TYPE_CHECKING:
    from .runs import RunsReport

__all__ = ["comparison_sections"]

_PAIR_HEAD = [
    "first", "second", "first alone right", "second alone right", "both wrong", "same answer",
    "accuracy, first minus second", "95 % interval", "McNemar p",
]  # fmt: skip


def comparison_sections(report: RunsReport) -> list[tuple[str, str, str]]:
    """What stands before the runs themselves, as (id, title, HTML)."""
    assert report.comparison is not None
    return [
        ("beside", "Side by side", _beside(report.runs, report.comparison)),
        ("overlaid", "Learning curves", _overlaid(report.runs)),
        ("paired", "Image by image", _paired(report.runs, report.comparison)),
    ]


def _beside(runs: Sequence[RunReport], comparison: Comparison) -> str:
    """Results, and settings: those that differ first and on a coloured ground."""
    head = ["", *(named(place, run.name) for place, run in enumerate(runs))]
    results = [
        ["test accuracy", *(percent(_accuracy(run)) for run in runs)],
        ["95 % interval", *(_interval(run) for run in runs)],
        ["best test accuracy", *(percent(_best(run)) for run in runs)],
        ["test loss", *(number(_last(run, "test_loss"), ".4f") for run in runs)],
        [
            "calibration error (ECE)",
            *(number(_calibration(run), ".4f") for run in runs),
        ],
        ["epochs", *(str(len(run.history)) for run in runs)],
        ["seconds of training steps", *(number(_sum(run, "seconds"), ",.1f") for run in runs)],
        [
            "images per second",
            *(number(_sum(run, "images") / (_sum(run, "seconds") or float("nan")), ",.0f") for run in runs),
        ],
        ["parameters", *(number(run.result.get("params"), ",") for run in runs)],
    ]
    names = dict.fromkeys(name for run in runs for name in run.settings)

    def line(name: str) -> list[object]:
        return [name, *(value(run.settings[name]) if name in run.settings else "–" for run in runs)]

    differing = [line(name) for name in comparison.differing]
    same = [line(name) for name in names if name not in comparison.differing]
    return (
        "".join(missing(run.name, run.missing["result"]) for run in runs if "result" in run.missing)
        + table(head, results)
        + "<h3>Settings that differ</h3>"
        + (table(head, differing, marked=range(len(differing))) if differing else note("None."))
        + f"<details><summary>{len(same)} settings are the same</summary>{table(head, same)}</details>"
    )


def _overlaid(runs: list[RunReport]) -> str:
    if not any(run.history for run in runs):
        return missing("Curves", "no run has finished an epoch")
    found = TrainingCurves([run.curves for run in runs if run.history])
    time = figure(axes(found.draw_over_time), (6.2, 3.3), "Test accuracy over training time")
    return curves_figures(runs, "all-") + f'<div class="pair">{time}</div>'


def _paired(runs: Sequence[RunReport], comparison: Comparison) -> str:
    made = [missing("A comparison", why) for why in comparison.missing]
    if comparison.pairs:
        made.append(
            table(
                _PAIR_HEAD,
                [_pair(runs, pair) for pair in comparison.pairs],
                texts=(0, 1),
            )
        )
        made.append(
            note(
                "Both networks see the same images, so only those that one alone gets right tell them apart. McNemar's "
                "exact p: if both were equally good, a difference at least as large would come up so often. It knows "
                "of these test images alone, not of other seeds, and is not corrected for the number of comparisons."
            )
        )
    for pair in comparison.pairs:
        first, second = runs[pair.first], runs[pair.second]
        classes = first.data["classes"]
        for better, worse, shown in ((first, second, pair.only_first), (second, first, pair.only_second)):
            made.append(f"<h3>{text(better.name)} right, {text(worse.name)} wrong</h3>")
            made.append(gallery(shown, classes, "No such image."))
    return "".join(made)


def _pair(runs: Sequence[RunReport], pair: Pair) -> list[Any]:
    found = pair.predictions
    return [
        named(pair.first, runs[pair.first].name),
        named(pair.second, runs[pair.second].name),
        f"{found.only_first:,}",
        f"{found.only_second:,}",
        f"{found.neither:,}",
        percent(found.agreement, 1),
        f"{100 * found.difference:+.2f} points",
        f"{100 * found.low:+.2f} to {100 * found.high:+.2f}",
        number(found.p_value, ".2g"),
    ]


def _accuracy(run: RunReport) -> float | None:
    return run.predictions.accuracy if run.predictions is not None else _last(run, "test_accuracy")


def _interval(run: RunReport) -> str:
    if run.predictions is None:
        return "–"
    low, high = run.predictions.interval
    return f"{100 * low:.2f} to {100 * high:.2f} %"


def _best(run: RunReport) -> float | None:
    return max(
        (record["test_accuracy"] for record in run.history if record.get("test_accuracy") is not None), default=None
    )


def _calibration(run: RunReport) -> float | None:
    return run.predictions.calibration.error if run.predictions is not None else None


def _last(run: RunReport, name: str) -> float | None:
    found: float | None = run.history[-1].get(name) if run.history else None
    return found


def _sum(run: RunReport, name: str) -> float:
    return float(sum(record.get(name) or 0.0 for record in run.history))
