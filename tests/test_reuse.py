"""Gradients written over others and added to them: the same numbers, and nothing that anybody else sees is touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import _C
from fastnn.autograd import Array, Reuse, Tensor, engine, grad, observe
from fastnn.ops.index import _SliceGradient
from tests.cases import channels_last, normal, positive

pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a closure was given a gradient of its own, or one to add to, and how often a slice added itself."""
    seen = {"owned": 0, "arrived": 0, "in place": 0}
    make, arrived, add_to = Reuse.__init__, Reuse.arrived, _SliceGradient.add_to

    def counted_make(self: Reuse, owned: bool, *rest: Any) -> None:
        seen["owned"] += owned
        make(self, owned, *rest)

    def counted_arrived(self: Reuse, j: int) -> Array | None:
        found = arrived(self, j)
        seen["arrived"] += found is not None
        return found

    def counted_add_to(self: _SliceGradient, total: Array) -> None:
        seen["in place"] += 1
        add_to(self, total)

    monkeypatch.setattr(Reuse, "__init__", counted_make)
    monkeypatch.setattr(Reuse, "arrived", counted_arrived)
    monkeypatch.setattr(_SliceGradient, "add_to", counted_add_to)
    return seen


def switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """No array is anybody's own: every gradient gets new memory, every sum too."""
    monkeypatch.setattr(engine, "sole_owner", lambda slots, i: False)


