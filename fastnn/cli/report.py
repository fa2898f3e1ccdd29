"""`fastnn report RUN [RUN ...]`: one HTML page about a run, or about several beside each other."""

from __future__ import annotations

import argparse
from pathlib import Path

from .parser import count

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folders", nargs="+", metavar="RUN", help="folders of training runs; several are compared")
    parser.add_argument("--out", metavar="FILE", default="report.html", help="the page (default: report.html)")
    parser.add_argument("--json", metavar="FILE", help="also write everything as JSON")
    parser.add_argument("--data-dir", metavar="DIR", help="where the dataset's files are, if they were moved")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="what predicts (default: last)")
    parser.add_argument("--threads", type=count, metavar="N", help="threads of the kernels")


def run(args: argparse.Namespace) -> int:
    """Look at the runs and write the page.

    Raises:
        ValueError, OSError: if a run is missing or damaged, or a file cannot be written.
    """
    from ..cpu import set_num_threads
    from ..report import report_runs
    from ..serialization import write_file

    if args.threads is not None:
        set_num_threads(args.threads)
    for path in filter(None, (args.out, args.json)):
        if not Path(path).resolve().parent.is_dir() or Path(path).is_dir():
            raise ValueError(f"{path} cannot be written: it is a folder, or in a folder that does not exist")
    report = report_runs(args.folders, data_dir=args.data_dir, checkpoint=args.checkpoint)
    # Names of folders may hold what is no text; it is not worth losing the page for.
    page = report.to_html().encode(errors="replace")
    write_file(Path(args.out), page)
    if args.json is not None:
        write_file(Path(args.json), (report.to_json() + "\n").encode(errors="replace"))
    for each in report.runs:
        for section, why in each.missing.items():
            print(f"{each.name}: {section} left out: {why}")
    print(f"{args.out}: {len(report.runs)} run{'s' * (len(report.runs) > 1)}, {len(page) / 1000:,.0f} kB")
    return 0
