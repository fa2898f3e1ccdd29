"""What an examination gives back: data that turns into JSON and draws itself. Plots need the extra `plot`."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..serialization import json_text, write_file

__all__ = ["Report", "new_figure", "save_figure"]


class Report(ABC):
    """Base class of results: a dataclass of numbers, strings and arrays that has a picture.

    A subclass is a dataclass and defines `draw`.

    Attributes:
        size: the picture's width and height in inches.
    """

    size: ClassVar[tuple[float, float]] = (6.4, 4.2)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; those that are dataclasses themselves as dicts.

        A field whose metadata say `{"json": False}` is left out: arrays that a picture needs and a reader does not.
        """
        return _fields(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """The fields as a JSON object, NaN and infinities as null.

        Args:
            path: also write it to this file, in one step.

        Raises:
            OSError: if the file cannot be written.
        """
        text = json_text(self.to_dict(), indent=2)
        if path is not None:
            write_file(Path(path), (text + "\n").encode())
        return text

    @abstractmethod
    def draw(self, figure: Any) -> None:
        """Draw on an empty matplotlib figure."""

    def plot(self, path: str | Path) -> None:
        """Draw as PNG.

        Raises:
            ImportError: without matplotlib.
            OSError: if the file cannot be written.
        """
        figure = new_figure(*self.size)
        self.draw(figure)
        save_figure(figure, path)


def _content(value: Any) -> Any:
    """A field's value with the dataclasses in it as dicts."""
    if isinstance(value, Report):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value)
    if isinstance(value, list | tuple):
        return [_content(each) for each in value]
    if isinstance(value, dict):
        return {key: _content(each) for key, each in value.items()}
    return value


def _fields(value: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, without those that JSON leaves out."""
    kept = [field.name for field in fields(value) if field.metadata.get("json", True)]
    return {name: _content(getattr(value, name)) for name in kept}


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib figure in inches, without pyplot's global state.

    Raises:
        ImportError: without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("plots need matplotlib: pip install fastnn[plot]") from None
    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def save_figure(figure: Any, path: str | Path) -> None:
    """Write a figure as PNG, in one step.

    Raises:
        OSError: if the file cannot be written.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_file(Path(path), picture.getvalue())
