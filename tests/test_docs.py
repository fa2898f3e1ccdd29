"""The documents: their examples run, and what they name exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import fastnn
from fastnn import cli
from tests.process import ROOT

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("fastnn/**/*.md")]
)
README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(text: str, language: str) -> list[str]:
    """The fenced code of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_readmes_example_runs_and_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = blocks(README, "python")
    assert examples
    monkeypatch.chdir(tmp_path)
    for example in examples:
        exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
    said = re.search(r"([\d.]+)% of 355 digits", capsys.readouterr().out)
    assert said is not None
    assert float(said[1]) > 95


def test_the_readmes_commands_exist() -> None:
    """Arguments and all; nothing is run."""
    commands = re.findall(r"^fastnn (.*?)(?: +#.*)?$", README, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        words = command.split()
        cli._parser(words[0]).parse_args(words)


def is_path(name: str) -> bool:
    """Whether inline code looks like a path of the project: one of its folders, or a file of a kind it has."""
    if re.search(r"[<>*{}\s]|\.\.\.|…", name):
        return False
    top = name.split("/")[0]
    known = {"csrc", "fastnn", "tests", "docs", "scripts", ".ci"}
    return (top in known and "/" in name) or bool(re.fullmatch(r"[\w/.]+\.(py|c|h|def|md|toml|pxi|pyx|pyi)", name))


def exists(name: str, document: str) -> bool:
    """Relative to the checkout, to the document, or to a folder that documents abbreviate; `path::test` counts too."""
    name = name.split("::")[0]
    folders = ("", "csrc", "csrc/ops", "fastnn", "fastnn/binding")
    places = [(ROOT / document).parent, *(ROOT / folder for folder in folders)]
    return any((place / name).exists() for place in places) or ("/" not in name and any(ROOT.glob(f"csrc/**/{name}")))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_in_the_documents_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    named = {name for name in re.findall(r"`([^`\n]+)`", prose) if is_path(name)}
    linked = {target.split("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target}
    assert sorted(name for name in named | linked - {""} if not exists(name, document)) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_in_the_documents_exist(document: str) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", (ROOT / document).read_text(), re.MULTILINE))
    assert named - TARGETS == set()


def test_the_makefile_explains_its_targets() -> None:
    explained = set(re.findall(r"echo 'make ([\w-]+)", (ROOT / "Makefile").read_text()))
    assert explained == TARGETS - {"help"}


def test_the_changelog_is_kept() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\] - (unreleased|\d{4}-\d{2}-\d{2})$", text, re.MULTILINE)
    assert versions
    assert versions[0][0] == fastnn.__version__
    kinds = set(re.findall(r"^### (\w+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_extras_that_errors_name_exist() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    named = {
        name
        for path in [*ROOT.glob("fastnn/**/*.py"), ROOT / "README.md"]
        for group in re.findall(r"(?:fastnn|'\.)\[([\w,]+)\]", path.read_text())
        for name in group.split(",")
    }
    assert named
    assert named <= extras
