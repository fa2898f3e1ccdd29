"""Batch norm and the activation after it in one pass: the bits of two operations, and nobody can tell otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import _C
from fastnn.autograd import OPS, Array, Backward, Tensor, gradcheck, observe, op
from fastnn.autograd.pending import Halves, Pending
from tests.cases import channels_last, normal, positive

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "leaky_relu, steep": lambda y: F.leaky_relu(y, negative_slope=-0.7),
    "elu": F.elu,
    "elu, low": lambda y: F.elu(y, 2.5, True),
    "gelu": F.gelu,
    "gelu, tanh": lambda y: F.gelu(y, approximate="tanh"),
    "silu": lambda y: F.silu(y, inplace=True),
    "mish": F.mish,
    "hardswish": F.hardswish,
}
# Several rows of few channels make a row of the kernels, of which the last one is cut off; 700 make a long one.
SHAPES = [(5, 3, 37, 41), (4, 16, 40, 40), (1, 24, 33, 35), (1, 130, 19, 13), (1, 700, 5, 9), (1, 16, 1, 2), (37, 24)]

pytestmark = pytest.mark.usefixtures("restored")
levels = pytest.mark.parametrize("level", fastnn.cpu.levels())
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
activations = pytest.mark.parametrize("name", ACTIVATIONS)


@cache
def drawn(shape: tuple[int, ...], dtype: str) -> list[Array]:
    """Input, gradient of the output, weight, bias, mean and variance."""
    rng, c = np.random.default_rng(0), shape[1]
    x, dy = normal(rng, *shape, dtype=dtype) * 2, normal(rng, *shape, dtype=dtype)
    return [channels_last(x), dy, *(normal(rng, c, dtype=dtype) for _ in range(3)), positive(rng, c, dtype=dtype)]


class Scene:
    """What convolutions would give a batch norm, its parameters and statistics, and the gradient of the output."""

    def __init__(
        self, shape: tuple[int, ...] = (3, 4, 5, 6), dtype: str = "float32", affine: str = "wb", wanted: bool = True
    ) -> None:
        x, self.dy, w, b, mean, var = (each.copy(order="K") for each in drawn(shape, dtype))
        self.x = Tensor(x, requires_grad=wanted)
        self.w, self.b = (Tensor(p, True) if name in affine else None for p, name in ((w, "w"), (b, "b")))
        self.mean, self.var = Tensor(mean), Tensor(var)

    def norm(self, x: Tensor | None = None, training: bool = True) -> Tensor:
        c = self.x * 1.5 if x is None else x
        return F.batch_norm(c, self.mean, self.var, self.w, self.b, training)

    def results(self, z: Tensor) -> list[Any]:
        """The output, all gradients, the running statistics."""
        if z.requires_grad:
            z.backward(self.dy)
        grads = [None if leaf is None or leaf.grad is None else leaf.grad.data for leaf in (self.x, self.w, self.b)]
        return [z.data, *grads, self.mean.data, self.var.data]


def apart(y: Tensor) -> Tensor:
    """A norm that somebody looked at is an operation by itself."""
    assert y.data is not None
    assert type(y) is Tensor
    return y


def node_name(z: Tensor) -> str:
    assert z.grad_fn is not None
    return z.grad_fn.name


def joined(name: str) -> str:
    """What a row of `ACTIVATIONS` is called on the tape when it has joined."""
    return "batch_norm_" + name.partition(",")[0]


def assert_same_bits(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
            assert ((np.signbit(a) == np.signbit(b)) | np.isnan(a)).all()


@levels
@dtypes
@activations
def test_all_bits_are_those_of_two_operations(name: str, dtype: str, level: str) -> None:
    fastnn.cpu.set_level(level)
    activation = ACTIVATIONS[name]
    threads = cycle([2, 1, 2, 2])
    parameters = cycle([("wb", True), ("", True), ("w", True), ("wb", False), ("b", True)])
    for shape in SHAPES:
        for training in (True, False):
            affine, wanted = next(parameters)
            fastnn.set_num_threads(1)
            s = Scene(shape, dtype, affine, wanted)
            expected = s.results(activation(apart(s.norm(training=training))))
            fastnn.set_num_threads(next(threads))
            s = Scene(shape, dtype, affine, wanted)
            z = activation(s.norm(training=training))
            assert not z.requires_grad or node_name(z) == joined(name)
            assert_same_bits(s.results(z), expected)


@levels
@activations
def test_nan_goes_where_it_goes_in_two_operations(name: str, level: str) -> None:
    fastnn.cpu.set_level(level)
    for shape in SHAPES[:4]:
        for training in (True, False):
            found = []
            for look in (apart, lambda y: y):
                s = Scene(shape)
                s.x.data[-1, 1, 2, 3] = np.nan
                s.x.data[0, 2, 0, 0] = np.inf
                s.dy[0, 0, 1, 1] = np.nan
                found.append(s.results(ACTIVATIONS[name](look(s.norm(training=training)))))
            assert np.isnan(found[0][0]).any()
            assert np.isnan(found[0][1]).any()
            assert_same_bits(found[1], found[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_arrays_above_the_caches(threads: int) -> None:
    """Above 12 MB the norm's own gradient goes past the caches; the joined one's does not."""
    fastnn.set_num_threads(threads)
    shape = (8, 24, 131, 131)
    s, t = Scene(shape), Scene(shape)
    assert s.dy.nbytes > 12_000_000
    assert_same_bits(s.results(F.silu(s.norm())), t.results(F.silu(apart(t.norm()))))


@pytest.mark.parametrize("training", [True, False])
@activations
def test_gradients_against_differences(name: str, training: bool) -> None:
    rng = np.random.default_rng(0)
    mean, var = Tensor(np.array([0.1, -0.2, 0.3])), Tensor(np.array([0.7, 1.1, 1.6]))

    def function(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        statistics = (None, None) if training else (mean, var)
        z = ACTIVATIONS[name](F.batch_norm(x * 1.0, *statistics, w, b, training))
        assert not z.requires_grad or node_name(z) == joined(name)
        return z

    assert gradcheck(function, [Tensor(normal(rng, *s) * 2, requires_grad=True) for s in ((3, 3, 2, 2), (3,), (3,))])


# -- what joins and what does not -------------------------------------------------------------------------------------


@activations
def test_without_recording_they_join_too(name: str) -> None:
    seen: list[str] = []

    def finish(name: str, function: Any) -> Any:
        seen.append(name)
        return function

    halves, s = Halves(lambda name, start: start, finish), Scene()
    with fastnn.no_grad(), observe(lambda name, function: function, halves):
        z = ACTIVATIONS[name](s.norm(training=False))
    assert seen == [joined(name)]
    assert not z.requires_grad
    with fastnn.no_grad():
        assert_same_bits([z.data], [ACTIVATIONS[name](apart(s.norm(training=False))).data])


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "tiles": lambda x: F.max_pool2d(x, 2),
    "gaps": lambda x: F.max_pool2d(x, 2, 3),
    "overlap": lambda x: F.max_pool2d(x, 3, 1, 1),
    "average": lambda x: F.avg_pool2d(x, 2),
    "adaptive": lambda x: F.adaptive_max_pool2d(x, 2),
}


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_they_join_behind_a_pooling(pooling: str, wanted: bool) -> None:
    """Whose closure, if there is one, holds the norm's input."""
    for name, activation in (*ACTIVATIONS.items(), ("relu", F.relu)):
        s, t = Scene(wanted=wanted), Scene(wanted=wanted)
        pooled = POOLINGS[pooling](s.x * 1.5)
        z = activation(s.norm(pooled))
        assert node_name(z) == joined(name)
        s.dy = t.dy = normal(np.random.default_rng(1), *z.shape, dtype="float32")
        assert_same_bits(s.results(z), t.results(activation(apart(t.norm(POOLINGS[pooling](t.x * 1.5))))))


