"""The arguments of `fastnn bench`, and what runs for each of its commands."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..cli.parser import count

__all__ = ["add_arguments", "run"]

_COMMANDS: dict[str, tuple[str, tuple[str, ...], float]] = {
    "kernels": ("every kernel beside its definition in NumPy and PyTorch's", ("numpy", "torch"), 0.15),
    "train": ("training steps of whole networks", ("torch",), 4.0),
    "infer": ("inference of whole networks", ("torch", "onnxruntime"), 2.0),
    "optim": ("steps of every optimiser, 1 and 10 million parameters", ("numpy", "torch"), 0.3),
    "augment": ("augmentation of images, and epochs through the loader", ("numpy", "torch", "pillow"), 0.3),
}
"""Purpose, libraries to compare with, and seconds to spend on each contender of each row."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands and their arguments."""
    commands = parser.add_subparsers(metavar="WHAT", dest="what", required=True)
    for name, (purpose, libraries, seconds) in _COMMANDS.items():
        sub = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        sub.add_argument(
            "--against",
            type=_chooser(libraries),
            default=[],
            metavar="LIBRARIES",
            help=f"compare with {' or '.join(libraries)}, or several joined by commas",
        )
        sub.add_argument("--only", metavar="PATTERN", help="rows whose name contains this regular expression")
        sub.add_argument("--threads", type=count, metavar="N", help="threads of all libraries")
        sub.add_argument(
            "--seconds", type=_positive, default=seconds, metavar="S", help=f"a contender's time in a row ({seconds:g})"
        )
        sub.add_argument("--json", metavar="FILE", help="write everything measured as JSON")
        sub.add_argument("--markdown", metavar="FILE", help="write the tables for a document")
        if name in ("train", "infer"):
            sub.add_argument(
                "--batch", type=count, metavar="N", help="images in a step instead of each row's own number"
            )
            sub.add_argument("--compile", action="store_true", help="PyTorch compiled, too, which takes minutes")
    _add_roofline(commands)


