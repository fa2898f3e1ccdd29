"""The sections of a page that are about one run; each is HTML, and one line where its data are missing."""

from __future__ import annotations

from typing import Any

from ..evaluation import Confusion
from ..profiler import OperationProfile
from ..train.curves import TrainingCurves
from .markup import axes, bar, card, figure, gallery, missing, note, number, percent, switch, table, text, value
from .predictions import Predictions
from .run import RunReport
from .training import Layers, Timing

__all__ = [
    "calibration",
    "confusions",
    "curves",
    "curves_figures",
    "examples",
    "facts",
    "layers",
    "run_sections",
    "timing",
]

_PANEL = (6.2, 3.5)
_PAIRS, _OPERATIONS = 12, 14
_PHASE_NAMES = {
    "data": "data (waiting for the loader)", "forward": "forward and loss", "backward": "backward",
    "optimizer": "optimiser", "elsewhere": "elsewhere", "evaluation": "evaluation",
}  # fmt: skip


def run_sections(run: RunReport, prefix: str) -> list[tuple[str, str, str]]:
    """All sections as (id, title, HTML).

    Args:
        run: the run.
        prefix: of ids, unlike that of other runs of the page.
    """
    made = [("result", "Result", facts(run)), ("curves", "Learning curves", curves(run, prefix))]
    for name, title, draw in (
        ("confusion", "Confusion", confusions),
        ("images", "Images", examples),
        ("calibration", "Calibration", calibration),
    ):
        made.append((name, title, _of(run, "predictions", title, draw)))
    made.append(("layers", "Layers", _of(run, "layers", "Layers", layers)))
    made.append(("time", "Time", timing(run)))
    return [(f"{prefix}{name}", title, html) for name, title, html in made]


def _of(run: RunReport, field: str, title: str, draw: Any) -> str:
    """A section of a part of the report, or why that part is not there."""
    part = getattr(run, field)
    if part is None:
        return missing(title, run.missing.get(field) or run.missing.get("data", "not examined"))
    made: str = draw(part, run)
    return made


# Result and settings


def facts(run: RunReport) -> str:
    """What was trained, and what came out."""
    result, found = run.result, run.predictions
    last: dict[str, Any] = run.history[-1] if run.history else {}
    best = max(run.history, key=lambda record: record.get("test_accuracy") or 0.0, default={})
    seconds = sum(record.get("seconds", 0.0) for record in run.history)
    images = sum(record.get("images", 0) for record in run.history)
    evaluation = sum(record.get("eval_seconds", 0.0) for record in run.history)
    cards = []
    if found is not None:
        which = "" if found.checkpoint == "last" else f", checkpoint {found.checkpoint}"
        cards.append(card("test accuracy" + which, percent(found.accuracy), _interval(found.interval, found.images)))
    else:
        cards.append(card("test accuracy", percent(last.get("test_accuracy")), "after the last epoch"))
    if result.get("test_accuracy_views") is not None:
        views = f"mean over the views {run.settings.get('views')}"
        cards.append(card("with several views", percent(result["test_accuracy_views"]), views))
    if last.get("test_accuracy_unaveraged") is not None:
        averaging = f"without averaging ({run.settings.get('averaging')})"
        cards.append(card("last weights", percent(last["test_accuracy_unaveraged"]), averaging))
    chosen = f"epoch {best.get('epoch', '–')}, chosen by its test accuracy: an optimistic figure"
    if found is not None and found.best_interval is not None:
        chosen = f"95 %: {_ends(found.best_interval)}; {chosen}"
    cards.append(card("best test accuracy", percent(best.get("test_accuracy")), chosen))
    cards.append(
        card("test loss", number(last.get("test_loss"), ".4f"), f"training {number(last.get('train_loss'), '.4f')}")
    )
    cards.append(card("time", _duration(seconds), f"of training steps, {_duration(evaluation)} of evaluation"))
    rate = images / seconds if seconds else None
    steps = last.get("step", 0) / seconds if seconds else None
    cards.append(card("images per second", number(rate, ",.0f"), f"in training, {number(steps, ',.1f')} steps"))
    if run.result.get("params"):
        cards.append(card("parameters", f"{result['params']:,}", str(run.settings.get("model", ""))))
    if result.get("peak_memory_bytes"):
        cards.append(card("peak memory", f"{result['peak_memory_bytes'] / 1e6:,.0f} MB", "of the process"))
    cards.append(card("computed by", *_machine(run), words=True))
    stopped = missing("The summary", run.missing["result"]) if "result" in run.missing else ""
    return f'{stopped}<div class="cards">{"".join(cards)}</div>{_settings(run)}'


