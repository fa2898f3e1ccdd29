"""Gradients that are added where they belong: those of slices, and those of closures of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn.autograd import NOTHING, OPS, Array, Backward, Deferred, Tensor, grad, gradcheck, op, reusing
from fastnn.diagnose import trace_nonfinite
from tests.cases import normal

SHAPE = (3, 4, 5)
KEYS: list[Any] = [
    0, -1, np.int64(1), (1, 2, 3), (2, -1), ..., (), slice(None), slice(1, None), slice(2, 1), slice(None, None, -1),
    (slice(None), slice(None, None, -2)), (slice(None, None, 2), 1, slice(3, None, -1)), None, (None, 1, None),
    (..., -2), (..., None), (0, ..., slice(1, 4)), (slice(None), None, ..., None, slice(None, None, 3)),
    (slice(-2, None), slice(1, 3), slice(0, 5, 4)),
]  # fmt: skip

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "rows": lambda a: a,
    "turned": lambda a: np.ascontiguousarray(a.transpose(0, 2, 1)).transpose(0, 2, 1),
    "reversed": lambda a: np.asfortranarray(a),
    "gaps": lambda a: np.repeat(a, 2, 1)[:, ::2],
}


def whole(shape: tuple[int, ...], seed: int, dtype: Any = np.float64) -> Array:
    """Whole numbers, whose sums are the same in any order."""
    numbers: Array = np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)
    return numbers


class Sums:
    """A tensor in the middle of a graph, what is read of it, and what its gradient is by definition."""

    def __init__(self, layout: str = "rows", dtype: Any = np.float64, leaf: bool = False) -> None:
        self.x = Tensor(LAYOUTS[layout](whole(SHAPE, 0, dtype)), requires_grad=True)
        self.y = self.x if leaf else self.x * 1
        self.total = Tensor(np.zeros((), dtype))
        self.expected = np.zeros(SHAPE)
        self.count = 0

    def read(self, key: Any = ..., power: Any = None) -> None:
        """Add a part of y times random numbers to the total; of `power`'s dtype if given."""
        self.count += 1
        part = self.y[key] if key is not ... else self.y
        weights = whole(part.shape, self.count, power or self.y.dtype)
        self.total = self.total + (part * Tensor(weights)).sum()
        self.expected[key] += weights

    def check(self) -> None:
        self.total.backward()
        assert self.x.grad is not None
        assert self.x.grad.dtype == self.x.dtype
        np.testing.assert_array_equal(self.x.grad.data, self.expected)


@pytest.mark.parametrize("leaf", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_what_is_read_of_a_tensor_adds_up(key: Any, dtype: str, layout: str, leaf: bool) -> None:
    other = (slice(None, None, -1), slice(1, 3))
    orders: list[list[Any]] = [[key], [key, key], [key, other], [other, key], [key, ...], [..., key], [key, ..., other]]
    for order in orders:
        sums = Sums(layout, np.dtype(dtype), leaf)
        for each in order:
            sums.read(each)
        sums.check()


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_slices_of_slices(key: Any) -> None:
    sums = Sums()
    sums.y = (sums.x * 1)[::-1, ..., ::-1]
    whole_expected, sums.expected = sums.expected, sums.expected[::-1, ..., ::-1]
    sums.read(key)
    sums.read(key)
    sums.read()
    sums.expected = whole_expected
    sums.check()


def test_parts_of_another_dtype() -> None:
    for dtype, wider in ((np.float32, np.float64), (np.float64, np.float32)):
        for order in ([1, (..., 2), ...], [..., 1, (..., 2)], [1]):
            sums = Sums(dtype=dtype)
            for key in order:
                sums.read(key, wider)
                sums.read(key)
            sums.check()


def test_a_gradient_of_one_number_in_many_places() -> None:
    """A sum's gradient is one number that all elements share."""
    x = Tensor(np.ones((40, 50)), requires_grad=True)
    y = x * 1
    (y[1:].sum() * 2 + y[:, ::3].sum() + (y * 5).sum()).backward()
    expected = np.full((40, 50), 5.0)
    expected[1:] += 2
    expected[:, ::3] += 1
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, expected)


