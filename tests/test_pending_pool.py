"""ReLU and batch norm that wait for a pooling: programs do the same whether operations join or not."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn
from fastnn.autograd import Tensor, gradcheck, observe, pending
from fastnn.autograd.engine import Node
from fastnn.autograd.pending import Pending
from fastnn.bench.networks import TRAINING

SHAPE = (3, 5, 7, 9)
POOLINGS: dict[str, dict[str, Any]] = {
    "tiles": {"kernel_size": 2},
    "tiles of 3": {"kernel_size": (3, 2)},
    "overlap": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dense": {"kernel_size": [3, 3], "stride": 1},
    "ceil": {"kernel_size": 2, "ceil_mode": True},
    "dilation": {"kernel_size": 2, "dilation": 2, "stride": 2},
    "gaps": {"kernel_size": 2, "stride": 3},
    "indices": {"kernel_size": 2, "return_indices": True},
}


@pytest.fixture(autouse=True)
def _small_outputs_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "LEAST", 0)


def unfused() -> Any:
    """With somebody watching, every operation computes its output in its call."""
    return observe(lambda name, function: lambda *args, **options: function(*args, **options))


def images(seed: int, dtype: Any = np.float32, shape: tuple[int, ...] = SHAPE) -> Any:
    """Channels last, as convolutions give them, so that what waits reads them in place."""
    drawn = np.random.default_rng(seed).standard_normal([shape[0], *shape[2:], shape[1]])
    return drawn.astype(dtype).transpose(0, 3, 1, 2)


class Scene:
    """An intermediate that only a Tensor holds, a batch norm, and a sequence of what a program shows."""

    def __init__(self, training: bool = True, dtype: Any = np.float32) -> None:
        self.x = Tensor(images(1, dtype), requires_grad=True)
        self.bn = nn.BatchNorm2d(5, dtype=dtype).train(training)
        rng = np.random.default_rng(2)
        for each in (self.bn.weight, self.bn.bias, self.bn.running_mean):
            each.data[...] = rng.standard_normal(5)
        self.c = self.x * 1.5

    def results(self, *outputs: Tensor) -> list[Any]:
        """Outputs, gradients and running statistics."""
        total = Tensor(np.zeros((), self.x.dtype))
        for i, y in enumerate(outputs):
            if y.requires_grad:
                weight = np.random.default_rng(i + 5).standard_normal(y.shape).astype(y.dtype)
                total = total + (y * weight).sum()
        if total.requires_grad:
            total.backward()
        grads = [None if p.grad is None else p.grad.data for p in (self.x, self.bn.weight, self.bn.bias)]
        return [*(y.data.copy() for y in outputs), *grads, *(each.data.copy() for each in self.bn.buffers())]


HEADS: dict[str, Callable[[Scene], Tensor]] = {
    "relu": lambda s: F.relu(s.c),
    "norm": lambda s: F.relu(s.bn(s.c)),
    "residual": lambda s: F.relu(s.bn(s.c) + s.x * 0.5),
}


def compare(program: Callable[[Scene], list[Any]], training: bool = True, dtype: Any = np.float32) -> None:
    """The program gives the same fused as unfused, to rounding."""
    fused = program(Scene(training, dtype))
    with unfused():
        expected = program(Scene(training, dtype))
    assert len(fused) == len(expected)
    bound = 1e-6 if dtype == np.float32 else 1e-12
    for a, b in zip(fused, expected, strict=True):
        if a is None or b is None:
            assert a is b
        else:
            np.testing.assert_allclose(a, b, rtol=0, atol=bound * max(1.0, np.abs(b).max(initial=0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("head", HEADS)
def test_every_pooling_is_what_it_is_alone(head: str, pooling: str, training: bool, dtype: Any) -> None:
    options = POOLINGS[pooling]

    def run(s: Scene) -> list[Any]:
        y = F.max_pool2d(HEADS[head](s), **options)
        y, *index = y if isinstance(y, tuple) else (y,)
        return [*s.results(y), *(each.data for each in index)]

    compare(run, training, dtype)
    fused = run(Scene(training, dtype))
    with unfused():
        expected = run(Scene(training, dtype))
    np.testing.assert_array_equal(fused[0], expected[0])  # outputs have the same bits, and gradients of a ReLU
    if head == "relu":
        np.testing.assert_array_equal(fused[1], expected[1])


def names(y: Tensor) -> list[str]:
    """The operations from the output back to its first input."""
    found, node = [], y.grad_fn
    while isinstance(node, Node):
        found.append(node.name)
        node = node.next_functions[0]
    return found


def test_what_should_join_joins() -> None:
    def pooled(head: str, pooling: str) -> list[str]:
        y = F.max_pool2d(HEADS[head](Scene()), **POOLINGS[pooling])
        return names(y[0] if isinstance(y, tuple) else y)[:-1]

    for pooling in POOLINGS:
        assert (pooled("relu", pooling) == ["relu_max_pool2d"]) is (pooling != "indices"), pooling
        one = pooling.startswith("tiles")
        assert pooled("norm", pooling) == (["batch_norm_relu_max_pool2d"] if one else ["max_pool2d", "batch_norm_relu"])
        assert pooled("residual", pooling) == ["max_pool2d", "batch_norm_add_relu"]


def test_what_waits_and_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    s = Scene()
    y = F.relu(s.c)
    assert type(y) is Pending
    assert (y.shape, y.dtype, y.requires_grad) == (SHAPE, np.float32, True)
    assert type(F.relu(s.bn(s.c * 1))) is Pending
    assert type(F.relu(s.bn(s.c * 1) + s.x * 2)) is Tensor
    assert type(F.relu((s.x * 2).flatten(1) * 1)) is Tensor
    assert type(F.relu(s.c)) is Tensor  # what waits already may save its input
    with unfused():
        assert type(F.relu(s.c * 1)) is Tensor
    monkeypatch.setattr(pending, "LEAST", s.x.numel() + 1)
    assert type(F.relu(s.c * 1)) is type(F.relu(s.bn(s.c * 1))) is Tensor
    assert F.relu(s.bn(s.c * 1)).grad_fn.name == "batch_norm_relu"


def test_windows_between_the_pixels_of_the_padding_stay_minus_infinity() -> None:
    x = Tensor(images(1, shape=(2, 3, 1, 1))) * 1
    y = F.max_pool2d(F.relu(x), 2, padding=1, dilation=2)
    assert y.shape == (2, 3, 1, 1)
    assert np.isneginf(y.data).all()


@pytest.mark.parametrize(
    ("args", "options"),
    [((), {}), ((9,), {}), ((2,), {"padding": 2}), ((2,), {"colour": 1}), ((2, 2, 0, 1, False, False, 1), {})],
)
@pytest.mark.parametrize("head", HEADS)
def test_errors_are_those_of_the_pooling(head: str, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    def message() -> tuple[Any, str]:
        with pytest.raises((ValueError, TypeError)) as caught:
            F.max_pool2d(HEADS[head](Scene()), *args, **options)
        return caught.type, str(caught.value)

    fused = message()
    with unfused():
        assert fused == message()


def test_errors_of_a_relu_come_in_its_call() -> None:
    x = Tensor(np.zeros((2, 2, 2, 2), np.int64)) + 1
    with pytest.raises(TypeError, match="relu: expected input of dtype float32 or float64"):
        F.relu(x)


PROGRAMS: dict[str, Callable[[Scene, Callable[[Scene], Tensor]], list[Any]]] = {}


def program(function: Callable[[Scene, Callable[[Scene], Tensor]], list[Any]]) -> Any:
    PROGRAMS[function.__name__] = function
    return function


@program
def looked_at_before(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    seen = y.data.copy()
    return [seen, *s.results(F.max_pool2d(y, 2))]


@program
def looked_at_after(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    z = F.max_pool2d(y, 2)
    return s.results(z, y)


@program
def value_after_backward(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    rest = s.results(F.max_pool2d(y, 2))
    return [*rest, y.data]


@program
def several_readers(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    return s.results(F.max_pool2d(y, 2), F.max_pool2d(y, 3, 2), F.avg_pool2d(y, 2), y + 1)


@program
def hooked_after(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y, seen = head(s), []
    z = F.max_pool2d(y, 2)
    z.register_hook(lambda grad: grad * 2)
    y.register_hook(lambda grad: seen.append(grad.data.copy()) or grad * 3)
    return [*s.results(z), *seen]


@program
def retained_after(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    z = F.max_pool2d(y, 2)
    y.retain_grad()
    rest = s.results(z, z * 2)
    return [*rest, y.grad.data]


@program
def gradients_with_respect_to_it(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    z = F.max_pool2d(y, 2)
    return [each.data for each in fastnn.autograd.grad((z * z).sum(), [y, s.c])]


@program
def backward_twice(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    z = F.max_pool2d(y, 2)
    (z * z).sum().backward(retain_graph=True)
    return s.results(z, y)


@program
def norm_looked_at_after(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = s.bn(s.c)
    r = F.relu(y)
    z = F.max_pool2d(r, 2)
    return s.results(z, y, r)


@program
def norm_retained_without_the_relu(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = s.bn(s.c)
    z = F.max_pool2d(F.relu(y), 2)
    y.retain_grad()
    return [*s.results(z), y.grad.data]


@program
def without_recording(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    with fastnn.no_grad():
        z = F.max_pool2d(head(s), 2)
        assert not z.requires_grad
    return s.results(z)


@program
def recorded_head_unrecorded_pooling(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    with fastnn.no_grad():
        z = F.max_pool2d(y, 2)
    return [np.array([y.requires_grad, z.requires_grad], float), *s.results(z, y)]


@program
def unrecorded_head_made_a_leaf(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    with fastnn.no_grad():
        y = head(s)
    y.requires_grad_()
    rest = s.results(F.max_pool2d(y, 2))
    return [*rest, y.grad.data]


@program
def input_changed(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    with fastnn.no_grad():
        s.c = s.x * 1.5
        y = head(s)
        s.c.zero_()
        return [F.max_pool2d(y, 2).data, y.data]


@program
def input_changed_through_a_view(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    with fastnn.no_grad():
        s.c = s.x * 1.5
        view = s.c.detach()
        y = head(s)
        view.fill_(3.0)
        return [F.max_pool2d(y, 2).data]


@program
def parameters_changed(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    with fastnn.no_grad():
        y = head(s)
        s.bn.weight.mul_(2)
        s.bn.reset_running_stats()
        return [F.max_pool2d(y, 2).data]


@program
def recorded_change_of_the_input(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    s.c *= 2
    return s.results(F.max_pool2d(y, 2), s.c)


@program
def changed_in_place_itself(s: Scene, head: Callable[[Scene], Tensor]) -> list[Any]:
    y = head(s)
    y += 1.0
    z = F.max_pool2d(y, 2)
    y *= 2
    return s.results(z, y)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_gives_the_same_fused_and_unfused(name: str, head: str, training: bool) -> None:
    compare(lambda s: PROGRAMS[name](s, HEADS[head]), training)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("kept", [True, False])
def test_the_first_input_stays_guarded_when_the_norm_itself_is_gone(kept: bool, recorded: bool) -> None:
    """What joins it must go on watching the memory it will read."""

    def run(head: Callable[[Tensor, Tensor], Tensor]) -> Any:
        s = Scene()
        with fastnn.autograd.set_grad_enabled(recorded):
            skip = s.x * 0.5
            y = s.bn(s.c)
            total = head(y, skip)
            if not kept:
                del y
            with fastnn.no_grad():
                s.c.zero_()
            return F.max_pool2d(F.relu(total), 2).data

    for head in (lambda y, skip: y + skip, lambda y, skip: F.relu(y)):
        found = run(head)
        with unfused():
            np.testing.assert_array_equal(found, run(head))


def test_a_saved_array_that_was_changed_is_noticed() -> None:
    s = Scene()
    z = F.max_pool2d(F.relu(s.c), 2)
    with fastnn.no_grad():
        z.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()


@pytest.mark.parametrize("head", ["relu", "norm"])
@pytest.mark.parametrize("kernel", [2, 3])
def test_what_is_not_finite_comes_out_as_alone(head: str, kernel: int) -> None:
    def run() -> tuple[Any, Any]:
        s = Scene(training=False)
        s.x.data[0, 1, 2, 3] = s.x.data[1, 0, 0, 0] = s.x.data[1, 0, 1, 1] = np.nan
        s.x.data[2, 2, 0, 0], s.x.data[2, 3, 0, 1] = np.inf, -np.inf
        s.c = s.x * 1.5
        y = F.max_pool2d(HEADS[head](s), kernel)
        y.backward(fastnn.ones_like(y))
        return y.data, s.x.grad.data

    with np.errstate(invalid="ignore"):
        y, dx = run()
        with unfused():
            expected, gradient = run()
    assert np.isnan(y).sum() == 2
    assert np.isinf(y).any()
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_allclose(dx, gradient, rtol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_gradients_against_differences(training: bool) -> None:
    running = [Tensor(np.zeros(2)), Tensor(np.ones(2))] if not training else [None, None]

    def fused(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        y = F.max_pool2d(F.relu(F.batch_norm(x * 1.0, *running, w, b, training)), 2)
        assert not y.requires_grad or y.grad_fn.name == "batch_norm_relu_max_pool2d"
        return y.sum() + F.max_pool2d(F.relu(x * 2.0), 3, 2).sum()

    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 5, 5, 2)).transpose(0, 3, 1, 2)
    assert gradcheck(fused, [Tensor(each, requires_grad=True) for each in (x, rng.standard_normal(2), rng.random(2))])


def test_one_pass_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the ReLU nor the norm is computed by itself."""
    norm, activation = importlib.import_module("fastnn.ops.norm"), importlib.import_module("fastnn.ops.activation")

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            assert name not in ("norm_batch_apply", "norm_batch_bwd", "pool_max_fwd")
            return getattr(fastnn._C, name)

    def refuse(*args: Any) -> Any:
        raise AssertionError("a ReLU by itself")

    s = Scene()
    monkeypatch.setattr(norm, "_C", Refusing())
    monkeypatch.setattr(activation, "pointwise", refuse)
    (F.max_pool2d(F.relu(s.bn(s.c)), 2).sum() + F.max_pool2d(F.relu(s.c * 1), 2).sum()).backward()
    assert s.x.grad is not None


@pytest.mark.parametrize(
    ("network", "fused", "gone"),
    [
        ("small", "batch_norm_relu_max_pool2d", {"batch_norm", "batch_norm_relu", "max_pool2d"}),
        ("lenet128", "relu_max_pool2d", {"max_pool2d"}),
        ("lenet32", "relu_max_pool2d", {"max_pool2d"}),
    ],
)
def test_the_networks_of_the_benchmark_are_fused(
    network: str, fused: str, gone: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the size from which outputs wait, as it is
    row = next(each for each in TRAINING if each.name == network)
    y = row.create()(Tensor(np.zeros(row.input_shape, np.float32)))
    found = names(y)
    assert found.count(fused) == (3 if network == "small" else 2)
    assert not gone & set(found)