def _machine(run: RunReport) -> tuple[str, str]:
    threads = run.result.get("threads")
    on = f"{threads} thread{'s' * (threads != 1)}, {run.result.get('level')}" if threads else ""
    processor = run.result.get("processor")
    version = f"fastnn {run.version}"
    return (str(processor), ", ".join(filter(None, [on, version]))) if processor else (version, on)


def _settings(run: RunReport) -> str:
    data = run.data
    size = f"{data['height']}×{data['width']}×{data['channels']}"
    about = (
        f"{run.settings['model']} on {run.settings['dataset']}: {data['rows']:,} training images of {size}, "
        f"{len(data['classes'])} classes."
    )
    rows: list[list[object]] = []
    marked: list[int] = []
    for name, each in run.settings.items():
        if name in run.chosen:
            marked.append(len(rows))
        rows.append([name, value(each), value(run.chosen[name]) if name in run.chosen else ""])
    basis = f"the recipe {run.settings['recipe']}" if run.settings.get("recipe") else "the dataset's defaults"
    settings = table(["setting", "value", "default"], rows, texts=(0, 1, 2), marked=marked)
    differ = f"Settings: {len(marked) or 'none'} of {len(rows)} changed from {basis}"
    chosen = ", ".join(f"{name} {value(run.settings[name])}" for name in run.chosen)
    return (
        f"<p>{text(about)}</p>{note(f'Changed: {chosen}.') if chosen else ''}"
        f"<details><summary>{text(differ)}</summary>{settings}</details>"
    )


def _interval(ends: tuple[float, float], images: int) -> str:
    return f"95 %: {_ends(ends)}, {images:,} images"


def _ends(ends: tuple[float, float]) -> str:
    return f"{100 * ends[0]:.2f} to {100 * ends[1]:.2f} %"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


# Curves


def curves(run: RunReport, prefix: str) -> str:
    """Loss, accuracy, gap and learning rate of one run."""
    if "curves" in run.missing:
        return missing("Curves", run.missing["curves"])
    words = "Training values are means over an epoch while the network changes; test values are taken at its end."
    if run.settings.get("label_smoothing"):
        words += " With label smoothing the training loss has another floor than the test loss."
    return curves_figures([run], prefix) + note(words)


def curves_figures(runs: list[RunReport], prefix: str) -> str:
    """The learning curves of runs in one set of pictures, above each other those that share their axis."""
    found = TrainingCurves([run.curves for run in runs if run.history])

    def stacked(upper: Any, lower: Any) -> Any:
        def draw(picture: Any) -> None:
            above, below = picture.subplots(2, 1, sharex=True, height_ratios=(3, 2))
            upper(above)
            lower(below)
            above.set_xlabel("")

        return draw

    size = (_PANEL[0], 5.4)
    made = []
    for log, label in ((False, "linear"), (True, "logarithmic")):
        loss = stacked(
            lambda axes, log=log: found.draw_loss(axes, log), lambda axes: found.draw_rates(axes, momentum=True)
        )
        accuracy = stacked(lambda axes, log=log: found.draw_accuracy(axes, log), found.draw_gap)
        made.append(
            (
                label,
                '<div class="pair">'
                + figure(loss, size, f"Loss and learning rate, {label}")
                + figure(accuracy, size, f"Accuracy and gap, {label}")
                + "</div>",
            )
        )
    return switch(f"{prefix}scale", made)


# Predictions