@pytest.mark.parametrize("dense", [True, False])
def test_hooks_see_the_complete_gradient(dense: bool) -> None:
    sums, seen = Sums(), list[Tensor]()
    handle = sums.y.register_hook(seen.append)
    sums.read(1)
    if dense:
        sums.read()
    sums.read((..., slice(2, None)))
    sums.total.backward(retain_graph=True)
    kept = seen[0].data.copy()
    np.testing.assert_array_equal(kept, sums.expected)
    sums.x.grad = None
    sums.check()
    np.testing.assert_array_equal(seen[0].data, kept)
    np.testing.assert_array_equal(seen[1].data, kept)
    handle.remove()


def test_hooks_on_slices_and_behind_them() -> None:
    x = Tensor(whole(SHAPE, 0), requires_grad=True)
    y = x * 1
    part = y[1]
    part.register_hook(lambda g: g * 10)
    y.register_hook(lambda g: g + 1)
    (part.sum() + y[0].sum() * 2).backward()
    expected = np.ones(SHAPE)
    expected[1] += 10
    expected[0] += 2
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, expected)


def test_gradients_asked_for_are_complete() -> None:
    sums = Sums()
    sums.read(1)
    sums.read((0, ..., slice(1, 3)))
    (only,) = grad(sums.total, sums.y, retain_graph=True)
    both = grad(sums.total, [sums.y, sums.x])
    for each in (only, *both):
        assert each is not None
        np.testing.assert_array_equal(each.data, sums.expected)


@pytest.mark.parametrize("dense", ["before", "after", "none"])
def test_slices_of_an_operation_with_several_outputs(dense: str) -> None:
    x = Tensor(whole((6, 5), 0), requires_grad=True)
    first, second, third = (x * 1).split(2)
    total = (second * Tensor(whole((2, 5), 1))).sum() if dense == "before" else Tensor(np.zeros(()))
    total = total + (second[:, ::2] * 7).sum() + (second[1] * 3).sum() + (third[-1, -1] * 2)
    if dense == "after":
        total = total + (second * Tensor(whole((2, 5), 1))).sum()
    total.backward()
    expected = np.zeros((6, 5))
    expected[2:4] = whole((2, 5), 1) * (dense != "none")
    expected[2:4, ::2] += 7
    expected[3] += 3
    expected[-1, -1] = 2
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, expected)
    assert first.grad_fn is third.grad_fn


def test_a_convolution_and_a_slice_of_one_output_among_several() -> None:
    rng = np.random.default_rng(0)
    w = Tensor(normal(rng, 3, 2, 3, 3))

    def function(x: Tensor) -> Tensor:
        a, b = (x * 1).split(2, 1)
        return F.conv2d(a, w, padding=1).sum(1) + a[:, 0] * 2 + (b * a)[:, 1] + a[:, 1, ::-1]

    assert gradcheck(function, Tensor(normal(rng, 2, 4, 5, 6), requires_grad=True))


def test_gradients_against_differences() -> None:
    rng = np.random.default_rng(0)
    w = Tensor(normal(rng, 4, 4, 3, 3))

    def block(x: Tensor) -> Tensor:
        y = x.tanh()
        z = F.conv2d(F.gelu(F.batch_norm(F.conv2d(y, w, stride=2, padding=1), None, None, training=True)), w, padding=1)
        return (
            F.batch_norm(z, None, None, training=True) + y[:, :, ::2, ::2] + y[:, :, ::-2, 1::2] * y[..., None, :1, 0]
        )

    assert gradcheck(block, Tensor(normal(rng, 2, 4, 4, 4), requires_grad=True))


@pytest.mark.usefixtures("restored")
def test_large_slices_are_the_same_on_any_number_of_threads() -> None:
    found = []
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        x = Tensor(normal(np.random.default_rng(0), 8, 16, 64, 64, dtype=np.float32), requires_grad=True)
        y = x * 1
        (y[:, :, ::2, ::2].exp().sum() + y[:, 1:, 3:].exp().sum() + y.exp().sum()).backward()
        assert x.grad is not None
        found.append(x.grad.data)
    expected = np.exp(x.data)
    count = np.ones_like(expected)
    count[:, :, ::2, ::2] += 1
    count[:, 1:, 3:] += 1
    np.testing.assert_allclose(found[0], expected * count, rtol=1e-5)
    np.testing.assert_array_equal(found[0], found[1])


