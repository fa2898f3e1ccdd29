"""Write docs/recipes/: a page for each recipe, with what its runs measured.

    python scripts/recipe_pages.py [RUN ...] [--data TEXT] [--busy] [--timed RUN ...]

Of runs on a machine that did other work beside them, --busy keeps the accuracies and leaves out times and rates; runs
of a part of the epochs that had it to themselves, given with --timed, say how long whole ones take. The
results of runs of recipes join docs/recipes/measured.json, in place of earlier ones with the same settings and
seed on the same processor; the pages are written from that file and from the recipes, without runs only anew.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from fastnn import recipes

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "recipes"
MEASURED = "measured.json"
_MORE = """\
A run leaves a folder: settings and what was changed of the recipe (`config.json`), a line of metrics for each epoch,
checkpoints, curves, mistakes, and a summary (`result.json`). `fastnn train --resume RUN` goes on with an interrupted
one to the same bits. `--seeds 0,1,2` makes a run for each seed and gives their mean and spread; with
`--out FOLDER` the same command again goes on where it was.

A recipe of your own is a file like `fastnn/recipes/lenet5_mnist.py` and a line in `fastnn/recipes/__init__.py`;
`python scripts/recipe_pages.py RUN ...` writes these pages with what finished runs measured."""
_IDENTITY = ("recipe", "changed", "data", "processor", "level", "seed")
"""What tells entries apart: no bit of a result depends on the number of threads."""
_KEPT = ("fastnn", "steps", "test_accuracy", "test_accuracy_views", "test_accuracy_unaveraged", "peak_memory_bytes")
_TIMES = ("threads", "train_seconds", "wall_seconds", "images_per_second", "steps_per_second")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the runs and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="finished runs of recipes")
    parser.add_argument("--data", default="", metavar="TEXT", help="what is peculiar to the data that they saw")
    parser.add_argument("--busy", action="store_true", help="the machine did other work beside these runs")
    parser.add_argument(
        "--timed", nargs="+", type=Path, default=[], metavar="RUN", help="short runs that had the machine to themselves"
    )
    args = parser.parse_args(arguments)
    path = FOLDER / MEASURED
    known = json.loads(path.read_text()) if path.exists() else []
    measured = merged(known, [entry(run, args.data, args.busy) for run in args.runs])
    for run in args.timed:
        time_by(measured, json.loads((run / "result.json").read_text()))
    FOLDER.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(measured, indent=1) + "\n")
    for name, text in pages(measured).items():
        (FOLDER / name).write_text(text)
    return 0


def entry(run: Path, data: str, busy: bool = False) -> dict[str, Any]:
    """What is kept of a run: no folders, no times of day, and of a busy machine no times at all."""
    description = json.loads((run / "config.json").read_text())
    result = json.loads((run / "result.json").read_text())
    if result.get("recipe") is None:
        raise SystemExit(f"{run} is not the run of a recipe")
    given = {**result, "changed": description["changed"], "data": data}
    return {name: given[name] for name in (*_IDENTITY, *_KEPT, *(() if busy else _TIMES)) if name in given}


def merged(known: Iterable[dict[str, Any]], new: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """All entries in a fixed order, new ones in place of those they repeat."""
    by_identity = {json.dumps([each[name] for name in _IDENTITY]): each for each in (*known, *new)}
    order = {name: place for place, name in enumerate(recipes.names())}
    return sorted(by_identity.values(), key=lambda each: (order[each["recipe"]], len(each["changed"]), each["seed"]))


def time_by(measured: Iterable[dict[str, Any]], short: Mapping[str, Any]) -> None:
    """Give the runs of a recipe as it is, of which no time was taken, the rates of a shorter one, and what follows."""
    for each in measured:
        same = all(each[name] == short[name] for name in ("recipe", "processor", "level"))
        if same and not each["changed"] and each.get("estimated", "threads" not in each):
            each |= {name: short[name] for name in ("threads", "images_per_second", "steps_per_second")}
            each |= {"train_seconds": each["steps"] / short["steps_per_second"], "estimated": True}


def pages(measured: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The text of every file in the folder, by name."""
    written = {f"{name}.md": page(recipes.find(name), measured) for name in recipes.names()}
    return {"README.md": index(measured), **written}


