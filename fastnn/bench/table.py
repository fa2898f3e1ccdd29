"""Tables: columns of text on the terminal, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log
from pathlib import Path

from ..serialization import write_file
from ..train.files import json_text

__all__ = ["Column", "Table", "geometric_mean", "milliseconds", "ratio", "share", "write_json", "write_markdown"]


@dataclass(frozen=True)
class Column:
    """The head of a column, its width, and whether it holds text, which stands at the left."""

    head: str
    width: int
    text: bool = False


class Table:
    """Rows of cells under heads, to be printed one by one.

    Args:
        columns: the columns.

    Example:
        >>> table = Table([Column("network", 10, text=True), Column("ms", 6)])
        >>> print(table.head())
        network         ms
        >>> print(table.line(["mlp", "1.25"]))
        mlp           1.25
        >>> print(table.markdown([["mlp", "1.25"]]))
        | network | ms |
        |:---|---:|
        | mlp | 1.25 |
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)

    def head(self) -> str:
        """The line of heads."""
        return self.line([column.head for column in self.columns])

    def rule(self) -> str:
        """A line as long as the others."""
        return "-" * (sum(column.width for column in self.columns) + 2 * (len(self.columns) - 1))

    def line(self, cells: Sequence[str]) -> str:
        """A row."""
        padded = [
            cell.ljust(column.width) if column.text else cell.rjust(column.width)
            for cell, column in zip(cells, self.columns, strict=True)
        ]
        return "  ".join(padded).rstrip()

    def markdown(self, rows: Iterable[Sequence[str]]) -> str:
        """The whole table for a document."""
        heads = "| " + " | ".join(column.head for column in self.columns) + " |"
        marks = "|" + "|".join(":---" if column.text else "---:" for column in self.columns) + "|"
        return "\n".join([heads, marks, *("| " + " | ".join(row) + " |" for row in rows)])


def milliseconds(seconds: float | None) -> str:
    """A time with three digits that count; "-" for None.

    Example:
        >>> milliseconds(0.0123456), milliseconds(1.5e-6), milliseconds(None)
        ('12.3', '0.0015', '-')
    """
    if seconds is None:
        return "-"
    value = seconds * 1e3
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{decimals}f}"


def ratio(value: float | None) -> str:
    """How many times as quick; "-" for None."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def share(value: float | None) -> str:
    """A part of the peak in percent; "-" for None."""
    return "-" if value is None else f"{100 * value:.0f} %"


def geometric_mean(values: Iterable[float]) -> float | None:
    """The geometric mean, None of nothing."""
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs)) if logs else None


def write_json(path: str, value: object) -> None:
    """Write `value` as indented JSON in one step, so that an interruption leaves no half of a file."""
    write_file(Path(path), (json_text(value, indent=2) + "\n").encode())


def write_markdown(path: str, header: Sequence[str], tables: Sequence[tuple[str, str]]) -> None:
    """Write a document: the header as a list, then each table under its title."""
    parts = ["\n".join(f"- {line}" for line in header)]
    parts += [f"### {title}\n\n{table}" for title, table in tables]
    write_file(Path(path), ("\n\n".join(parts) + "\n").encode())