HOLDERS: dict[str, Callable[[Tensor], Any]] = {
    "array": lambda t: t.data,
    "part": lambda t: t.data[1:],
    "base": lambda t: t.data.base,
    "turned": lambda t: t.data.transpose(0, 2, 3, 1),
    "numpy": lambda t: t.detach().numpy(),
}


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("holder", HOLDERS)
def test_they_do_not_join_where_somebody_holds_the_pooled_memory(holder: str, wanted: bool) -> None:
    s, t = Scene(wanted=wanted), Scene(wanted=wanted)
    pooled, other = (F.max_pool2d(each.x * 1.5, 2) for each in (s, t))
    held = HOLDERS[holder](pooled)
    y = s.norm(pooled)
    assert type(y) is Tensor
    with fastnn.no_grad():
        held[...] = 0  # what a norm that waited would read
        np.testing.assert_array_equal(F.gelu(y).data, F.gelu(apart(t.norm(other))).data)
    assert node_name(F.gelu(y)) == "gelu"


def test_changes_through_the_pooled_tensor_come_after_the_norm() -> None:
    with fastnn.no_grad():
        s, t = Scene(), Scene()
        pooled = F.max_pool2d(s.x * 1.5, 2)
        y = s.norm(pooled)
        assert type(y) is Pending
        pooled.zero_()
        np.testing.assert_array_equal(F.gelu(y).data, F.gelu(apart(t.norm(F.max_pool2d(t.x * 1.5, 2)))).data)