def test_a_trace_sees_the_gradients_of_slices() -> None:
    x = Tensor(np.ones(4), requires_grad=True)
    with trace_nonfinite(raise_exception=False) as trace:
        x[1:3].backward(np.array([np.nan, 1]))
    entry = trace.report().recent[-1]
    assert (entry.operation, entry.direction, entry.shape, entry.nan) == ("getitem", "backward", (4,), 1)
    assert trace.report().origin is not None


# -- closures of one's own --------------------------------------------------------------------------------------------


class Tens(Deferred):
    """Ten in the first place, and what was asked of it."""

    __slots__ = ("asked",)

    def __init__(self, shape: tuple[int, ...], dtype: Any, asked: list[str]) -> None:
        super().__init__(shape, dtype)
        self.asked = asked

    def dense(self) -> Array:
        self.asked.append("dense")
        array: Array = np.zeros(self.shape, self.dtype)
        array.flat[0] = 10
        return array

    def add_to(self, total: Array) -> None:
        self.asked.append("add_to")
        total[0] += 10


def tens(asked: list[str], shape: tuple[int, ...] = (3,), dtype: Any = np.float64) -> Callable[[Tensor], Tensor]:
    @op
    def tenfold(x: Array) -> tuple[Array, Backward]:
        return x + 0, lambda dy, needs: (Tens(shape, np.dtype(dtype), asked),)

    del OPS["tenfold"]
    return tenfold


def test_deferred_gradients_are_asked_for_as_little_as_can_be() -> None:
    asked: list[str] = []
    f = tens(asked)

    def walk(program: Callable[[Tensor], Tensor], expected: list[float], steps: list[str], leaf: bool = False) -> None:
        asked.clear()
        x = Tensor(np.ones(3), requires_grad=True)
        program(x if leaf else x * 1).sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == expected
        assert asked == steps

    walk(f, [10, 0, 0], ["dense"])
    walk(lambda y: f(y) + y * 3, [13, 3, 3], ["add_to"])
    walk(lambda y: y * 3 + f(y), [13, 3, 3], ["add_to"])
    walk(lambda y: f(y) + f(y), [20, 0, 0], ["dense", "add_to"])
    walk(lambda y: f(y) + y + f(y), [21, 1, 1], ["add_to", "add_to"])  # the sum's own array: copied once
    walk(lambda y: f(y) + y * 3, [13, 3, 3], ["dense"], leaf=True)
    narrow = tens(asked, dtype=np.float32)
    walk(lambda y: narrow(y) + y * 3, [13, 3, 3], ["dense"])


def test_what_is_deferred_needs_no_memory_of_its_own() -> None:
    """It is added to the very array that another closure made."""
    made: list[int] = []

    @op
    def fresh(x: Array) -> tuple[Array, Backward]:
        def backward(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
            dx = dy * 2
            made.append(dx.ctypes.data)
            return (dx,)

        return x + 0, backward

    del OPS["fresh"]
    x = Tensor(np.ones(3), requires_grad=True)
    y = x * 1
    y.register_hook(lambda g: made.append(g.data.ctypes.data))
    (fresh(y) + tens([])(y)).sum().backward()
    assert len(set(made)) == 1 < len(made)
    assert x.grad is not None
    assert x.grad.tolist() == [12, 2, 2]


@pytest.mark.parametrize("leaf", [True, False])
@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 1)])
def test_gradients_of_the_wrong_shape_raise(shape: tuple[int, ...], leaf: bool) -> None:
    @op
    def wrong(x: Array) -> tuple[Array, Backward]:
        return x + 0, reusing(lambda dy, needs, reuse=NOTHING: (np.ones(shape),))

    del OPS["wrong"]
    for f, name in ((wrong, "wrong"), (tens([], shape), "tenfold")):
        x = Tensor(np.ones(3), requires_grad=True)
        with pytest.raises(
            RuntimeError, match=rf"backward of '{name}' returned a gradient of shape .* expected \(3,\)"
        ):
            f(x if leaf else x * 1).sum().backward()
