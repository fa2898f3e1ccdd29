"""What runs that differ in their seeds have in common, and how far they spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["SEEDS_FILE", "over_seeds"]

SEEDS_FILE = "seeds.json"
_MEASURED = (
    "test_accuracy", "test_loss", "test_accuracy_views", "test_loss_views", "test_accuracy_unaveraged",
    "test_loss_unaveraged", "best_test_accuracy", "train_accuracy", "train_loss", "train_seconds", "wall_seconds",
    "images_per_second", "steps_per_second", "peak_memory_bytes",
)  # fmt: skip


def over_seeds(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The summary of runs that differ in their seeds.

    Args:
        results: what `Run.fit` returned for each.

    Returns:
        What all have in common; "seeds"; for every number in which they differ "mean", "sd", the standard deviation of
        the sample (None for one run), and "values"; the folders under "runs".
    """
    first = results[0]
    summary: dict[str, Any] = {"seeds": [result["seed"] for result in results]}
    for name, value in first.items():
        values: list[Any] = [result.get(name) for result in results]
        if name in _MEASURED and isinstance(value, int | float):
            spread = statistics.stdev(values) if len(values) > 1 else None
            summary[name] = {"mean": statistics.fmean(values), "sd": spread, "values": values}
        elif all(each == value for each in values) and name != "seed":
            summary[name] = value
    return summary | {"runs": [result["run"] for result in results]}
