"""The strided copy under padding, slicing and layout changes, and the strided sum, against NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import _C

SHAPES = [(), (1,), (7,), (40_000,), (3, 0, 2), (5, 1, 6), (4, 3, 33, 35), (2, 3, 4, 5, 6), (130, 70, 5)]


def strided(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Random values with gaps, turned dimensions and, at times, a negative step."""
    steps = [int(step) for step in rng.integers(1, 3, len(shape))]
    turned = rng.permutation(len(shape))
    sizes = [n * step for n, step in zip(shape, steps, strict=True)]
    whole = np.asarray(rng.standard_normal([sizes[axis] for axis in turned]), dtype).transpose(np.argsort(turned))
    key: Any = (*(slice(None, None, step) for step in steps), ...)
    part: np.ndarray = whole[key]
    return part[::-1] if shape and rng.random() < 0.5 else part


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_copies_are_numpys(shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(len(shape))
    threads = fastnn.get_num_threads()
    try:
        for attempt in range(12):
            x, y = strided(rng, shape, dtype), strided(rng, shape, dtype)
            assert x.shape == y.shape == shape
            fastnn.set_num_threads(1 + attempt % 2)
            _C.copyto(y, x)
            np.testing.assert_array_equal(y, x)
    finally:
        fastnn.set_num_threads(threads)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("level", fastnn.cpu.levels())
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_are_numpys(shape: tuple[int, ...], dtype: str, level: str) -> None:
    fastnn.cpu.set_level(level)
    rng = np.random.default_rng(len(shape))
    for attempt in range(12):
        x, y = strided(rng, shape, dtype), strided(rng, shape, dtype)
        y += np.ones((), dtype)  # integers drawn so are 0 almost everywhere
        before, expected = x.copy(), x + y
        fastnn.set_num_threads(1 + attempt % 2)
        _C.addto(y, x)
        np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("shape", [(5, 6), (130, 700)])
def test_one_row_is_added_to_every_row(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    y, row = rng.standard_normal(shape), rng.standard_normal(shape[1])
    expected = y + row
    _C.addto(y, np.broadcast_to(row, shape))
    np.testing.assert_array_equal(y, expected)


def test_sums_of_two_dtypes_are_left_to_numpy() -> None:
    y = np.ones((3, 4), np.float32)
    _C.addto(y[:, ::2], np.full((3, 2), 0.25))
    np.testing.assert_array_equal(y, np.tile(np.array([1.25, 1], np.float32), (3, 2)))


@pytest.mark.parametrize("call", [_C.copyto, _C.addto])
def test_what_lies_between_is_left_alone(call: Callable[..., None]) -> None:
    for step in [(2, 2), (2, 1), (1, 2), (-2, -2)]:
        rows, columns = (slice(None, None, each) for each in step)
        whole = np.full((60, 80), 7.0, np.float32)
        part = whole[rows, columns]
        call(part, np.full(part.shape, 2, np.float32))
        assert (part == (2 if call is _C.copyto else 9)).all()
        assert (whole == 7).sum() == whole.size - part.size


@pytest.mark.parametrize(("name", "call"), [("copyto", _C.copyto), ("addto", _C.addto)])
def test_errors(name: str, call: Callable[..., None]) -> None:
    y = np.zeros((2, 3), np.float32)
    for shape in ((3, 2), (2, 3, 1), (3,), (1, 3)):
        with pytest.raises(ValueError, match=f"{name}: expected arrays of one shape"):
            call(y, np.ones(shape, np.float32))
    assert not y.any()
    y.flags.writeable = False
    with pytest.raises(ValueError, match=f"{name}: expected y to be writeable"):
        call(y, np.ones((2, 3), np.float32))
    assert not y.any()


def test_a_single_number_can_be_padded_by_nothing() -> None:
    x = fastnn.tensor(3.0, requires_grad=True)
    F.pad(x, ()).backward()
    assert x.grad is not None
    assert x.grad.item() == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("layout", ["first", "last", "mixed", "strided"])
@pytest.mark.parametrize("axis", [0, 1, 3, -2])
def test_large_tensors_are_joined_as_numpy_joins_them(dtype: type, layout: str, axis: int) -> None:
    """Values, dtype, and the order in memory where the tensors have one; gradients are the pieces."""
    parts = []
    for i, length in enumerate((5, 1, 9)):
        shape = [8, 24, 20, 22]
        shape[axis] = length
        part: np.ndarray = np.random.default_rng(i).integers(0, 100, shape).astype(dtype)
        if layout == "last" or (layout == "mixed" and i):
            part = np.ascontiguousarray(part.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        if layout == "strided":
            spread: np.ndarray = np.zeros([2 * size for size in shape], dtype)
            spread[::2, ::2, ::2, ::2] = part
            part = spread[::2, ::2, ::2, ::2]
        parts.append(part)
    expected = np.concatenate(parts, axis)
    tensors = [fastnn.Tensor(part, requires_grad=dtype is not np.int64) for part in parts]
    y = fastnn.cat(tensors, axis)
    np.testing.assert_array_equal(y.data, expected, strict=True)
    if layout in ("first", "last"):
        assert y.data.strides == expected.strides
    if dtype is not np.int64:
        (y * fastnn.Tensor(expected)).sum().backward()
        for tensor, part in zip(tensors, parts, strict=True):
            assert tensor.grad is not None
            np.testing.assert_array_equal(tensor.grad.data, part)


def test_large_tensors_that_do_not_fit_are_not_joined() -> None:
    with pytest.raises(ValueError, match=r"cat: shapes .* differ in another dimension than 0"):
        fastnn.cat([fastnn.zeros(100, 400), fastnn.zeros(100, 401)], 0)
