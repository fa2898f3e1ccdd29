"""docs/techniques.md: what it says to exist does, and its sections are complete."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import fastnn
from fastnn import diagnose, ensemble, evaluation, nn, optim, preprocessing, transfer
from fastnn.nn import functional
from tests.cases import cases
from tests.process import ROOT

TEXT = (ROOT / "docs" / "techniques.md").read_text()
HEADINGS = [
    "Tensor", "Autograd", "Interoperation", "Convolution", "Pooling", "Normalisation", "Activations", "Losses",
    "Datasets", "Loading", "Preprocessing", "Augmentation", "Test-time augmentation",
    "First order", "Second order", "Schedules", "Averaging", "Numerics",
    "Norm penalties", "Stochastic layers", "Noise robustness", "Soft labels", "Early stopping", "Ensembles",
    "Evaluation", "Initialisers", "Diagnosis", "Model summary", "Transfer",
    "Models", "Recipes",
]  # fmt: skip
"""One for each row of the mission's table, sections 1 to 6, and for what trains whole networks."""


class Row(NamedTuple):
    """One line of a table."""

    heading: str
    technique: str
    names: str
    tests: str
    source: str


def rows() -> list[Row]:
    """The lines of all tables, with the heading above them."""
    found, heading = [], ""
    for line in TEXT.splitlines():
        if line.startswith("### "):
            heading = line[4:].strip()
        elif line.startswith("| ") and not line.startswith("| technique"):
            found.append(Row(heading, *(cell.strip() for cell in line.strip().strip("|").split(" | "))))
    return found


ROWS = rows()


def code(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def resolve(name: str) -> Any:
    """The object of a public name: below `fastnn`, or below `F`, functional's usual name."""
    first, *rest = name.split(".")
    thing: Any = functional if first == "F" else fastnn if first == "fastnn" else getattr(fastnn, first)
    for part in rest:
        thing = getattr(thing, part)
    return thing


@functools.cache
def functions(path: str) -> set[str]:
    """The test functions of a file, without importing it: PyTorch may not be installed."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@functools.cache
def operations() -> set[str]:
    """The operations with a row of cases."""
    return {case.op for case in cases()}


def ids(row: Row) -> str:
    return f"{row.heading}: {row.technique}"


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_every_name_exists(row: Row) -> None:
    assert code(row.names)
    for entry in code(row.names):
        match = re.fullmatch(r"([\w.]+)(?:\((\w+)(?:=[^)]*)?\))?", entry)
        assert match is not None, entry
        thing = resolve(match[1])
        if match[2] is not None:
            assert match[2] in inspect.signature(thing).parameters, entry


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_every_test_exists(row: Row) -> None:
    assert code(row.tests)
    for entry in code(row.tests):
        match = re.fullmatch(r"(tests/[\w/]+\.py)::(\w+)(?:\[([\w, ]+)\])?", entry)
        assert match is not None, entry
        assert match[2] in functions(match[1]), entry
        if match[3] is not None:
            assert match[1] == "tests/test_ops.py"
            assert {name.strip() for name in match[3].split(",")} <= operations(), entry


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_every_row_has_a_source(row: Row) -> None:
    assert re.search(r"\w{4}", row.source)


def test_the_sections_are_complete() -> None:
    assert re.findall(r"^### (.+)$", TEXT, re.MULTILINE) == HEADINGS
    assert {row.heading for row in ROWS} == set(HEADINGS)
    names = [(row.heading, row.technique) for row in ROWS]
    assert len(names) == len(set(names))


def test_what_there_is_of_some_families_has_a_row() -> None:
    """Losses, optimisers, schedules, initialisers, preprocessing, and the functions that examine."""
    named = {id(resolve(entry.split("(")[0])) for row in ROWS for entry in code(row.names)}
    bases = {optim.Optimizer, optim.lr_scheduler.LRScheduler}
    families: list[tuple[Any, Callable[[str, Any], bool]]] = [
        (nn, lambda name, thing: name.endswith("Loss")),
        (nn.init, lambda name, thing: True),
        (optim, lambda name, thing: inspect.isclass(thing)),
        (optim.lr_scheduler, lambda name, thing: True),
        (preprocessing, lambda name, thing: True),
        (diagnose, lambda name, thing: inspect.isfunction(thing)),
        (evaluation, lambda name, thing: inspect.isfunction(thing)),
        (ensemble, lambda name, thing: inspect.isfunction(thing)),
        (transfer, lambda name, thing: inspect.isfunction(thing)),
    ]
    missing = [
        f"{module.__name__}.{name}"
        for module, belongs in families
        for name in module.__all__
        if belongs(name, getattr(module, name)) and getattr(module, name) not in bases
        if id(getattr(module, name)) not in named
    ]
    assert missing == []


def test_names_and_tests_that_do_not_exist_are_noticed() -> None:
    with pytest.raises(AttributeError):
        test_every_name_exists(Row("", "", "`nn.NoSuchLayer`", "", ""))
    with pytest.raises(AssertionError):
        test_every_name_exists(Row("", "", "`nn.Linear(no_such_option=1)`", "", ""))
    with pytest.raises(AssertionError):
        test_every_test_exists(Row("", "", "", "`tests/test_techniques.py::test_no_such_test`", ""))
    with pytest.raises(AssertionError):
        test_every_test_exists(Row("", "", "", "`tests/test_ops.py::test_values_and_gradients[no_such_op]`", ""))


def test_a_tensors_memory_has_the_buffer_protocol() -> None:
    x = fastnn.tensor([1.0, 2.0])
    view = memoryview(x.numpy())
    view[0] = 5.0
    assert x.tolist() == [5.0, 2.0]
    assert (view.format, view.shape) == ("f", (2,))