def index(measured: Sequence[dict[str, Any]]) -> str:
    """The list of all recipes."""
    lines = [
        "# Recipes",
        "",
        "Trainings worth repeating, each plain data in a file of `fastnn/recipes/`. `fastnn train --recipe NAME` runs",
        "one, with any setting changed that is given beside it; `fastnn recipes NAME` shows one whole. Accuracies are",
        "means over the seeds in the pages, on their data, with several views where the recipe has them.",
        "",
        "| recipe | what | accuracy, % | time |",
        "|:---|:---|---:|---:|",
    ]
    for name in recipes.names():
        own = [each for each in measured if each["recipe"] == name and not each["changed"]]
        group = next(iter(_groups(own)), [])
        accuracy = _spread([100 * _best(each) for each in group]) if group else ""
        time = _duration(group, "wall_seconds") or _duration(group, "train_seconds")
        lines.append(f"| [{name}]({name}.md) | {recipes.find(name).title} | {accuracy} | {time} |")
    return "\n".join([*lines, "", _MORE]) + "\n"


def page(recipe: recipes.Recipe, measured: Sequence[dict[str, Any]]) -> str:
    """The page of a recipe."""
    dataset = recipe.settings["dataset"]
    where = "" if dataset == "digits" else " --data-dir DIR"
    lines = [f"# {recipe.title[0].upper()}{recipe.title[1:]}", "", recipe.purpose, ""]
    lines += ["```", f"fastnn train --recipe {recipe.name}{where}", "```", ""]
    lines += [f"Source: {recipe.source}.", ""]
    if recipe.published:
        lines += [f"Published: {recipe.published}.", ""]
    module = import_module(f"fastnn.recipes.{recipe.name.replace('-', '_')}")
    explanation = inspect.cleandoc(module.__doc__ or "").partition("\n\n")[2]
    if explanation:
        lines += [explanation, ""]
    own = [each for each in measured if each["recipe"] == recipe.name]
    if own:
        lines += ["## Measured", "", *_table(own), ""]
    lines += ["## Settings", "", "| setting | value |", "|:---|:---|"]
    lines += [f"| `{name}` | {_plain(value)} |" for name, value in recipe.settings.items()]
    lines += ["", "`fastnn.train.Config` says what each means, and what the others are."]
    return "\n".join(lines) + "\n"


def _table(entries: Sequence[dict[str, Any]]) -> list[str]:
    """A line for every group of runs that differ in their seeds alone."""
    lines = [
        "| run | seeds | accuracy, % | several views, % | training | in all | images/s | steps/s | memory, MB |",
        "|:---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for group in _groups(entries):
        first = group[0]
        changed = ", ".join(f"`{name}` {_plain(value['run'])}" for name, value in first["changed"].items())
        threads = sorted({each["threads"] for each in group if "threads" in each})
        machine = f"{first['processor']}, {first['level']}"
        machine += f", {' and '.join(map(str, threads))} threads" if threads else ""
        told = [changed or "as it is", first["data"], machine]
        several = [100 * each["test_accuracy_views"] for each in group if "test_accuracy_views" in each]
        cells = [
            "; ".join(filter(None, told)),
            str(len(group)),
            _spread([100 * each["test_accuracy"] for each in group]),
            _spread(several) if several else "",
            _duration(group, "train_seconds"),
            _duration(group, "wall_seconds"),
            _rate(group, "images_per_second", ",.0f"),
            _rate(group, "steps_per_second", ".3g"),
            f"{max(each['peak_memory_bytes'] for each in group) / 1e6:,.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    note = (
        "± is the standard deviation over seeds; times and rates are means over those runs that had the machine to "
        "themselves, memory is the most. ≈: for all steps at the rate of some, measured so."
    )
    return [*lines, "", note]


def _groups(entries: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in entries:
        key = json.dumps([each[name] for name in _IDENTITY if name != "seed"])
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _best(result: Mapping[str, Any]) -> float:
    return float(result.get("test_accuracy_views", result["test_accuracy"]))


def _timed(group: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """The mean over the runs that had the machine to themselves; None if there is none."""
    values = [each[name] for each in group if name in each]
    return statistics.fmean(values) if values else None


def _rate(group: Sequence[Mapping[str, Any]], name: str, form: str) -> str:
    rate = _timed(group, name)
    return "" if rate is None else format(rate, form)


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}"


def _duration(group: Sequence[Mapping[str, Any]], name: str) -> str:
    """Seconds below two minutes, minutes and seconds above; nothing where no time was taken."""
    seconds = _timed(group, name)
    if seconds is None:
        return ""
    about = "≈ " if any(each.get("estimated") for each in group) else ""
    if seconds < 120:
        return about + (f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s")
    return about + (f"{seconds / 60:.0f} min" if about else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s")


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    text = "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return re.sub(r"([|*_])", r"\\\1", text)


if __name__ == "__main__":
    sys.exit(main())