def confusions(found: Predictions, run: RunReport) -> str:
    """The matrix, the commonest confusions, and precision, recall and F1 of each class."""
    matrix: Confusion = found.confusion
    classes, rows = matrix.classes, matrix.counts.sum(axis=1)
    side = min(max(4.2, 1.6 + 0.42 * len(classes)), 8.0)
    picture = figure(
        matrix.draw,
        (side + 0.7, side),
        "Confusion matrix",
        "Rows are right classes, columns predicted ones.",
        len(classes) > 12,
    )
    pairs = [
        [classes[right], classes[given], times, percent(times / rows[right], 1)]
        for right, given, times in matrix.most_confused(_PAIRS)
    ]
    confused = (
        table(["class", "taken for", "times", "of the class"], pairs, texts=(0, 1)) if pairs else note("No mistakes.")
    )
    lines = [
        [name, f"{rows[place]:,}", *(percent(each[place], 1) for each in (matrix.precision, matrix.recall, matrix.f1))]
        for place, name in enumerate(classes)
    ]
    by_class = table(["class", "images", "precision", "recall", "F1"], lines)
    if len(classes) > 20:
        by_class = f"<details><summary>All {len(classes)} classes</summary>{by_class}</details>"
    balanced = f"Accuracy {percent(matrix.accuracy)}, balanced accuracy {percent(matrix.balanced_accuracy)}."
    return (
        f'<div class="pair"><div>{picture}</div><div><h3>Most confused</h3>{confused}</div></div>'
        f"<h3>By class</h3>{note(balanced)}{by_class}"
    )


def examples(found: Predictions, run: RunReport) -> str:
    """Mistakes, doubtful and sure cases."""
    classes = found.confusion.classes
    wrong = found.images - round(found.accuracy * found.images)
    shown = f"{wrong:,} of {found.images:,} test images are taken for something else"
    shown += f"; here the {len(found.mistakes)} it is surest of." if wrong > len(found.mistakes) else "."
    return (
        f"<h3>Worst mistakes</h3>{note(shown)}{gallery(found.mistakes, classes, 'No mistakes.')}"
        f"<h3>Most uncertain</h3>{gallery(found.uncertain, classes)}"
        f"<h3>Surest, and right</h3>{gallery(found.surest, classes)}"
    )


def calibration(found: Predictions, run: RunReport) -> str:
    """Whether probabilities are right, and what a temperature would change."""
    before, changed = found.calibration, found.temperature
    columns = [("as it is", before)]
    words = "No temperature was fitted: that needs SciPy, and mistakes in each half of the test images."
    if changed is not None:
        columns.append((f"temperature {changed.value:.3f}", changed.after))
        doing = "too sure of itself" if changed.value > 1 else "less sure than it could be"
        words = (
            f"Dividing outputs by {changed.value:.3f} gives the lowest cross-entropy on the test images: the network "
            f"is {doing} there. The column judges each half of them by the temperature fitted to the other half."
        )
    rows = [
        [label, *(number(getattr(each, name), ".4f") for _, each in columns)]
        for label, name in (
            ("expected calibration error (ECE)", "error"),
            ("largest error of a bin", "largest_error"),
            ("negative log-likelihood (NLL)", "nll"),
            ("Brier score", "brier"),
        )
    ]
    picture = figure(before.draw, (4.8, 4.6), "Reliability diagram")
    numbers = table(["", *(name for name, _ in columns)], rows)
    return f'<div class="pair"><div>{picture}</div><div>{numbers}{note(words)}</div></div>'


# Layers and time


