"""`fastnn bench kernels`, and with other rows `optim` and `augment`: each row beside the other libraries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .case import Case, Contenders, difference
from .machine import Machine
from .table import Column, Table, geometric_mean, milliseconds, ratio, share
from .timer import Timing, measure

__all__ = ["Row", "markdown", "run", "run_case", "summarise", "summary_table", "table_of"]

TOLERANCE = 1e-3
"""Relative difference of results above which two contenders do not compute the same thing."""


@dataclass(frozen=True)
class Row:
    """What was measured of one case.

    Attributes:
        case: what was measured.
        timings: of each contender.
        rate: fastnn's work per second at its minimum, in the case's unit (10⁹ for GFLOP/s and GB/s).
        peak_share: that rate's share of the machine's peak, None for images.
        differences: relative distance of fastnn's result from each other contender's, where comparable.
    """

    case: Case
    timings: dict[str, Timing]
    rate: float
    peak_share: float | None
    differences: dict[str, float]

    @property
    def fastnn(self) -> Timing:
        """fastnn's timing."""
        return self.timings["fastnn"]

    @property
    def torch_form(self) -> str | None:
        """Name of PyTorch's best form, None if it was not measured."""
        forms = [name for name in self.timings if name.startswith("torch")]
        return min(forms, key=lambda name: self.timings[name].minimum) if forms else None

    def over_fastnn(self, name: str | None) -> float | None:
        """How many times as long as fastnn the contender `name` takes, None if it was not measured."""
        if name is None or name not in self.timings:
            return None
        return self.timings[name].minimum / self.fastnn.minimum

    def to_dict(self) -> dict[str, Any]:
        """As plain values, times in seconds."""
        return {
            "family": self.case.family,
            "name": self.case.name,
            "work": self.case.work,
            "unit": self.case.unit,
            "rate": self.rate,
            "peak_share": self.peak_share,
            "seconds": {name: timing.to_dict() for name, timing in self.timings.items()},
            "torch_form": self.torch_form,
            "torch_over_fastnn": self.over_fastnn(self.torch_form),
            "numpy_over_fastnn": self.over_fastnn("numpy"),
            "pillow_over_fastnn": self.over_fastnn("pillow"),
            "differences": self.differences,
        }


def run(
    cases: Sequence[Case],
    against: Mapping[str, Any],
    machine: Machine,
    seconds: float,
    show: Callable[[str], None] | None = None,
) -> list[Row]:
    """Measure all cases, printing a line for each and a bar of progress on a terminal.

    Args:
        cases: what to measure.
        against: the libraries to compare with, by name.
        machine: whose peaks the shares refer to.
        seconds: time to spend on each contender of each case.
        show: gets each line; by default they go to the standard output.
    """
    from tqdm import tqdm

    table = table_of(cases, pillow="pillow" in against)
    put = show or (lambda line: tqdm.write(line, file=sys.stdout))
    put(table.head())
    rows = []
    with tqdm(total=len(cases), unit="row", leave=False, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
        for case in cases:
            bar.set_description(case.family)
            row = run_case(case, against, machine, seconds)
            rows.append(row)
            put(table.line(_cells(row, pillow="pillow" in against)))
            for name, distance in row.differences.items():
                if not distance <= TOLERANCE:
                    put(f"  warning: the result differs from that of {name} by {distance:.1e}")
            bar.update()
    return rows


def run_case(case: Case, against: Mapping[str, Any], machine: Machine, seconds: float) -> Row:
    """Build the contenders of a case, time them and compare their results."""
    works = case.build(against)
    timed, results = dict(works), dict[str, Any]()
    if "numpy" in works:
        # The slow one: its result is that of a timed call.
        timed["numpy"] = lambda: results.update(numpy=works["numpy"]())
    timings = measure(timed, seconds, alone=("numpy", "pillow"))
    differences = _differences(works, results) if case.comparable else {}
    rate = case.work / timings["fastnn"].minimum
    if case.unit == "images/s":
        return Row(case, timings, rate, None, differences)
    rate /= 1e9
    peak = machine.gflops if case.unit == "GFLOP/s" else machine.copy_gb_per_second
    return Row(case, timings, rate, rate / peak if peak else None, differences)


def _differences(works: Contenders, results: Mapping[str, Any]) -> dict[str, float]:
    """How far fastnn's result is from the others', of which some are known."""
    ours = works["fastnn"]()
    others = {name: results[name] if name in results else work() for name, work in works.items() if name != "fastnn"}
    return {name: difference(ours, result) for name, result in others.items()}


def table_of(cases: Iterable[Case], *, pillow: bool = False) -> Table:
    """The table for these cases, with columns for Pillow if asked for."""
    width = max((len(case.label) for case in cases), default=4)
    return Table([
        Column("kernel", width, text=True),
        Column("ms", 7),
        Column("median", 7),
        Column("rate", 8),
        Column("unit", 8, text=True),
        Column("of peak", 7),
        Column("torch", 7),
        Column("form", 13, text=True),
        Column("torch/", 6),
        Column("numpy", 7),
        Column("numpy/", 6),
        *([Column("pillow", 7), Column("pillow/", 7)] if pillow else []),
    ])  # fmt: skip


def _cells(row: Row, *, pillow: bool = False) -> list[str]:
    form, rate = row.torch_form, row.rate
    return [
        row.case.label,
        milliseconds(row.fastnn.minimum),
        milliseconds(row.fastnn.median),
        f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}",
        row.case.unit,
        share(row.peak_share),
        milliseconds(row.timings[form].minimum if form else None),
        (form or "").removeprefix("torch").strip(),
        ratio(row.over_fastnn(form)),
        milliseconds(_minimum(row, "numpy")),
        ratio(row.over_fastnn("numpy")),
        *([milliseconds(_minimum(row, "pillow")), ratio(row.over_fastnn("pillow"))] if pillow else []),
    ]


