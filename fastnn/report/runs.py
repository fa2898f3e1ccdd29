"""`report_runs`: what `fastnn report` looks at and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import __version__
from ..train.curves import TrainingCurves
from .base import Report
from .compare import Comparison, compare_runs
from .record import RunRecord, read_record
from .run import Checkpoint, RunReport, examine_run

__all__ = ["RunsReport", "report_runs"]


@dataclass(frozen=True)
class RunsReport(Report):
    """One run or several, as data, JSON and a page.

    Attributes:
        fastnn: the version that looked.
        runs: in the order given.
        comparison: of several; None for one.
    """

    size = TrainingCurves.size

    fastnn: str
    runs: list[RunReport]
    comparison: Comparison | None

    def draw(self, figure: Any) -> None:
        """The learning curves of all runs."""
        TrainingCurves([run.curves for run in self.runs]).draw(figure)

    def to_html(self) -> str:
        """One page that needs nothing else: pictures are in it, there are no scripts.

        Without matplotlib it has no figures, and says so.
        """
        from .page import page

        return page(self)


def report_runs(
    folders: Sequence[str | Path], *, data_dir: str | None = None, checkpoint: Checkpoint = "last"
) -> RunsReport:
    """Look at runs from all sides: curves, predictions, layers, time; and compare them, if they are several.

    Folders are only read. The networks predict all test images, and make a few training steps on copies.

    Args:
        folders: of runs, one or more.
        data_dir: where the data are, if they were moved.
        checkpoint: whose weights predict, "last" or "best".

    Raises:
        FileNotFoundError: if a folder holds no run.
        ValueError: without folders, or if settings or summary of a run are damaged.
    """
    if not folders:
        raise ValueError("report_runs: expected at least one folder of a run, got none")
    records = [read_record(folder) for folder in folders]
    names = _names(records)
    runs = [
        examine_run(record, name, place, data_dir, checkpoint)
        for place, (record, name) in enumerate(zip(records, names, strict=True))
    ]
    return RunsReport(__version__, runs, compare_runs(runs) if len(runs) > 1 else None)


def _names(records: Sequence[RunRecord]) -> list[str]:
    """The folders' names, with so many of the folders above them that no two are equal."""
    paths = [record.folder.resolve().parts for record in records]
    depth = 1
    while depth < max(map(len, paths)) and len({path[-depth:] for path in paths}) < len(set(paths)):
        depth += 1
    names = ["/".join(path[-depth:]) for path in paths]
    return [f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name for i, name in enumerate(names)]
