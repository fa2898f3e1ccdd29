"""Learning curves of one training or of several, in one picture: loss, accuracy, gap and learning rate over epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..report import Report
from ..report.style import color, literal

__all__ = ["RunCurves", "TrainingCurves"]

_PARTS = (("train", "--", 1.1), ("test", "-", 1.8))
"""How the curve of each part is drawn; its colour is the run's."""
_LONGEST_NAME = 32


@dataclass(frozen=True)
class RunCurves:
    """The curves of one training.

    Attributes:
        name: of the training.
        epochs: where each record was made, in epochs; the last one may have been a part of one.
        values: for each number that records have, such as "train_loss", its value after each epoch; NaN where the epoch
            has none, such as one without evaluation.
        rate_epochs: where in the training, in epochs, the learning rates were noted.
        rates: learning rates.
        momenta: momenta at the same places; empty where there are none.
        train_loss: what to call the training loss, if it is another one than the test loss.
        place: the run's place among others, which decides its colour.
    """

    name: str
    epochs: list[float]
    values: dict[str, list[float]]
    rate_epochs: list[float]
    rates: list[float]
    momenta: list[float]
    train_loss: str = "train"
    place: int = 0

    @classmethod
    def of(
        cls,
        history: Sequence[Mapping[str, Any]],
        trace: Mapping[str, Sequence[float]] | None = None,
        *,
        name: str = "",
        train_loss: str = "train",
        place: int = 0,
    ) -> RunCurves:
        """The curves of the records that `Trainer.history` or `metrics.jsonl` hold.

        Args:
            history: records of epochs.
            trace: "steps", "rates" and, where there are any, "momenta": the state of a `LearningRateMonitor`; by
                default the learning rates of the records.
            name: see `RunCurves`, as are the others.
        """
        names = dict.fromkeys(key for record in history for key, each in record.items() if _is_number(each))
        values = {
            name: [float(record[name]) if _is_number(record.get(name)) else math.nan for record in history]
            for name in names
            if name != "epoch"
        }
        per_epoch = history[0].get("step", 0) / history[0]["epoch"] if history else 0
        epochs = [record["step"] / per_epoch if per_epoch else float(record["epoch"]) for record in history]
        if trace and trace["steps"] and per_epoch:
            # The rate of a step holds from its beginning, the end of the one before it.
            where = [(step - 1) / per_epoch for step in trace["steps"]]
            rates, momenta = list(trace["rates"]), list(trace.get("momenta", ()))
        else:
            where, rates, momenta = list(epochs), values.get("lr", []), []
        if len(momenta) != len(rates):
            momenta = []
        return cls(name, epochs, values, where, rates, momenta, train_loss, place)

    def gap(self) -> list[float]:
        """Accuracy on the training images minus that on the test images, in points, after each epoch."""
        train, test = self.values.get("train_accuracy", []), self.values.get("test_accuracy", [])
        return [100 * (one - other) for one, other in zip(train, test, strict=False)]


