"""examples/transfer.py: everything it does, on a few random images."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import data, models
from fastnn.models import zoo
from tests.process import ROOT


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module, with trainings of one epoch on random images."""
    spec = importlib.util.spec_from_file_location("transfer_example", ROOT / "examples" / "transfer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    rng = np.random.default_rng(0)

    def part(count: int) -> data.ArrayDataset:
        return data.ArrayDataset(rng.integers(0, 256, (3 * count, 32, 32, 3), np.uint8), np.arange(3 * count) % 3)

    tasks = [module.Task("similar", part(9), part(4), "standard"), module.Task("different", part(9), part(4), "crop")]
    monkeypatch.setattr(module, "tasks", lambda data_dir, known: tasks)
    monkeypatch.setattr(module, "RECIPES", {key: module.Recipe(1, 0.01, 3) for key in module.RECIPES})
    return module


def origin(module: Any) -> Any:
    state = models.create("resnet8", 2).state_dict()
    return module.Source("resnet8", state, ("cat", "dog"), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_the_four_cases(example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    found = example.compare(origin(example), "a network", "", {"little": 2, "much": 4}, seeds=2, tests=3)
    assert len(found.accuracies) == 12
    assert all(len(values) == 2 and 0 <= min(values) <= max(values) <= 1 for values in found.accuracies.values())
    mean, deviation = found.of("similar", "much", "scratch")
    values = 100 * np.array(found.accuracies["similar much scratch"])
    np.testing.assert_allclose([mean, deviation], [values.mean(), values.std(ddof=1)])
    assert json.loads(found.to_json())["images"] == {"little": 2, "much": 4}
    monkeypatch.setattr(example, "DOCS", tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "transfer.md").write_text((ROOT / "docs" / "transfer.md").read_text())
    for _ in range(2):
        example.document(found)
    text = (tmp_path / "transfer.md").read_text()
    assert text.count("| similar | 2 images a class |") == 1
    assert text.endswith((ROOT / "docs" / "transfer.md").read_text()[-200:])
    assert (tmp_path / "pictures" / "transfer.png").read_bytes().startswith(b"\x89PNG")


def test_draws_do_not_overlap_and_are_even(example: Any) -> None:
    digits = data.Digits()
    first, second = example.draw(digits, 20, 1), example.draw(digits, 30, 1, skip=20)
    assert np.bincount(first.labels).tolist() == [20] * 10
    assert np.bincount(second.labels).tolist() == [30] * 10
    pixels = {image.tobytes() for image in first.images}
    assert not pixels & {image.tobytes() for image in second.images}
    assert np.array_equal(example.draw(digits, 20, 1).images, first.images)
    assert not np.array_equal(example.draw(digits, 20, 2).images, first.images)


def test_networks_of_the_zoo(example: Any) -> None:
    found = example.source("digits")
    assert found.mean == zoo.card("digits").mean
    assert example.in_colour(np.ones((2, 28, 28, 1), np.uint8)).sum(axis=(1, 2, 3)).tolist() == [3 * 784] * 2