def _add_roofline(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare `roofline`, which compares with the machine and not with libraries."""
    purpose = "the layers of a network in training beside what the machine allows"
    sub = commands.add_parser("roofline", help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
    sub.add_argument(
        "--only", metavar="PATTERN", default="^resnet20$", help="the network whose name contains it (resnet20)"
    )
    sub.add_argument("--threads", type=count, metavar="N", help="threads of the kernels")
    sub.add_argument("--seconds", type=_positive, default=4.0, metavar="S", help="time to spend on steps (4)")
    sub.add_argument("--json", metavar="FILE", help="write everything measured as JSON")
    sub.add_argument("--markdown", metavar="FILE", help="write the table for a document")
    sub.add_argument("--plot", metavar="FILE", help="draw the roofline as PNG")


def run(args: argparse.Namespace) -> int:
    """Measure and print.

    Returns:
        0, or 1 if something that was to be compared could not be measured.

    Raises:
        ImportError: if a library to compare with is not installed.
        ValueError: if `--only` matches no row.
    """
    if args.what in ("train", "infer"):
        return _run_steps(args)
    return _run_roofline(args) if args.what == "roofline" else _run_kernels(args)


def _run_kernels(args: argparse.Namespace) -> int:
    """`kernels`, `optim` and `augment`: rows in this process."""
    from . import libraries

    # PyTorch before anything of ours computes, so that both use one set of threads.
    against = libraries.load(args.against)
    libraries.set_threads(args.threads, against)
    from . import kernels, machine, table
    from .cases import all_cases, augment, matching, optim

    rows_of: dict[str, Callable[[], Any]] = {
        "kernels": all_cases,
        "optim": lambda: optim.cases(optim.SIZES),
        "augment": lambda: [*augment.cases(), *augment.loader_cases()],
    }
    cases = matching(rows_of[args.what](), args.only)
    here = machine.inspect(libraries.versions(against))
    print("\n".join(here.lines()) + "\n", flush=True)
    rows = kernels.run(cases, against, here, args.seconds)
    summary = kernels.summarise(rows)
    overview, cells = kernels.summary_table(summary)
    print("\n" + "\n".join([overview.head(), overview.rule(), *map(overview.line, cells)]))
    if args.json:
        report = {"benchmark": args.what, "machine": here.to_dict(), "rows": [row.to_dict() for row in rows]}
        table.write_json(args.json, {**report, "summary": summary})
    if args.markdown:
        table.write_markdown(args.markdown, here.lines(), kernels.markdown(rows))
    return 0


def _run_steps(args: argparse.Namespace) -> int:
    """`train` and `infer`: networks in processes of their own."""
    from tqdm import tqdm

    from . import libraries, machine, steps, table

    against = libraries.load(args.against)
    threads = libraries.set_threads(args.threads, against)
    networks = [replace(each, batch=args.batch or each.batch) for each in _networks(args.what, args.only)]
    here = machine.inspect(libraries.versions(against))
    print("\n".join(here.lines()) + "\n", flush=True)
    layout = steps.table(args.what)
    print(f"{layout.head()}\n{layout.rule()}", flush=True)
    wanted = steps.forms(args.against, args.what, compiled=args.compile)
    results = []
    with tqdm(networks, unit="network", leave=False, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
        for network in bar:
            bar.set_description(network.name)
            result = steps.run(network, wanted, mode=args.what, threads=threads, seconds=args.seconds)
            results.append(result)
            tqdm.write(layout.line(steps.cells(result, here, args.what)), file=sys.stdout)
            for failure in result.failures.values():
                tqdm.write(f"  not measured: {failure}", file=sys.stdout)
            sys.stdout.flush()
    means = steps.means(results)
    sentences = [f"geometric mean of {name.replace('_', ' ')}: {mean:.2f}" for name, mean in means.items() if mean]
    print("\n" + "\n".join(sentences))
    if args.json:
        report = {"benchmark": args.what, "machine": here.to_dict(), "means": means}
        table.write_json(args.json, {**report, "networks": [each.to_dict(here) for each in results]})
    if args.markdown:
        content = layout.markdown(steps.cells(each, here, args.what) for each in results)
        table.write_markdown(args.markdown, [*here.lines(), *sentences], [(args.what, content)])
    return 1 if any(each.failures for each in results) else 0


def _run_roofline(args: argparse.Namespace) -> int:
    """`roofline`: a profile of training steps in this process."""
    from . import libraries, machine, roofline, table

    libraries.set_threads(args.threads, {})
    network = _networks("train", args.only)[0]
    here, peaks = machine.inspect({}), machine.peaks()
    print("\n".join(here.lines()) + "\n", flush=True)
    measured = roofline.measure(network, args.seconds)
    line = measured.roofline(peaks)
    layout, cells = roofline.table(line)
    print(f"{network.name}, quickest call of each layer and pass")
    print("\n".join([layout.head(), layout.rule(), *map(layout.line, cells)]))
    if args.json:
        report = {"benchmark": "roofline", "network": network.name, "machine": here.to_dict()}
        table.write_json(args.json, {**report, "profile": measured.to_dict(), "roofline": line.to_dict()})
    if args.markdown:
        table.write_markdown(args.markdown, here.lines(), [(network.name, layout.markdown(cells))])
    if args.plot:
        line.plot(args.plot)
    return 0


def _networks(what: str, pattern: str | None) -> list[Any]:
    """The networks of a command whose names contain the pattern."""
    import re

    from .networks import INFERENCE, TRAINING

    networks = INFERENCE if what == "infer" else TRAINING
    try:
        found = [each for each in networks if re.search(pattern or "", each.name, re.IGNORECASE)]
    except re.error as error:
        raise ValueError(f"bench: --only expects a regular expression, got {pattern!r}: {error}") from None
    if not found:
        names = ", ".join(each.name for each in networks)
        raise ValueError(f"bench: --only {pattern!r} is found in no network; there are {names}")
    return found


def _chooser(libraries: Sequence[str]) -> Callable[[str], list[str]]:
    """The type of `--against`: some of these libraries, joined by commas."""

    def choose(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",")]
        unknown = [name for name in names if name not in libraries]
        if unknown:
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(libraries)}, got {text!r}")
        return list(dict.fromkeys(names))

    return choose


def _positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value
