"""The examples in the docstrings run, and every public function has a docstring."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import FunctionType, ModuleType

import numpy as np
import pytest

import fastnn
from fastnn.autograd import OPS

_MODULES = [
    module.name
    for module in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    if not module.name.endswith("__main__") and module.name != "fastnn._C"
]


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error.name, str) and error.name.split(".")[0] == "fastnn":
            raise
        pytest.skip(f"needs {error.name}")


@pytest.mark.parametrize("name", _MODULES)
def test_examples(name: str) -> None:
    module = _module(name)
    known = {"fastnn": fastnn, "np": np, **vars(module)}
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    tests = finder.find(module, module.__name__, globs=known)
    tests += [
        test
        for operation in OPS.values()
        if operation.__module__ == name
        for test in finder.find(operation, f"{name}.{operation.__name__}", globs=known, module=False)
    ]
    report: list[str] = []
    for test in tests:
        runner.run(test, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


@pytest.mark.parametrize("name", _MODULES)
def test_public_functions_and_classes_are_documented(name: str) -> None:
    module = _module(name)
    assert module.__doc__
    for key, value in vars(module).items():
        public = not key.startswith("_") and isinstance(value, FunctionType | type) and value.__module__ == name
        assert not public or value.__doc__, key
