"""The package as a whole: what importing it costs, what is documented, and the rules of the design."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import (
    _C,
    autograd,
    bench,
    cpu,
    data,
    diagnose,
    ensemble,
    evaluation,
    memory,
    models,
    nn,
    optim,
    preprocessing,
    profiler,
    random,
    recipes,
    reference,
    report,
    train,
    transfer,
    transforms,
)
from fastnn.optim import lr_scheduler
from tests.process import ROOT, python

PUBLIC = [
    fastnn, nn, F, nn.init, optim, lr_scheduler, data, transforms, train, transfer, models, models.zoo, autograd, cpu,
    memory, random, diagnose, ensemble, evaluation, bench, preprocessing, profiler, recipes, reference, report,
]  # fmt: skip
MODULES = sorted(
    info.name
    for info in pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    if info.name not in ("fastnn._C", "fastnn.__main__")
)


def sources(folder: str, *patterns: str) -> Iterator[tuple[str, str]]:
    """Path within the checkout, and text, of every file of the patterns under a folder."""
    for pattern in patterns:
        for path in sorted((ROOT / folder).rglob(pattern)):
            yield path.relative_to(ROOT).as_posix(), path.read_text()


def public_names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a module offers: `__all__`, or else what has no underscore and is no module."""
    names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
    for name in names:
        thing = getattr(module, name)
        if not inspect.ismodule(thing):
            yield f"{module.__name__}.{name}", thing


def imported(name: str) -> ModuleType:
    """A module of the package; skips the test where it serves a library that is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in ("torch", "onnxruntime"):
            pytest.skip(f"needs {error.name}")
        raise


# Importing


def test_importing_needs_numpy_and_the_standard_library_only() -> None:
    code = """
import sys
import numpy
before = set(sys.modules)
import fastnn
print(*{name.split(".")[0] for name in set(sys.modules) - before})
"""
    loaded = set(python(code).stdout.split()) - set(sys.stdlib_module_names) - {"fastnn", "numpy", "cython_runtime"}
    assert {name for name in loaded if not name.startswith("_cython_")} == set()


def test_submodules_are_there_without_importing_them() -> None:
    code = """
