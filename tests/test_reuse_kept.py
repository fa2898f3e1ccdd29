"""Gradients that others see, kept by hooks' users, operations or callers, are not written to; others may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn.autograd import ADDED, NOTHING, OPS, Array, Backward, Reuse, Tensor, op, reusing
from tests.cases import channels_last, normal


def normed(c: Tensor) -> Tensor:
    return F.batch_norm(c, None, None, None, None, True)


IMAGES = (2, 4, 5, 6)


@pytest.mark.parametrize(
    "wrap", [lambda a: a, Tensor, channels_last, lambda a: Tensor(channels_last(a)), lambda a: channels_last(a)[:]]
)
@pytest.mark.parametrize("head", [normed, lambda c: F.relu(normed(c)), lambda c: F.gelu(normed(c)), lambda c: c + 1])
def test_the_gradient_given_to_backward_stays(head: Callable[[Tensor], Tensor], wrap: Callable[[Array], Any]) -> None:
    rng = np.random.default_rng(0)
    x = Tensor(channels_last(normal(rng, *IMAGES)), requires_grad=True)
    given = wrap(normal(rng, *IMAGES))
    before = np.array(given)
    for c in (x * 1.0, x * 2.0):
        head(c).backward(given)
        np.testing.assert_array_equal(np.asarray(given), before)
    one, other = head(x * 1.0), head(x * 3.0)
    fastnn.autograd.backward([one, other], [given, given])
    np.testing.assert_array_equal(np.asarray(given), before)


def kept_by(make: Callable[[Array], Any], seen: list[Any]) -> Callable[[Tensor], Tensor]:
    """The identity, whose closure returns 2 dy as `make` lays it out, and keeps that or what it is a view of."""

    @op
    def keeping(x: Array) -> tuple[Array, Backward]:
        def backward(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
            result, kept = make(channels_last(2 * dy))
            seen.append((kept, np.array(kept)))
            return (result,)

        return x + 0, backward

    del OPS["keeping"]
    return keeping


def _same(a: Array) -> Any:
    return a, a


def _view(a: Array) -> Any:
    return a[:], a


def _part_of_more(a: Array) -> Any:
    whole: Array = np.zeros((a.shape[0] + 2, *a.shape[2:], a.shape[1]))
    part = whole[1:-1].transpose(0, 3, 1, 2)
    part[...] = a
    return part, whole[:2]


def _borrowed(a: Array) -> Any:
    memory = bytearray(a.transpose(0, 2, 3, 1).tobytes())
    n, c, h, w = a.shape
    return np.frombuffer(memory).reshape(n, h, w, c).transpose(0, 3, 1, 2), memory


def _fixed(a: Array) -> Any:
    a.flags.writeable = False
    return a, a.copy()


@pytest.mark.parametrize("make", [_same, _view, _part_of_more, _borrowed, _fixed])
@pytest.mark.parametrize("around", [lambda y: y, lambda y: y + y * 2, lambda y: y[:, 1:3].sum() + y, lambda y: (y, y)])
def test_what_an_operation_keeps_stays(make: Callable[[Array], Any], around: Callable[[Tensor], Any]) -> None:
    gradients = []
    for each in (make, lambda a: (a, None)):
        rng, seen = np.random.default_rng(0), list[Any]()
        x = Tensor(channels_last(normal(rng, *IMAGES)), requires_grad=True)
        w, dy, keeping = Tensor(normal(rng, 4, 4, 3, 3)), Tensor(normal(rng, *IMAGES)), kept_by(each, seen)
        results = around(normed(F.conv2d(x, w, padding=1)))
        total = Tensor(np.zeros(()))
        for result in results if isinstance(results, tuple) else (results,):
            total = total + (keeping(result) * dy).sum()
        total.backward()
        assert seen
        for kept, then in seen:
            np.testing.assert_array_equal(np.array(kept), then)
        assert x.grad is not None
        gradients.append(x.grad.data)
    np.testing.assert_array_equal(gradients[0], gradients[1])


@pytest.mark.parametrize("make", [_same, _view, _part_of_more, _borrowed, _fixed])
def test_what_is_kept_where_a_convolution_could_add_stays(make: Callable[[Array], Any]) -> None:
    rng, seen = np.random.default_rng(0), list[Any]()
    x, w = Tensor(channels_last(normal(rng, *IMAGES)), requires_grad=True), Tensor(normal(rng, 4, 4, 3, 3))
    given = channels_last(normal(rng, *IMAGES))
    before = given.copy()
    y = x * 1.0
    z = F.conv2d(y, w, padding=1)
    fastnn.autograd.backward([z * 1.0, kept_by(make, seen)(y)], [given, given])
    (kept, then), found = seen[0], x.grad
    np.testing.assert_array_equal(np.array(kept), then)
    x.grad, y = None, x * 1.0
    fastnn.autograd.backward([F.conv2d(y, w, padding=1), y], [given, 2 * given])
    assert found is not None
    assert x.grad is not None
    np.testing.assert_array_equal(found.data, x.grad.data)
    y = x * 1.0
    fastnn.autograd.backward([F.conv2d(y, w, padding=1), y], [given, given])
    np.testing.assert_array_equal(given, before)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # NumPy's, of this function
@pytest.mark.parametrize("first", [True, False])
def test_elements_that_share_memory_are_not_added_to(first: bool) -> None:
    """NumPy's `broadcast_arrays` gives arrays that can be written to, though all their elements lie in one place."""

    @op
    def total(x: Array) -> tuple[Array, Backward]:
        zeros = np.zeros_like(x)
        return np.asarray(x.sum()), lambda dy, needs: (np.broadcast_arrays(dy * 1.0, zeros)[0],)

    del OPS["total"]
    slope = Tensor(np.arange(4.0))
    others: list[Callable[[Tensor], Tensor]] = [lambda y: (y * slope).sum(), lambda y: (y[1:3] * slope[1:3]).sum()]
    for further in others:
        x = Tensor(np.ones(4), requires_grad=True)
        y = x * 1.0
        (further(y) + total(y) if first else total(y) + further(y)).backward()
        assert x.grad is not None
        expected = Tensor(np.ones(4), requires_grad=True)
        (further(expected) + expected.sum()).backward()
        assert expected.grad is not None
        np.testing.assert_array_equal(x.grad.data, expected.grad.data)


