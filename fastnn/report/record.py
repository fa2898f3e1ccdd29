"""What the folder of a run says without its data: settings, epochs, learning rates, summary."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import recipes
from ..train.config import Config, DataFacts
from ..train.files import read_json
from ..train.run import CHECKPOINTS, CONFIG_FILE, METRICS_FILE, RESULT_FILE, read_config

__all__ = ["RunRecord", "read_record"]

_TRAINING_FILE = "training.json"
_PATHS = ("data_dir",)
"""Settings that say where things are, not what is done; they never count as chosen."""


@dataclass(frozen=True)
class RunRecord:
    """A run as its folder has it.

    Attributes:
        folder: of the run.
        config: its settings.
        facts: what its network knows of the data.
        version: the version of fastnn that began it.
        history: the records of its epochs; unreadable lines, such as one that a kill cut short, are left out.
        result: the summary; empty if the run did not come to its end.
        trace: learning rates by step, as the last checkpoint has them; None without one.
    """

    folder: Path
    config: Config
    facts: DataFacts
    version: str
    history: list[dict[str, Any]]
    result: dict[str, Any]
    trace: Mapping[str, Sequence[float]] | None

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return bool(self.result)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by name."""
        return asdict(self.config)

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that are not the recipe's, or without one the dataset's defaults, with those defaults."""
        name = self.config.recipe
        known = name is not None and name in recipes.names()
        default = recipes.find(str(name)).config() if known else Config.create(self.config.dataset)
        defaults = asdict(default) | {"recipe": name}
        found = self.settings
        return {key: defaults[key] for key in found if found[key] != defaults[key] and key not in _PATHS}


def read_record(folder: str | Path) -> RunRecord:
    """Read the folder of a run, as much of it as is there.

    Raises:
        FileNotFoundError: if the folder holds no run.
        ValueError: if its settings, or its summary, are damaged.
    """
    folder = Path(folder)
    config, facts = read_config(folder)
    version = str(read_json(folder / CONFIG_FILE).get("fastnn", "?"))
    result = read_json(folder / RESULT_FILE) if (folder / RESULT_FILE).is_file() else {}
    history = _read_lines(folder / METRICS_FILE)
    if result and math.ceil(result.get("epochs") or 0) != len(history):
        # A run that was resumed for more, or is under way again: its summary is that of another end.
        result = {}
    return RunRecord(folder, config, facts, version, history, result, _read_trace(folder / CHECKPOINTS / "last"))


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """The epochs of a metrics file, as far as they are whole and in order."""
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break
        if not isinstance(record, dict) or record.get("epoch") != len(found) + 1:
            break
        found.append(record)
    return found


def _read_trace(checkpoint: Path) -> Mapping[str, Sequence[float]] | None:
    """What the `LearningRateMonitor` of a run kept."""
    try:
        callbacks = read_json(checkpoint / _TRAINING_FILE)["training"]["callbacks"]
        trace = callbacks["LearningRateMonitor"]
        return trace if len(trace["steps"]) == len(trace["rates"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