import sys, fastnn
assert "fastnn.nn" not in sys.modules and "fastnn.train" not in sys.modules
fastnn.nn.Linear, fastnn.optim.lr_scheduler.StepLR, fastnn.data.Digits, fastnn.save
assert {"nn", "optim", "data", "Tensor", "save"} <= set(dir(fastnn))
"""
    python(code)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fastnn' has no attribute 'no_such_name'"):
        fastnn.no_such_name  # noqa: B018


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported_first(module: str) -> None:
    """No module relies on another one having been imported before it."""
    if module.count(".") == 1:
        python(f"import {module}")
    else:
        imported(module)


def test_the_version_is_the_metadatas() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", fastnn.__version__)
    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{fastnn.__version__}]" in text


# Documentation


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_every_public_name_has_a_docstring(module: ModuleType) -> None:
    assert module.__doc__
    missing = []
    for name, thing in public_names(module):
        if inspect.isclass(thing):
            missing += [name] if not thing.__doc__ else []
            for key, member in vars(thing).items():
                function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                if not key.startswith("_") and callable(function) and not inspect.getdoc(getattr(thing, key)):
                    missing.append(f"{name}.{key}")
        elif inspect.isroutine(thing) and not inspect.getdoc(thing):
            missing.append(name)
    assert missing == []


STATES_WHAT_IT_COMPUTES = re.compile(
    r"^ *Shape:"  # a section
    r"|\([\w*., ]+\).*->|->.*\([\w*., ]+\)"  # shapes in the text
    r"|`[^`]*[-+*/<>^=|][^`]*`"  # a formula in the text
    r"|^ {4,}.*[^=!<>](=|←)[^=]"  # a formula on lines of its own
    r"|([Aa]s|[Ll]ike|of) `\w+|: `\w+` |^`\w+` (for|that|to)|^`\w+`\.",  # the same as another one
    re.MULTILINE,
)
COMPUTE_NOTHING = {
    nn.Module, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict, nn.Parameter, nn.Buffer,
    optim.Optimizer, transforms.Transform, transforms.from_description,
}  # fmt: skip


def test_what_computes_states_its_shapes_or_its_formula() -> None:
    """Functions, layers, losses, optimisers, schedules, transforms and definitions."""
    computing = [
        (name, thing)
        for module in (F, nn, optim, lr_scheduler, transforms, reference)
        for name, thing in public_names(module)
        if (inspect.isclass(thing) or inspect.isroutine(thing)) and thing not in COMPUTE_NOTHING
    ]
    not_computing = {f"fastnn.ops.{name}" for name in ("create", "create_random", "compare", "copy")}
    computing += [
        (name, thing)
        for name, thing in public_names(fastnn)
        if inspect.isfunction(thing)
        and thing.__module__.startswith("fastnn.ops")
        and thing.__module__ not in not_computing
    ]
    assert len(computing) > 250
    silent = [name for name, thing in computing if not STATES_WHAT_IT_COMPUTES.search(thing.__doc__ or "")]
    assert silent == []


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_docstrings_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"fastnn": fastnn, "np": np, "nn": nn, "F": F}
    found = imported(module)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(found, extraglobs=names):
        report: list[str] = []
        result = runner.run(test, out=report.append)
        assert result.failed == 0, "".join(report)


# Typing


def signature_in_stub(node: ast.FunctionDef) -> list[tuple[str, bool]]:
    """Names of the parameters, and whether they have defaults."""
    arguments = node.args.args
    first_default = len(arguments) - len(node.args.defaults)
    return [(each.arg, i >= first_default) for i, each in enumerate(arguments) if each.arg != "self"]


def test_the_stub_has_the_bindings_names_and_parameters() -> None:
    tree = ast.parse((ROOT / "fastnn" / "_C.pyi").read_text())
    stubs = {node.name: signature_in_stub(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    assigned = {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    binding = {name: thing for name, thing in vars(_C).items() if not name.startswith("_")}
    functions = {
        name: [(p.name, p.default is not p.empty) for p in inspect.signature(thing).parameters.values()]
        for name, thing in binding.items()
        if callable(thing) and not inspect.isclass(thing)
    }
    assert stubs == functions
    aliases = {"Reals", "Labels", "Ints", "Bytes", "Sizes", "Penalty", "Place"}
    assert (assigned - aliases) | classes == set(binding) - set(functions)


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "fastnn" / "py.typed").exists()


# The lists of kernels and entry points


def listed(path: str, macro: str) -> list[str]:
    names = re.findall(rf"^{macro}\((\w+)", (ROOT / path).read_text(), re.MULTILINE)
    assert len(names) == len(set(names)) > 20
    return names


def test_every_entry_point_has_a_binding() -> None:
    binding = "".join(text for _, text in sources("fastnn", "*.pxi", "*.pyx"))
    called = set(re.findall(r"= fnn_(\w+)\(", binding))
    assert set(listed("csrc/api.def", "FNN_API")) - called == set()


def test_every_kernel_is_called_by_a_driver() -> None:
    drivers = "".join(text for _, text in sources("csrc/ops", "*.h", "*.c"))
    used = set(re.findall(r"\bK->(\w+)", drivers))
    assert set(listed("csrc/kernels.def", "FNN_KERNEL")) - used == set()


def test_every_bfloat16_kernel_is_called_by_a_driver() -> None:
    drivers = "".join(text for _, text in sources("csrc/ops", "*.h"))
    kernels = re.findall(r"^FNN_BF16_KERNEL\((\w+)", (ROOT / "csrc" / "bf16.def").read_text(), re.MULTILINE)
    assert set(kernels) == set(re.findall(r"\bfnn_active_bf16->(\w+)\(", drivers))


# Rules of the design


def test_intrinsics_stay_in_simd() -> None:
    pattern = re.compile(r"\b_mm\d*_|\b__m(128|256|512)|<(imm|x86)intrin|arm_neon|\bv(ld|st|add|mul|fma)\d?q_")
    offenders = [
        path for path, text in sources("csrc", "*.h", "*.c", "*.def") if "/simd/" not in path and pattern.search(text)
    ]
    assert offenders == []


def test_openmp_stays_in_parallel() -> None:
    pattern = re.compile(r"#pragma omp|\bomp_\w+\(|<omp\.h>")
    found = [path for path, text in sources("csrc", "*.h", "*.c", "*.def") if pattern.search(text)]
    assert found == ["csrc/parallel.c"]
    assert not [
        path for path, text in sources("fastnn", "*.pyx", "*.pxi") if re.search(r"\bprange\b|cython\.parallel", text)
    ]


def test_kernels_neither_allocate_nor_print_nor_know_of_threads() -> None:
    pattern = re.compile(r"\b(malloc|calloc|realloc|free|fnn_alloc|fnn_free|printf|exit|abort|fnn_parallel\w*)\(")
    offenders = [path for path, text in sources("csrc/kernels", "*.h") if pattern.search(text)]
    assert offenders == []


def test_the_c_library_knows_nothing_of_python() -> None:
    assert not [
        path
        for path, text in sources("csrc", "*.h", "*.c", "*.def")
        if re.search(r"Python\.h|\bPy(Object|\w+\()", text)
    ]


def test_no_flag_ties_the_build_to_a_processor_or_breaks_ieee_arithmetic() -> None:
    build = [(ROOT / name).read_text() for name in ("setup.py", "Makefile", "pyproject.toml")]
    build += [text for _, text in sources("csrc", "*.h", "*.c")]
    flags = re.compile(r"-m(arch|tune)=native|-ffast-math|-Ofast|-ffinite-math|-funsafe-math|pragma GCC optimize")
    assert not any(flags.search(text) for text in build)


def imports(path: str, text: str) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, by its full name, and whether that happens when the file is imported."""
    package = path.removesuffix(".py").removesuffix("/__init__").split("/")
    if not path.endswith("/__init__.py"):
        package = package[:-1]
    tree = ast.parse(text)
    lazy = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef)
        or (isinstance(outer, ast.If) and "TYPE_CHECKING" in ast.unparse(outer.test))
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        at_once = id(node) not in lazy
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                known = (ROOT / inner.replace(".", "/")).is_dir() or (ROOT / (inner.replace(".", "/") + ".py")).exists()
                yield (inner if known or alias.name == "_C" else module), at_once


