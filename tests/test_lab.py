"""The lecture lab: every script, in its quick form, bears its claims out and draws its picture."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.process import ROOT

FOLDER = ROOT / "examples" / "lab"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.name not in ("__main__.py", "figure.py"))
DOCUMENT = (ROOT / "docs" / "lab.md").read_text()


@pytest.fixture
def _path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scripts find `figure` beside them, as they do when they are run."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    sys.modules.pop("figure", None)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"lab_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("_path")
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_claims_hold_and_the_picture_is_drawn(name: str, tmp_path: Path) -> None:
    module = load(name)
    assert "ecture" in (module.__doc__ or ""), "the docstring names the lecture"
    found = module.measure(True)
    claims = found.claims()
    assert claims
    assert [sentence for sentence, holds in claims.items() if not holds] == []
    assert {type(holds) for holds in claims.values()} <= {bool, np.bool_}
    found.plot(tmp_path / "picture.png")
    picture = (tmp_path / "picture.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(picture) > 10_000
    json.loads(found.to_json())


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_documented_with_its_picture(name: str) -> None:
    assert f"](../examples/lab/{name}.py)" in DOCUMENT
    assert f"](pictures/lab/{name}.png)" in DOCUMENT
    assert (ROOT / "docs" / "pictures" / "lab" / f"{name}.png").exists()


def script(tmp_path: Path, claim: bool, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A script with one claim, run."""
    path = tmp_path / "small.py"
    path.write_text(
        f"""
import sys
sys.path.insert(0, {str(FOLDER)!r})
from dataclasses import dataclass
from figure import Finding, main

@dataclass(frozen=True)
class Found(Finding):
    value: int
    def claims(self):
        return {{f"it is {{self.value}}": {claim}}}
    def draw(self, figure):
        figure.subplots().plot([0, self.value])

def measure(quick=False):
    return Found(1 if quick else 2)

main(measure)
"""
    )
    command = [sys.executable, str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, timeout=120)


def test_a_script_writes_its_picture_and_its_numbers(tmp_path: Path) -> None:
    picture, numbers = tmp_path / "a.png", tmp_path / "a.json"
    done = script(tmp_path, True, "--out", str(picture), "--json", str(numbers))
    assert (done.returncode, done.stdout) == (0, "holds  it is 2\n"), done.stderr
    assert json.loads(numbers.read_text()) == {"claims": {"it is 2": True}, "found": {"value": 2}}
    assert picture.exists()


def test_a_claim_that_does_not_hold_fails_the_script(tmp_path: Path) -> None:
    done = script(tmp_path, False, "--quick", "--out", str(tmp_path / "a.png"))
    assert (done.returncode, done.stdout) == (1, "FAILS  it is 1\n"), done.stderr


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    done = script(tmp_path, True, "--out", str(tmp_path / "no" / "a.png"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(f"there is no folder {tmp_path / 'no'}")


def test_the_runner_knows_its_scripts(tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER), "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, timeout=120)
    assert done.returncode == 2
    assert "there is no script nothing; there are " in done.stderr
    command = [sys.executable, str(FOLDER), "zigzag", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "zigzag.png").exists()
    assert "1 of 1 scripts" in done.stdout
