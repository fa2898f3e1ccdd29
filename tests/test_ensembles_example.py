"""`examples/ensembles.py`: on digits with a tiny network, its figures against the snapshots that it leaves."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import data
from fastnn.autograd import Tensor
from fastnn.train import predict
from tests.process import ROOT


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ensembles_example", ROOT / "examples" / "ensembles.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_its_figures_are_those_of_its_snapshots(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setting = script.Setting(
        "mlp", epochs=2, batch=200, lr=0.1, constant_epochs=1, constant_lr=0.05, decay=0.8, statistics=2
    )
    monkeypatch.setitem(script.SETTINGS, "digits", setting)
    out, docs = tmp_path / "out", tmp_path / "docs"
    (docs / "pictures").mkdir(parents=True)
    page = docs / "ensembles.md"
    page.write_text("before\n" + "old table\n".join(script.TABLE) + "after\n")
    script.main(["--dataset", "digits", "--out", str(out), "--seed", "1"])
    assert sorted(path.name for path in out.iterdir()) == ["cyclic-1", "cyclic-1-of-3.json", "setting.json"]
    script.main(["--dataset", "digits", "--out", str(out), "--docs", str(docs)])
    found = json.loads((out / "ensembles.json").read_text())
    assert page.read_text() == "before\n" + (out / "ensembles.md").read_text().join(script.TABLE) + "after\n"
    assert (docs / "pictures" / "ensembles.png").read_bytes().startswith(b"\x89PNG")

    test = data.Digits(train=False)
    train_images = data.Digits().images / 255
    x = ((test.images / 255 - train_images.mean()) / train_images.std()).astype(np.float32).transpose(0, 3, 1, 2)

    def probabilities(file: str) -> Any:
        model = fastnn.models.create("mlp", 10, 1, 8)
        model.load_state_dict(fastnn.load(out / file))
        z = predict(model, Tensor(x)).astype(np.float64)
        return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    def accuracy(p: Any) -> float:
        return float((p.argmax(axis=1) == test.labels).mean())

    for seed in (0, 1, 2):
        p = [probabilities(f"cyclic-{seed}/snapshot-000{cycle}.safetensors") for cycle in (1, 2, 3)]
        row = found["snapshots"][seed]
        assert row["members"] == [accuracy(each) for each in p]
        assert row["ensemble"] == accuracy(np.mean(p, axis=0))
        assert found["averages"][seed][1][0] == row["members"][0]
        assert found["views"][seed]["none"] == row["members"][0]
    gains = []
    for triple in ((3, 4, 5), (6, 7, 8), (9, 10, 11)):
        p = [probabilities(f"constant-{seed}/averaged.safetensors") for seed in triple]
        gains.append(accuracy(np.mean(p, axis=0)) - max(accuracy(each) for each in p))
        averages = [found["constant"][seed - 3][-1][1] for seed in triple]
        assert averages == pytest.approx([accuracy(each) for each in p])
    claim = found["claims"][0]
    assert claim["gains"] == pytest.approx(gains)
    shown = 100 * np.array(gains)
    assert f"{shown.mean():.2f} ± {shown.std(ddof=1):.2f}" in (out / "ensembles.md").read_text()

    # A second time nothing is trained or measured again.
    monkeypatch.setattr(script, "train", None)
    monkeypatch.setattr(script.Study, "accuracies", None)
    script.main(["--dataset", "digits", "--out", str(out)])
    assert json.loads((out / "ensembles.json").read_text()) == found
    with pytest.raises(SystemExit, match="holds results of other settings"):
        script.main(["--dataset", "digits", "--out", str(out), "--epochs", "1"])