def python_sources() -> Iterator[tuple[str, str]]:
    return sources("fastnn", "*.py")


MAY_IMPORT_THE_BINDING = {
    "fastnn/backends.py", "fastnn/cpu.py", "fastnn/memory.py", "fastnn/random.py",
    "fastnn/data/gather.py", "fastnn/transforms/fused.py", "fastnn/transforms/pixels.py",
    "fastnn/inference/build.py", "fastnn/inference/compiled.py",
}  # fmt: skip


def test_only_ops_and_their_like_import_the_binding() -> None:
    importers = {
        path for path, text in python_sources() if any(name.startswith("fastnn._C") for name, _ in imports(path, text))
    }
    outside = {path for path in importers if not path.startswith(("fastnn/ops/", "fastnn/optim/", "fastnn/bench/"))}
    assert outside == MAY_IMPORT_THE_BINDING


ON_TOP = {"diagnose", "ensemble", "transfer", "evaluation", "profiler", "cli", "bench"}
FLOORS = {
    "autograd": {
        "ops", "nn", "optim", "data", "transforms", "inference", "train", "models", "diagnose", "cli", "bench",
    },
    "ops": {"nn", "optim", "data", "transforms", "inference", "train", "models", "diagnose", "cli", "bench"},
    "nn": {"optim", "data", "transforms", "inference", "train", "models", "diagnose", "cli", "bench"},
    "optim": {"ops", "nn", "data", "transforms", "inference", "train", "models", "diagnose", "cli", "bench"},
    "data": {"autograd", "nn", "optim", "inference", "train", "models", "diagnose", "cli", "bench"},
    "transforms": {"autograd", "nn", "optim", "data", "inference", "train", "models", "diagnose", "cli", "bench"},
    "preprocessing": {"nn", "optim", "data", "train", "models", "diagnose", "cli", "bench"},
    "models": {"optim", "data", "transforms", "inference", "train", "diagnose", "cli", "bench"},
    "inference": {"optim", "data", "transforms", "train", "models"},
    "train": {"cli", "bench"},
    "reference": {
        "autograd", "ops", "nn", "optim", "data", "transforms", "train", "models", "diagnose", "cli", "bench",
    },
}  # fmt: skip
"""What each package must not import when it is imported, beside what is on top: floors above it, and neighbours."""


@pytest.mark.parametrize("package", FLOORS)
def test_nothing_reaches_up(package: str) -> None:
    forbidden = {f"fastnn.{name}" for name in FLOORS[package] | ON_TOP}
    offenders = [
        f"{path} imports {name}"
        for path, text in sources(f"fastnn/{package}", "*.py")
        for name, at_once in imports(path, text)
        if at_once and ".".join(name.split(".")[:2]) in forbidden
    ]
    assert offenders == []


def test_no_module_is_called_utils() -> None:
    vague = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    assert not [path for path in ROOT.glob("fastnn/**/*.py") if path.stem in vague or path.parent.name in vague]


def test_nothing_is_unpickled_or_evaluated() -> None:
    """`data/batch_pickle.py` reads the instructions of a pickle itself; of the module it uses their numbers only."""
    forbidden = {"cPickle", "_pickle", "marshal", "shelve", "dill", "joblib"}
    for path, text in python_sources():
        modules = {name for name, _ in imports(path, text)}
        assert not modules & forbidden, path
        assert "pickle" not in modules or path == "fastnn/data/batch_pickle.py"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle":
                assert node.attr.isupper(), f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec", "__import__"), f"{path}:{node.lineno}"
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", f"{path}:{node.value.lineno}"