def _minimum(row: Row, name: str) -> float | None:
    return row.timings[name].minimum if name in row.timings else None


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the ratios come to, for each family.

    Returns:
        For each family: rows; of torch/fastnn the geometric mean, the least and its row, and how many rows are below
        0.9 and 1; of numpy/fastnn the geometric mean and the least. None where nothing was compared.
    """
    result = []
    for family in dict.fromkeys(row.case.family for row in rows):
        own = [row for row in rows if row.case.family == family]
        torch = {row.case.name: r for row in own if (r := row.over_fastnn(row.torch_form)) is not None}
        numpy = [r for row in own if (r := row.over_fastnn("numpy")) is not None]
        worst = min(torch, key=torch.__getitem__) if torch else None
        result.append({
            "family": family,
            "rows": len(own),
            "torch_mean": geometric_mean(torch.values()),
            "torch_least": torch[worst] if worst is not None else None,
            "torch_least_row": worst,
            "below_0.9": sum(r < 0.9 for r in torch.values()),
            "below_1.0": sum(r < 1.0 for r in torch.values()),
            "numpy_mean": geometric_mean(numpy),
            "numpy_least": min(numpy, default=None),
        })  # fmt: skip
    return result


def summary_table(summary: Sequence[Mapping[str, Any]]) -> tuple[Table, list[list[str]]]:
    """The summary as a table, and its cells."""
    table = Table([
        Column("family", 11, text=True),
        Column("rows", 4),
        Column("torch/ mean", 11),
        Column("least", 6),
        Column("< 0.9", 5),
        Column("< 1.0", 5),
        Column("numpy/ mean", 11),
        Column("least", 6),
        Column("least of torch/ in", 36, text=True),
    ])  # fmt: skip
    cells = [
        [
            str(each["family"]),
            str(each["rows"]),
            ratio(each["torch_mean"]),
            ratio(each["torch_least"]),
            str(each["below_0.9"]),
            str(each["below_1.0"]),
            ratio(each["numpy_mean"]),
            ratio(each["numpy_least"]),
            each["torch_least_row"] or "",
        ]
        for each in summary
    ]
    return table, cells


def markdown(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Title and table of each family, the summary first."""
    table, cells = summary_table(summarise(rows))
    result = [("Summary", table.markdown(cells))]
    for family in dict.fromkeys(row.case.family for row in rows):
        own = [row for row in rows if row.case.family == family]
        pillow = any("pillow" in row.timings for row in own)
        layout = table_of([row.case for row in own], pillow=pillow)
        result.append((family, layout.markdown(_cells(row, pillow=pillow) for row in own)))
    return result