def layers(found: Layers, run: RunReport) -> str:
    """Activations, gradients, weights and updates by layer."""
    statistics, weights, updates = found.statistics, found.weights, found.updates
    width = min(max(_PANEL[0], 0.17 * len(statistics.activations)), 14.0)
    wide, size = width > _PANEL[0], (width, _PANEL[1])
    gradients = {each.name: each.std for each in statistics.gradients}
    rows = [
        [
            each.name or "(itself)",
            each.kind,
            *(number(amount, ".3g") for amount in (each.mean, each.std)),
            *(percent(share, 1) for share in (each.zeros, each.saturated, each.dead)),
            number(gradients.get(each.name), ".3g"),
        ]
        for each in statistics.activations
    ]
    head = ["layer", "kind", "mean", "std", "zeros", "saturated", "dead units", "gradient std"]
    ratios = {name: each[-1] for name, each in updates.ratios.items()}
    parameters = [
        [
            each.name,
            "×".join(map(str, each.shape)),
            *(number(amount, ".3g") for amount in (each.mean, each.std, each.norm, each.gradient_norm)),
            number(ratios.get(each.name), ".2e"),
        ]
        for each in weights.parameters
    ]
    parameter_head = ["parameter", "shape", "mean", "std", "norm", "gradient norm", "update ratio"]
    dead = sum(round((each.dead or 0) * each.units) for each in statistics.activations)
    units = sum(each.units for each in statistics.activations if each.dead is not None)
    dead_units = f"{dead:,} of {units:,} units of elementwise activations are dead on all of them."
    if not units:
        dead_units = "Its activations are functions, not layers: their dead units cannot be seen."
    words = (
        f"The last checkpoint on {found.rows} training images, in training mode. {dead_units} Update ratios are those "
        f"of one step at learning rate {found.lr:.3g}, the run's highest; about 10⁻³, dashed, is usual."
    )
    pictures = [
        figure(
            axes(statistics.draw_spread), size, "Standard deviation of activations and gradients by layer", wide=wide
        ),
        figure(axes(statistics.draw_flat), size, "Saturated values and dead units by layer", wide=wide)
        if units
        else "",
        figure(axes(statistics.draw_distributions), size, "Activations by layer", wide=wide),
        figure(
            axes(lambda axes: statistics.draw_distributions(axes, gradients=True)),
            size,
            "Gradients by layer",
            wide=wide,
        ),
        figure(axes(weights.draw_norms), size, "Norms of weights and gradients", wide=wide),
        figure(axes(updates.draw_last), size, "Update ratios by parameter", wide=wide),
    ]
    return (
        f'{note(words)}<div class="pair">{"".join(pictures)}</div>'
        f"<details><summary>Layers in numbers</summary>{table(head, rows, texts=(0, 1))}</details>"
        f"<details><summary>Parameters in numbers</summary>{table(parameter_head, parameters, texts=(0, 1))}</details>"
    )


def timing(run: RunReport) -> str:
    """Time by phase and by operation."""
    made = []
    if run.phases:
        made.append(_phases(run.phases, "The whole run", "s", 1.0))
    found = run.timing
    if found is None:
        made.append(missing("Time of steps", run.missing.get("timing") or run.missing.get("data", "not measured")))
        return "".join(made)
    about = f"A step of {found.images} images, mean of {found.steps}"
    made.append(_phases(found.phases, about, "ms", 1e3))
    pieces = f'<div class="pair">{"".join(made)}</div>' if len(made) > 1 else made[0]
    where = f"{found.processor}, {found.level}, {found.threads} thread{'s' * (found.threads != 1)}"
    words = (
        f"Steps were measured for this report on {where}; the roofline is {found.gflops:.0f} GFLOP/s and "
        f"{found.gb_per_second:.0f} GB/s, measured there. Winograd's convolutions multiply less than is counted, and "
        "arrays that stay in a cache need no memory: both can exceed 100 %."
    )
    return pieces + "<h3>By operation</h3>" + _operations(found) + note(words)


def _phases(phases: dict[str, float], about: str, unit: str, scale: float) -> str:
    total = sum(phases.values()) or 1.0
    rows = [
        [_PHASE_NAMES.get(name, name), f"{scale * seconds:,.2f}", percent(seconds / total, 1), bar(seconds / total)]
        for name, seconds in phases.items()
    ]
    return (
        "<div>" + table(["phase", unit, "share", ""], rows, caption=f"{about}: {scale * total:,.2f} {unit}") + "</div>"
    )


def _operations(found: Timing) -> str:
    def line(each: OperationProfile) -> list[object]:
        flops, moved = each.forward.flops + each.backward.flops, each.forward.bytes + each.backward.bytes
        rate = number(flops / each.seconds / 1e9, ",.1f") if flops and each.seconds else "–"
        speed = number(moved / each.seconds / 1e9, ",.1f") if moved and each.seconds else "–"
        passes = [
            f"{1e3 * part.seconds / found.steps:,.2f}" if part.calls else "–" for part in (each.forward, each.backward)
        ]
        share = each.seconds / found.profile.elapsed if found.profile.elapsed else 0.0
        return [each.name, *passes, percent(share, 1), bar(share), rate, speed, percent(found.shares.get(each.name), 0)]

    rows = [line(each) for each in found.profile.operations[:_OPERATIONS]]
    head = ["operation", "forward ms", "backward ms", "of time", "", "GFLOP/s", "GB/s", "of roofline"]
    return table(head, rows)