def _holding(kind: str) -> Callable[[Tensor], Tensor]:
    """An operation whose closure holds its output's memory in a cell, in a tuple, or in a cell beside an empty one."""

    @op
    def held(x: Array, unset: bool = True) -> tuple[Array, Backward]:
        if not unset:
            scale = 2.0
        memory: Array = _C.empty((x.shape[0], *x.shape[2:], x.shape[1]), x.dtype)
        memory[...] = np.moveaxis(x, 1, -1)
        inside = (memory,)

        def cell(dy: Array, needs: tuple[bool, ...]) -> Any:
            return (dy * np.moveaxis(memory, -1, 1),)

        def listed(dy: Array, needs: tuple[bool, ...]) -> Any:
            return (dy * np.moveaxis(inside[0], -1, 1),)

        def beside(dy: Array, needs: tuple[bool, ...]) -> Any:
            return (dy * np.moveaxis(memory, -1, 1) * (1.0 if unset else scale),)

        return np.moveaxis(memory, -1, 1), {"cell": cell, "tuple": listed, "empty": beside}[kind]

    del OPS["held"]
    return held


@pytest.mark.parametrize("kind", ["cell", "tuple", "empty"])
def test_operations_of_ones_own_may_hold_their_output(kind: str) -> None:
    s, t = Scene(), Scene()
    y = s.norm(_holding(kind)(s.x))
    assert (type(y) is Pending) == (kind != "tuple")
    assert_same_bits(s.results(F.mish(y)), t.results(F.mish(apart(t.norm(_holding(kind)(t.x))))))


WRONG: dict[str, Callable[[Tensor], Any]] = {
    "gelu by another name": lambda y: F.gelu(y, approximate="wrong"),
    "gelu by no name": lambda y: F.gelu(y, None),
    "gelu by a list": lambda y: F.gelu(y, approximate=["tanh"]),
    "gelu in place": lambda y: F.gelu(y, inplace=True),
    "gelu of too much": lambda y: F.gelu(y, "none", 1),
    "unknown keyword": lambda y: F.silu(y, slope=1),
    "another's keyword": lambda y: F.mish(y, alpha=1.0),
    "keyword twice": lambda y: F.leaky_relu(y, 0.1, negative_slope=0.1),
    "no number": lambda y: F.leaky_relu(y, "steep"),
    "no number either": lambda y: F.elu(y, alpha=None),
    "too much": lambda y: F.relu6(y, False, 6),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_the_operations_own_error(name: str) -> None:
    s, t = Scene(), Scene()
    y, other = s.norm(), apart(t.norm())
    with pytest.raises((TypeError, ValueError)) as found:
        WRONG[name](y)
    with pytest.raises((TypeError, ValueError)) as expected:
        WRONG[name](other)
    assert (type(found.value), str(found.value)) == (type(expected.value), str(expected.value))
    if "by" in name:
        assert str(found.value).startswith("gelu: expected approximate 'none' or 'tanh', got ")
    assert_same_bits(s.results(F.gelu(y)), t.results(F.gelu(other)))  # nothing is broken


Activation = Callable[[Tensor], Tensor]


def looked_at_afterwards(s: Scene, y: Tensor, f: Activation) -> list[Any]:
    z = f(y)
    y.retain_grad()
    found = s.results(z)
    assert y.grad is not None
    return [*found, y.data, y.grad.data]


def read_twice(s: Scene, y: Tensor, f: Activation) -> list[Any]:
    one, other = f(y), F.silu(y)
    return [*s.results(one + other), one.data, other.data]


def walked_twice(s: Scene, y: Tensor, f: Activation) -> list[Any]:
    z = f(y)
    z.backward(s.dy, retain_graph=True)
    return s.results(z)


def parameters_changed_meanwhile(s: Scene, y: Tensor, f: Activation) -> list[Any]:
    assert s.w is not None
    s.w.data[...] *= 2
    return [f(y).data]


@pytest.mark.parametrize("name", ["leaky_relu", "gelu", "hardswish"])
@pytest.mark.parametrize("steps", [looked_at_afterwards, read_twice, walked_twice, parameters_changed_meanwhile])
def test_programs_see_two_operations(steps: Callable[[Scene, Tensor, Activation], list[Any]], name: str) -> None:
    s, t = Scene((2, 24, 9, 11)), Scene((2, 24, 9, 11))
    y = s.norm()
    assert type(y) is Pending
    assert_same_bits(steps(s, y, ACTIVATIONS[name]), steps(t, apart(t.norm()), ACTIVATIONS[name]))


def test_no_images_give_no_output() -> None:
    s, t = Scene((0, 24, 4, 4)), Scene((0, 24, 4, 4))
    z = F.gelu(apart(t.norm(training=False)))
    assert_same_bits(s.results(F.gelu(s.norm(training=False))), t.results(z))