class Network:
    """Residual blocks behind a convolution; the shortcut is the input itself, or with a stride a slice of it."""

    def __init__(
        self, kernel: int, stride: int, dtype: str, channels: int = 16, size: int = 12, depth: int = 3
    ) -> None:
        rng = np.random.default_rng(0)
        self.kernel, self.strides = kernel, [stride if i == 1 else 1 for i in range(depth)]
        self.x = Tensor(normal(rng, 3, 3, size, size, dtype=dtype), requires_grad=True)
        shapes = [(channels, 3, 3, 3), *[(channels, channels, kernel, kernel)] * 2 * depth]
        self.filters = [Tensor(normal(rng, *s, dtype=dtype) / 8, requires_grad=True) for s in shapes]
        self.weights = [Tensor(positive(rng, channels, dtype=dtype), requires_grad=True) for _ in shapes]
        self.biases = [Tensor(normal(rng, channels, dtype=dtype), requires_grad=True) for _ in shapes]
        self.steps: dict[str, Tensor] = {}

    def convolved(self, x: Tensor, i: int, stride: int = 1) -> Tensor:
        w = self.filters[i]
        c = self.steps[f"conv {i}"] = F.conv2d(x, w, stride=stride, padding=w.shape[-1] // 2)
        return F.batch_norm(c, None, None, self.weights[i], self.biases[i], True)

    def forward(self) -> Tensor:
        x = self.steps["stem"] = F.relu(self.convolved(self.x, 0))
        for i, stride in enumerate(self.strides):
            skip = x if stride == 1 else x[:, :, ::stride, ::stride]
            y = F.relu(self.convolved(x, 2 * i + 1, stride))
            x = self.steps[f"block {i}"] = F.relu(self.convolved(y, 2 * i + 2) + skip)
        return x

    def loss(self) -> Tensor:
        y = self.forward()
        return (y * Tensor(normal(np.random.default_rng(1), *y.shape, dtype=y.dtype))).sum()

    def leaves(self) -> list[Tensor]:
        return [self.x, *self.filters, *self.weights, *self.biases]

    def gradients(self) -> list[Array]:
        found = [leaf.grad.data for leaf in self.leaves() if leaf.grad is not None]
        assert len(found) == len(self.leaves())
        return found


def assert_all_equal(found: list[Array], expected: list[Array]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


SIZES = [(3, 1, 16), (3, 2, 16), (1, 1, 16), (1, 2, 10), (3, 2, 3)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kernel", "stride", "channels"), SIZES)
def test_a_residual_network_has_the_bits_of_one_that_copies(
    kernel: int, stride: int, channels: int, dtype: str, monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]
) -> None:
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        network = Network(kernel, stride, dtype, channels)
        counts.update(dict.fromkeys(counts, 0))
        network.loss().backward()
        dense = network.strides.count(1)
        assert counts == {"owned": 2 * len(network.filters), "arrived": dense, "in place": 3 - dense}
        other = Network(kernel, stride, dtype, channels)
        with monkeypatch.context() as patch:
            switched_off(patch)
            other.loss().backward()
        assert_all_equal(network.gradients(), other.gradients())


def test_gradients_above_the_caches_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above 12 MB results go past the caches, but not those that take the place of what was read."""
    found = []
    for off in (False, True):
        network = Network(3, 1, "float32", 32, 184, depth=1)
        assert network.loss().requires_grad
        assert network.steps["conv 0"].data.nbytes > 12_000_000
        with monkeypatch.context() as patch:
            if off:
                switched_off(patch)
            network.loss().backward()
        found.append(network.gradients())
    assert_all_equal(*found)


def test_a_network_that_is_watched_has_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An observer's closures are not marked and get no memory to write to; norms get no moments then."""
    conv_fwd = _C.conv_fwd
    monkeypatch.setattr(_C, "conv_fwd", lambda *args, moments=None: conv_fwd(*args))
    network, other = Network(3, 2, "float32"), Network(3, 2, "float32")
    network.loss().backward()

    def watch(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **options: Any) -> Any:
            y, backward = function(*args, **options)
            return y, None if backward is None else lambda dy, needs: backward(dy, needs)

        return watched

    with observe(watch):
        other.loss().backward()
    assert_all_equal(network.gradients(), other.gradients())


def test_a_second_walk_gives_the_same_gradients() -> None:
    network = Network(3, 2, "float32")
    loss = network.loss()
    loss.backward(retain_graph=True)
    once = [each.copy() for each in network.gradients()]
    loss.backward(retain_graph=True)
    assert_all_equal(network.gradients(), [2 * each for each in once])


def test_a_convolution_adds_to_the_gradient_of_its_own_input(counts: dict[str, int]) -> None:
    """Not to that of another output of the same operation."""
    rng, shape = np.random.default_rng(0), (2, 4, 5, 6)
    w, g, h = (
        Tensor(normal(rng, 4, 2, 3, 3)),
        Tensor(channels_last(normal(rng, *shape))),
        Tensor(channels_last(normal(rng, 2, 2, 5, 6))),
    )
    x, alone = (Tensor(channels_last(np.zeros(shape)), requires_grad=True) for _ in range(2))
    one, other = (x * 1.0).split(2, 1)
    ((F.conv2d(other, w, padding=1) * g).sum() + (other * h).sum() + (one * (5 * h)).sum()).backward()
    assert counts["arrived"] == 1
    F.conv2d(alone[:, 2:], w, padding=1).backward(g)
    assert x.grad is not None
    assert alone.grad is not None
    np.testing.assert_array_equal(x.grad.data[:, :2], 5 * h.data)
    np.testing.assert_array_equal(x.grad.data[:, 2:], alone.grad.data[:, 2:] + h.data)


# -- what others see --------------------------------------------------------------------------------------------------

KEEPERS: dict[str, Callable[[Tensor], Any]] = {
    "tensor": lambda g: g,
    "array": lambda g: g.data,
    "part": lambda g: g.data[1:],
    "turned": lambda g: g.data.transpose(0, 2, 3, 1),
    "detached": lambda g: g.detach(),
    "buffer": lambda g: memoryview(g.data),  # type: ignore[arg-type]
    "slice": lambda g: g[:, 3],
    "foreign": lambda g: np.from_dlpack(g.detach()),
}


@pytest.mark.parametrize("keeper", KEEPERS)
def test_what_a_hook_keeps_stays(keeper: str) -> None:
    network, plain, kept = Network(3, 2, "float32"), Network(3, 2, "float32"), []
    loss = network.loss()

    def keep(g: Tensor) -> None:
        held = KEEPERS[keeper](g)
        kept.append((held, np.array(held)))

    for step in network.steps.values():
        step.register_hook(keep)
    loss.backward()
    plain.loss().backward()
    assert len(kept) == len(network.steps)
    for held, then in kept:
        np.testing.assert_array_equal(np.asarray(held), then)
    assert_all_equal(network.gradients(), plain.gradients())


def test_a_hooks_own_tensor_stays() -> None:
    network, rng = Network(3, 2, "float32"), np.random.default_rng(2)
    loss, given = network.loss(), list[tuple[Tensor, Array]]()

    def replace(g: Tensor) -> Tensor:
        own = normal(rng, *g.shape, dtype="float32")
        given.append((Tensor(own), own.copy()))
        return given[-1][0]

    for step in network.steps.values():
        step.register_hook(replace)
    loss.backward()
    assert len(given) == len(network.steps)
    for own, then in given:
        np.testing.assert_array_equal(own.data, then)


def test_gradients_asked_for_on_the_way_are_complete_and_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for off in (False, True):
        network = Network(3, 2, "float32")
        loss = network.loss()
        with monkeypatch.context() as patch:
            if off:
                switched_off(patch)
            taken = grad(loss, [*network.steps.values(), *network.leaves()])
        found.append([each.data for each in taken if each is not None])
        assert len(found[-1]) == len(taken)
    assert_all_equal(*found)


def test_retained_gradients_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for off in (False, True):
        network = Network(3, 2, "float32")
        loss = network.loss()
        for step in network.steps.values():
            step.retain_grad()
        with monkeypatch.context() as patch:
            if off:
                switched_off(patch)
            loss.backward()
        found.append([step.grad.data for step in network.steps.values() if step.grad is not None])
        assert len(found[-1]) == len(network.steps)
    assert_all_equal(*found)
