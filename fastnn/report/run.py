"""One run, looked at from all sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ..train import Run, predict
from ..train.curves import RunCurves
from ..train.run import CHECKPOINTS, load_model
from .predictions import Predictions
from .record import RunRecord
from .training import Layers, Timing, examine_layers, measure_steps, recorded_phases

if TYPE_CHECKING:
    from ..data.catalogue import ImageDataset

__all__ = ["Checkpoint", "RunReport", "examine_run"]

Checkpoint = Literal["last", "best"]
_Found = TypeVar("_Found")
_KEPT_OUT: dict[str, Any] = {"json": False}


@dataclass(frozen=True)
class RunReport:
    """What `examine_run` found. What could not be had is None, and `missing` says why.

    Attributes:
        name: the run's, unlike that of any other in a report.
        folder: its folder.
        complete: whether it came to its end.
        version: the version of fastnn that began it.
        settings: all of them, by name.
        chosen: those that are not the dataset's defaults, with the defaults.
        data: what the network knows of the data.
        result: the summary of its folder; empty unless it is complete.
        curves: by epoch.
        phases: seconds by phase over the whole run; empty for runs that did not record them.
        predictions: on the test images.
        layers: on a batch of training images.
        timing: of a few steps.
        missing: what is not there, in a line each, by section.
        test_data: the test images.
    """

    name: str
    folder: str
    complete: bool
    version: str
    settings: dict[str, Any]
    chosen: dict[str, Any]
    data: dict[str, Any]
    result: dict[str, Any]
    history: list[dict[str, Any]]
    curves: RunCurves
    phases: dict[str, float]
    predictions: Predictions | None
    layers: Layers | None
    timing: Timing | None
    missing: dict[str, str]
    test_data: ImageDataset | None = field(default=None, metadata=_KEPT_OUT)


def examine_run(
    record: RunRecord, name: str, place: int = 0, data_dir: str | None = None, checkpoint: Checkpoint = "last"
) -> RunReport:
    """Look at a run: its records, and, where data and checkpoint are at hand, its network. Nothing is written.

    Args:
        record: what its folder says.
        name: what to call it.
        place: its place among the runs of a report.
        data_dir: where the data are, if they were moved.
        checkpoint: whose weights predict, "last" or "best".
    """
    missing: dict[str, str] = {}

    def attempt(section: str, make: Callable[[], _Found]) -> _Found | None:
        try:
            return make()
        except (OSError, ValueError, ImportError, ArithmeticError, MemoryError) as error:
            missing[section] = " ".join(str(error).split()) or type(error).__name__
            return None

    if not record.history:
        missing["curves"] = "the run has not finished an epoch"
    elif not record.complete:
        missing["result"] = (
            f"the run stopped, or is still going: {len(record.history)} of {record.config.epochs} epochs"
        )
    predictions, layers, timing, run = None, None, None, None
    if not (record.folder / CHECKPOINTS / checkpoint).exists():
        missing["data"] = f"there is no checkpoint {checkpoint!r}, hence no network to look at"
    else:
        run = attempt("data", lambda: Run.resume(record.folder, data_dir))
        if run is None:
            missing["data"] += "; --data-dir says where the data are"
    if run is not None:
        found = run
        highest = max((record.trace or {}).get("rates", ()), default=record.config.lr)
        predictions = attempt("predictions", lambda: _predictions(found, record.folder, checkpoint))
        layers = attempt("layers", lambda: examine_layers(found, highest))
        timing = attempt("timing", lambda: measure_steps(found))
    smoothing = record.config.label_smoothing
    return RunReport(
        name=name,
        folder=str(record.folder),
        complete=record.complete,
        version=record.version,
        settings=record.settings,
        chosen=record.chosen,
        data=asdict(record.facts),
        result=record.result,
        history=record.history,
        curves=RunCurves.of(
            record.history,
            record.trace,
            name=name,
            train_loss=f"train (label smoothing {smoothing:g})" if smoothing else "train",
            place=place,
        ),
        phases=recorded_phases(record.history),
        predictions=predictions,
        layers=layers,
        timing=timing,
        missing=missing,
        test_data=None if run is None else run.test_data,
    )


def _predictions(run: Run, folder: Path, checkpoint: Checkpoint) -> Predictions:
    scores = predict(load_model(folder, checkpoint)[0], run.test_loader)
    best, root = None, folder / CHECKPOINTS
    if (root / "best").exists():
        same = (root / "best").resolve() == (root / checkpoint).resolve()
        best = scores if same else predict(load_model(folder, "best")[0], run.test_loader)
    return Predictions.of(scores, run.test_data, checkpoint, best)