def test_one_array_for_two_is_not_written_to() -> None:
    """The sum gives both addends one array; whichever comes first must leave it to the other."""
    rng = np.random.default_rng(0)
    dy, *images = (channels_last(normal(rng, *IMAGES)) for _ in range(3))

    def leaf_and_norm(image: Array) -> tuple[Tensor, Tensor]:
        x = Tensor(image, requires_grad=True)
        y = normed(x * 1.0)
        assert y.data is not None  # looked at: a node of its own
        return x, y

    alone = []
    for image in images:
        x, y = leaf_and_norm(image)
        (y * 1.0).backward(dy)
        assert x.grad is not None
        alone.append(x.grad.data)
    for order in (1, -1):
        (x, y), (u, v) = (leaf_and_norm(image) for image in images[::order])
        ((y + v) * 1.0).backward(dy)
        assert x.grad is not None
        assert u.grad is not None
        np.testing.assert_array_equal(x.grad.data, alone[::order][0])
        np.testing.assert_array_equal(u.grad.data, alone[::order][1])


# -- closures of one's own --------------------------------------------------------------------------------------------


def noting(notes: list[tuple[bool, bool]]) -> Callable[[Tensor], Tensor]:
    """The identity, whose closure triples the gradient in place if it may, and adds it to what has arrived."""

    @op
    def tripled(x: Array) -> tuple[Array, Backward]:
        @reusing
        def backward(dy: Array, needs: tuple[bool, ...], reuse: Reuse = NOTHING) -> Any:
            total = reuse.arrived(0)
            notes.append((reuse.owned, total is not None))
            dx = np.multiply(dy, 3, out=dy) if reuse.owned else 3 * dy
            if total is None:
                return (dx,)
            total += dx
            return (ADDED,)

        return x + 0, backward

    del OPS["tripled"]
    return tripled


def test_a_closure_is_told_what_is_its_own() -> None:
    notes: list[tuple[bool, bool]] = []
    tripled, kept = noting(notes), list[Tensor]()
    x = Tensor(np.arange(4.0), requires_grad=True)

    def walk(y: Tensor, expected: list[tuple[bool, bool]], slope: Any) -> None:
        notes.clear()
        x.grad = None
        y.backward(np.ones(y.shape))
        assert notes == expected
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.data, slope)

    walk(tripled(x), [(False, False)], 3)  # the caller's
    walk(tripled(x) * 2, [(True, False)], 6)
    walk(tripled(x * 1) * 2, [(True, False)], 6)
    walk(tripled(tripled(x)) * 2, [(True, False), (True, False)], 18)
    y = x * 1
    walk(tripled(y) * 2 + y * 5, [(True, True)], 11)
    y = x * 1
    walk(y * 5 + tripled(y) * 2, [(True, False)], 11)  # comes first
    y = x * 1
    walk(tripled(y) + tripled(y), [(False, False), (False, True)], 6)  # the caller's, which the sum passes on
    y = x * 1
    y.register_hook(kept.append)
    z = tripled(y)
    z.register_hook(kept.append)
    walk(z * 2, [(False, False)], 6)
    assert [each.tolist() for each in kept] == [[2.0] * 4, [6.0] * 4]
    first, second = (x * 1).split(2)
    walk(fastnn.cat([first, tripled(second) * 3 + second * 2]), [(True, True)], [1, 1, 11, 11])


def test_a_closure_that_others_call_gets_nothing() -> None:
    assert not NOTHING.owned
    assert NOTHING.arrived(0) is None
    y = noting([])(Tensor(np.ones(3), requires_grad=True))
    assert y.grad_fn is not None
    assert y.grad_fn.backward is not None
    dy = np.ones(3)
    np.testing.assert_array_equal(y.grad_fn.backward(dy, (True,))[0], 3)
    np.testing.assert_array_equal(dy, 1)