@dataclass(frozen=True)
class TrainingCurves(Report):
    """Trainings in one picture: a colour each, the training part dashed and the test part solid.

    Attributes:
        runs: the trainings.
    """

    size: ClassVar[tuple[float, float]] = (12.0, 3.6)

    runs: list[RunCurves]

    def draw(self, figure: Any) -> None:
        """Loss, accuracy and learning rate side by side."""
        loss, accuracy, rate = figure.subplots(1, 3)
        self.draw_loss(loss)
        self.draw_accuracy(accuracy)
        self.draw_rates(rate)
        for axes in (loss, accuracy, rate):
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)

    def draw_loss(self, axes: Any, log: bool = False) -> None:
        """Loss after each epoch."""
        self._draw_parts(axes, "loss")
        axes.set(title="Loss", xlabel="epoch", ylabel="cross-entropy")
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(0, None)

    def draw_accuracy(self, axes: Any, log: bool = False) -> None:
        """Accuracy in per cent after each epoch, or the error on a logarithmic axis."""
        if log:
            self._draw_parts(axes, "accuracy", lambda share: 100 * (1 - share) or float("nan"))
            axes.set(title="Error", xlabel="epoch", ylabel="% wrong", yscale="log")
            return
        self._draw_parts(axes, "accuracy", lambda share: 100 * share)
        last = self.runs[0].values.get("test_accuracy") if len(self.runs) == 1 else None
        axes.set(
            title=f"Accuracy (test: {100 * last[-1]:.2f} %)" if last else "Accuracy", xlabel="epoch", ylabel="% right"
        )

    def draw_gap(self, axes: Any) -> None:
        """Accuracy on training images minus accuracy on test images."""
        for run in self.runs:
            if run.gap():
                axes.plot(*_known(run.epochs, run.gap()), color=color(run.place))
        axes.axhline(0, color="#888888", linewidth=0.8)
        axes.set(title="Gap: training minus test accuracy", xlabel="epoch", ylabel="points")
        _whole_epochs(axes, self.runs)

    def draw_rates(self, axes: Any, momentum: bool = False) -> None:
        """Learning rate over the training; if asked for and there is one, momentum dotted, on the right-hand axis."""
        for run in self.runs:
            axes.plot(run.rate_epochs, run.rates, color=color(run.place), linewidth=1.5)
        axes.set(title="Learning rate", xlabel="epoch", ylim=(0, None))
        _whole_epochs(axes, self.runs)
        if momentum and any(run.momenta for run in self.runs):
            axes.set_title("Learning rate, and momentum (dotted)")
            other = axes.twinx()
            for run in self.runs:
                if run.momenta:
                    other.plot(run.rate_epochs, run.momenta, color=color(run.place), linestyle=":", linewidth=1.5)
            other.set(ylabel="momentum", ylim=(0, 1.02))
            other.grid(False)

    def draw_over_time(self, axes: Any) -> None:
        """Test accuracy over the seconds of training steps."""
        for run in self.runs:
            seconds, total = [], 0.0
            for each in run.values.get("seconds", ()):
                total += each
                seconds.append(total)
            accuracy = [100 * each for each in run.values.get("test_accuracy", ())]
            if len(accuracy) == len(seconds):
                axes.plot(*_known(seconds, accuracy), ".-", color=color(run.place), label=self._name(run))
        axes.set(title="Test accuracy over training time", xlabel="seconds of training steps", ylabel="% right")
        if len(self.runs) > 1 and axes.lines:
            axes.legend(frameon=False)

    def _draw_parts(self, axes: Any, kind: str, scale: Any = lambda value: value) -> None:
        marker = "." if max((len(run.epochs) for run in self.runs), default=0) <= 40 else ""
        for run in self.runs:
            for part, style, width in _PARTS:
                values = [scale(value) for value in run.values.get(f"{part}_{kind}", ())]
                if not values:
                    continue
                label = run.train_loss if (part, kind) == ("train", "loss") else part
                if len(self.runs) > 1:
                    label = self._name(run) if part == "test" else ""
                look = {"color": color(run.place), "linestyle": style, "linewidth": width, "marker": marker}
                axes.plot(*_known(run.epochs, values), label=label or None, markersize=5, **look)
        _whole_epochs(axes, self.runs)
        handles, labels = axes.get_legend_handles_labels()
        if len(self.runs) > 1:
            handles += [axes.plot([], [], color="#888888", linestyle="--", linewidth=1.1)[0]]
            labels += ["dashed: training"]
        if handles:
            axes.legend(handles, labels, frameon=False)

    @staticmethod
    def _name(run: RunCurves) -> str:
        name = run.name if len(run.name) <= _LONGEST_NAME else run.name[: _LONGEST_NAME - 1] + "…"
        return literal(name).lstrip("_") or "?"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(places: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """The points that have a value, so that the line goes on across those that have none."""
    known = [(place, value) for place, value in zip(places, values, strict=True) if value == value]
    return [place for place, _ in known], [value for _, value in known]


def _whole_epochs(axes: Any, runs: Sequence[RunCurves]) -> None:
    """Marks at whole epochs, on the same stretch in every panel."""
    axes.xaxis.get_major_locator().set_params(integer=True)
    last = max((run.epochs[-1] for run in runs if run.epochs), default=1)
    axes.set_xlim(0, last + max(0.02 * last, 0.1))
