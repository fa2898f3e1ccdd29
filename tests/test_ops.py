"""Every operation against its definition: the rows of `tests/cases` crossed with dtypes, processors and threads."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.autograd import OPS
from fastnn.autograd.engine import Node
from tests.cases import Array, OpCase, cases

CASES = cases()
KERNELS = [case for case in CASES if case.kernel]
OTHER_LEVELS = [level for level in fastnn.cpu.levels() if level != fastnn.cpu.level()]


def _seeded(case: OpCase) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(case.name.encode()))


def _differentiable(case: OpCase, arrays: tuple[Any, ...]) -> tuple[int, ...]:
    if case.grads is not None:
        return case.grads
    return tuple(i for i, x in enumerate(arrays) if isinstance(x, np.ndarray) and x.dtype.kind == "f")


def _run(case: OpCase, arrays: tuple[Any, ...], options: Any, seed: int = 0) -> tuple[list[Any], list[Any], list[Any]]:
    """Outputs, gradients of the outputs (random), gradients of the inputs, all as arrays."""
    wanted = _differentiable(case, arrays)
    tensors = [fastnn.Tensor(x, i in wanted) if isinstance(x, np.ndarray) else x for i, x in enumerate(arrays)]
    result = (case.call or OPS[case.op])(*tensors, **options)
    outputs = list(result) if isinstance(result, tuple) else [result]
    rng = np.random.default_rng(seed)
    roots = [y for y in outputs if y.requires_grad]
    seeds = [rng.standard_normal(y.shape).astype(y.dtype) for y in roots]
    given = iter(seeds)
    dys = [next(given) if y.requires_grad else None for y in outputs]
    grads: list[Any] = [None] * len(arrays)
    if roots and wanted:
        found = fastnn.autograd.grad(roots, [tensors[i] for i in wanted], seeds, allow_unused=True)
        for i, g in zip(wanted, found, strict=True):
            grads[i] = np.zeros_like(arrays[i]) if g is None else g.data
    return [y.data for y in outputs], dys, grads


def _reference(case: OpCase, arrays: tuple[Any, ...], options: Any) -> list[Array]:
    wide = [x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in arrays]
    result = case.reference(*wide, **options)
    return [np.asarray(y) for y in (result if isinstance(result, tuple) else (result,))]


def _tolerance(case: OpCase, dtype: str) -> dict[str, Any]:
    if dtype == "float32":
        return {"rtol": case.rtol, "atol": case.atol}
    return {"rtol": max(1e-11, case.rtol * 1e-7), "atol": max(1e-11, case.atol * 1e-7)}


def _check(case: OpCase, dtype: str) -> None:
    """Values against the definition; gradients against its finite differences."""
    arrays, options = case.sample(_seeded(case), np.dtype(dtype))
    outputs, dys, grads = _run(case, arrays, options)
    expected = _reference(case, arrays, options)
    assert len(outputs) == len(expected)
    for y, right in zip(outputs, expected, strict=True):
        assert y.shape == right.shape
        assert y.dtype == dtype or y.dtype.kind != "f" or right.dtype.kind != "f"
        np.testing.assert_allclose(y, right, **_tolerance(case, dtype))
    for i in _differentiable(case, arrays):
        _check_gradient(case, dtype, arrays, options, dys, i, grads[i])


def _check_gradient(
    case: OpCase, dtype: str, arrays: tuple[Any, ...], options: Any, dys: list[Any], i: int, gradient: Array
) -> None:
    """Compare <dx, v> with the slope of <dy, reference> in a few random directions v."""
    assert gradient.shape == arrays[i].shape
    assert gradient.dtype == arrays[i].dtype
    rng, step = np.random.default_rng(i), 1e-6
    center = arrays[i].astype(np.float64)
    for _ in range(3):
        direction = rng.standard_normal(center.shape)
        moved = [
            _reference(case, (*arrays[:i], center + sign * step * direction, *arrays[i + 1 :]), options)
            for sign in (1, -1)
        ]
        slope = weight = 0.0
        for dy, up, down in zip(dys, *moved, strict=True):
            if dy is not None:
                terms = dy.astype(np.float64) * (up - down) / (2 * step)
                slope, weight = slope + terms.sum(), weight + np.abs(terms).sum()
        terms = gradient.astype(np.float64) * direction
        scale = max(weight, np.abs(terms).sum(), 1e-3)
        tolerance = case.grad_tol if dtype == "float32" else 1e-6
        assert abs(terms.sum() - slope) <= tolerance * scale, (i, terms.sum(), slope)


def _each(rows: list[OpCase]) -> Callable[[Any], Any]:
    return pytest.mark.parametrize("case", rows, ids=str)


@_each(CASES)
def test_values_and_gradients(case: OpCase) -> None:
    for dtype in case.dtypes:
        _check(case, dtype)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("level", OTHER_LEVELS)
@_each(KERNELS)
def test_on_every_level(case: OpCase, level: str) -> None:
    fastnn.cpu.set_level(level)
    for dtype in case.dtypes:
        _check(case, dtype)


@pytest.mark.usefixtures("restored")
@_each(KERNELS)
def test_same_bits_for_any_number_of_threads(case: OpCase) -> None:
    arrays, options = (case.large or case.sample)(_seeded(case), np.dtype(case.dtypes[0]))
    found = []
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        outputs, _, grads = _run(case, arrays, options)
        found.append([x.tobytes() for x in [*outputs, *grads] if x is not None])
    assert found[0] == found[1]


def _spread(x: Array) -> Array:
    """A read-only array with the elements of `x` in memory with gaps, backwards along its last dimension."""
    if x.ndim == 0:
        return x
    memory = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    view = memory[..., ::-2][..., : x.shape[-1]]
    view[...] = x
    memory.flags.writeable = view.flags.writeable = False
    return view


def _turned(x: Array) -> Array:
    """A read-only array with the elements of `x` channels-last in memory."""
    if x.ndim < 3:
        y = np.asfortranarray(x)
    else:
        y = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    y = y.view()
    y.flags.writeable = False
    return y


@_each(CASES)
def test_any_memory_layout_and_inputs_unchanged(case: OpCase) -> None:
    dtype = case.dtypes[0]
    arrays, options = case.sample(_seeded(case), np.dtype(dtype))
    before = [np.array(x) for x in arrays]
    outputs, _, grads = _run(case, arrays, options)
    for x, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(x, copy)
    for layout in (_spread, _turned):
        laid = tuple(layout(x) if isinstance(x, np.ndarray) else x for x in arrays)
        again, _, grads_again = _run(case, laid, options)
        for y, z in zip([*outputs, *grads], [*again, *grads_again], strict=True):
            if y is not None:
                scale = float(np.abs(y[np.isfinite(y)]).max(initial=0)) if y.dtype.kind == "f" else 0
                np.testing.assert_allclose(z, y, rtol=case.rtol, atol=case.atol + case.rtol * scale)


@_each([case for case in CASES if case.linear])
def test_adjoint_of_linear_operations(case: OpCase) -> None:
    arrays, options = case.sample(_seeded(case), np.dtype("float64"))
    outputs, dys, grads = _run(case, arrays, options)
    for i in case.linear:
        zeroed = (*arrays[:i], np.zeros_like(arrays[i]), *arrays[i + 1 :])
        origin, _, _ = _run(case, zeroed, options)
        forward = sum(
            float(np.vdot(y - y0, dy)) for y, y0, dy in zip(outputs, origin, dys, strict=True) if dy is not None
        )
        scale = float(np.abs(arrays[i] * grads[i]).sum()) + 1e-12
        assert abs(forward - float(np.vdot(arrays[i], grads[i]))) <= 1e-10 * scale


@_each([case for case in CASES if case.batch])
def test_empty_batch(case: OpCase) -> None:
    arrays, options = case.sample(_seeded(case), np.dtype(case.dtypes[0]))
    cut = tuple(x[:0] if i in case.batch else x for i, x in enumerate(arrays))
    full, _, _ = _run(case, arrays, options)
    outputs, _, grads = _run(case, cut, options)
    for y, whole in zip(outputs, full, strict=True):
        assert y.ndim == whole.ndim
    for i in _differentiable(case, cut):
        assert grads[i].shape == cut[i].shape
        assert not np.any(np.nan_to_num(grads[i]))


@_each(CASES)
def test_closure_holds_no_more_than_it_needs(case: OpCase) -> None:
    arrays, options = case.sample(_seeded(case), np.dtype(case.dtypes[0]))
    wanted = _differentiable(case, arrays)
    tensors = [fastnn.Tensor(x, i in wanted) if isinstance(x, np.ndarray) else x for i, x in enumerate(arrays)]
    result = (case.call or OPS[case.op])(*tensors, **options)
    outputs = result if isinstance(result, tuple) else (result,)
    allowed = sum(x.nbytes for x in (*arrays, *outputs) if hasattr(x, "nbytes")) * case.saved + 1024
    held: dict[int, int] = {}
    for y in outputs:
        if isinstance(y.grad_fn, Node):
            _collect(y.grad_fn.backward, held, set())
    assert sum(held.values()) <= allowed


def _collect(thing: Any, held: dict[int, int], seen: set[int]) -> None:
    """Note the bytes of the arrays that a closure holds, through tuples, dictionaries and closures it holds."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        owner = thing if thing.base is None or not isinstance(thing.base, np.ndarray) else thing.base
        held[id(owner)] = owner.nbytes
    elif isinstance(thing, tuple | list):
        for each in thing:
            _collect(each, held, seen)
    elif isinstance(thing, dict):
        for each in thing.values():
            _collect(each, held, seen)
    for cell in getattr(thing, "__closure__", None) or ():
        _collect(cell.cell_contents, held, seen)


def test_every_operation_has_a_row() -> None:
    assert {case.op for case in CASES} >= set(OPS)


def test_the_checks_notice_a_wrong_gradient() -> None:
    def doubled(x: fastnn.Tensor) -> fastnn.Tensor:
        return x.sin() + (x - x.detach())

    case = OpCase("wrong", "sin", lambda rng, dtype: ((rng.standard_normal(3).astype(dtype),), {}), np.sin, doubled)
    with pytest.raises(AssertionError):
        _check(case, "float32")


def test_no_row_is_named_twice() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
