"""Several runs beside each other: settings that differ, and their predictions image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ..evaluation import PairedComparison, compare_predictions
from ..train.plots import softmax
from .predictions import Example, examples
from .run import RunReport

__all__ = ["Comparison", "Pair", "compare_runs"]

_SHOWN = 12


@dataclass(frozen=True)
class Pair:
    """Two runs on the same test images.

    Attributes:
        first, second: places of the runs.
        predictions: who is right where.
        only_first: images that the first alone gets right, as the second sees them, those it is surest of first.
        only_second: the other way round.
    """

    first: int
    second: int
    predictions: PairedComparison
    only_first: list[Example]
    only_second: list[Example]


@dataclass(frozen=True)
class Comparison:
    """What `compare_runs` found.

    Attributes:
        differing: the settings in which the runs differ, with each run's value.
        pairs: every two runs whose predictions are of the same images.
        missing: why others are not compared, in a line each.
    """

    differing: dict[str, list[Any]]
    pairs: list[Pair]
    missing: list[str]


def compare_runs(runs: Sequence[RunReport]) -> Comparison:
    """Compare every two runs.

    Args:
        runs: two or more.
    """
    names = dict.fromkeys(name for run in runs for name in run.settings)
    values = {name: [run.settings.get(name) for run in runs] for name in names}
    differing = {name: each for name, each in values.items() if any(value != each[0] for value in each)}
    pairs, missing = [], []
    for first, second in combinations(range(len(runs)), 2):
        made = _pair(runs, first, second)
        if isinstance(made, Pair):
            pairs.append(made)
        else:
            missing.append(made)
    return Comparison(differing, pairs, missing)


def _pair(runs: Sequence[RunReport], first: int, second: int) -> Pair | str:
    """Two runs compared, or why they are not."""
    one, other = runs[first], runs[second]
    for run in (one, other):
        if run.predictions is None:
            return f"{one.name} and {other.name}: there are no predictions of {run.name}"
    a, b, data = one.predictions, other.predictions, one.test_data
    assert a is not None
    assert b is not None
    assert data is not None
    if one.data["classes"] != other.data["classes"] or not np.array_equal(a.labels, b.labels):
        return f"{one.name} and {other.name}: their test images are not the same"
    right = a.predicted == a.labels, b.predicted == b.labels
    shown = []
    for better, worse in ((0, 1), (1, 0)):
        probabilities = softmax((a, b)[worse].scores)
        rows = np.flatnonzero(right[better] & ~right[worse])
        order = np.argsort(-probabilities[rows].max(axis=1), kind="stable")
        shown.append(examples(rows[order][:_SHOWN], data, probabilities))
    return Pair(first, second, compare_predictions(a.predicted, b.predicted, a.labels), *shown)
