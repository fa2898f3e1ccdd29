"""Every fused optimiser against its definition in float64, on every instruction set, with every penalty."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Tensor, cpu, optim
from fastnn.reference import optim as reference

Array = Any
SHAPES = ((5,), (3, 7), (4, 3, 3, 2), (1,), (), (130,), (0, 4))
STEPS = 20


@dataclass(frozen=True)
class Method:
    """A class, its options, and one step of its definition: `define(w, g, states, step) -> (w, *states)`."""

    kind: str
    options: dict[str, Any]
    states: int
    define: Callable[..., tuple[Any, ...]]
    shapes: tuple[tuple[int, ...], ...] = SHAPES
    fuzzy: bool = field(default=False)

    @property
    def name(self) -> str:
        return " ".join([self.kind, *(f"{key}={value}" for key, value in self.options.items())])


def sgd(**options: Any) -> Method:
    states = 1 if options.get("momentum") else 0

    def define(w: Array, g: Array, s: list[Array], t: int) -> tuple[Any, ...]:
        known = None if not s or t == 1 else s[0]
        return reference.sgd_step(w, g, known, **options)[: 1 + states]

    return Method("SGD", options, states, define)


def adam(kind: str, **options: Any) -> Method:
    definition = reference.adam_step if kind == "Adam" else reference.adamw_step
    states = 3 if options.get("amsgrad") else 2
    return Method(
        kind, options, states, lambda w, g, s, t: definition(w, g, s[0], s[1], t, *s[2:], **options)[: 1 + states]
    )


def moments(kind: str, definition: Callable[..., tuple[Any, ...]], **options: Any) -> Method:
    return Method(kind, options, 2, lambda w, g, s, t: definition(w, g, *s, t, **options))


MATRICES = ((3, 7), (7, 3), (16, 16), (4, 30), (1, 5))
METHODS = [
    sgd(lr=0.1),
    sgd(lr=0.1, momentum=0.9),
    sgd(lr=0.1, momentum=0.9, nesterov=True),
    sgd(lr=0.1, momentum=0.5, dampening=0.3),
    Method("Adagrad", {"lr": 0.1, "lr_decay": 0.1}, 1,
           lambda w, g, s, t: reference.adagrad_step(w, g, *s, t, lr=0.1, lr_decay=0.1)),
    Method("Adadelta", {"rho": 0.8}, 2, lambda w, g, s, t: reference.adadelta_step(w, g, *s, rho=0.8)),
    Method("RMSprop", {"lr": 0.01}, 1, lambda w, g, s, t: reference.rmsprop_step(w, g, *s, lr=0.01)[:2]),
    Method("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True}, 3,
           lambda w, g, s, t: reference.rmsprop_step(w, g, *s, lr=0.01, momentum=0.9, centered=True)),
    adam("Adam", lr=0.01),
    adam("Adam", lr=0.01, amsgrad=True),
    adam("Adam", lr=0.01, eps=1e-3, eps_inside=True),
    adam("AdamW", lr=0.01, weight_decay=0.0),
    moments("NAdam", reference.nadam_step, lr=0.01),
    moments("RAdam", reference.radam_step, lr=0.01, betas=(0.9, 0.99)),
    moments("RAdam", reference.radam_step, lr=0.01),
    moments("Adamax", reference.adamax_step, lr=0.01),
    Method("Lion", {"lr": 0.01}, 1, lambda w, g, s, t: reference.lion_step(w, g, *s, lr=0.01)),
    Method("LARS", {"lr": 1.0, "trust_coefficient": 0.01}, 1,
           lambda w, g, s, t: reference.lars_step(w, g, *s, trust_coefficient=0.01)),
    Method("LARS", {"lr": 0.1, "nesterov": True, "adapt": False}, 1,
           lambda w, g, s, t: reference.lars_step(w, g, *s, lr=0.1, nesterov=True, adapt=False)),
    Method("LAMB", {"lr": 0.01, "weight_decay": 0.0}, 2,
           lambda w, g, s, t: reference.lamb_step(w, g, *s, t, lr=0.01, weight_decay=0.0)),
    Method("LAMB", {"lr": 0.01, "adapt": False, "weight_decay": 0.0}, 2,
           lambda w, g, s, t: reference.lamb_step(w, g, *s, t, lr=0.01, weight_decay=0.0, adapt=False)),
    Method("Muon", {"lr": 0.1, "weight_decay": 0.0}, 1,
           lambda w, g, s, t: reference.muon_step(w, g, *s, lr=0.1, weight_decay=0.0), MATRICES, fuzzy=True),
    Method("Muon", {"lr": 0.1, "weight_decay": 0.0, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}, 1,
           lambda w, g, s, t: reference.muon_step(w, g, *s, lr=0.1, weight_decay=0.0, nesterov=False, match_rms=True),
           MATRICES, fuzzy=True),
]  # fmt: skip
BY_NAME = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@pytest.fixture(params=cpu.levels())
def _level(request: pytest.FixtureRequest) -> Iterator[None]:
    before = cpu.level()
    cpu.set_level(request.param)
    yield
    cpu.set_level(before)


def parameters(method: Method, dtype: str, seed: int = 0) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    return [Tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in method.shapes]


def gradient(shape: tuple[int, ...], step: int, number: int) -> Array:
    return np.random.default_rng([step, number]).standard_normal(shape).astype(np.float32)


def run(optimizer: optim.Optimizer, tensors: list[Tensor], steps: int = STEPS, first: int = 1) -> None:
    for step in range(first, first + steps):
        for number, tensor in enumerate(tensors):
            tensor.grad = Tensor(gradient(tensor.shape, step, number).astype(tensor.dtype))
        optimizer.step()


def defined(
    method: Method, tensors: list[Tensor], l1: float = 0.0, l2: float = 0.0, decoupled: bool = False, sign: float = 1.0
) -> list[Array]:
    """The weights after all steps by the definition, with the penalties written out."""
    lr = method.options.get("lr", 1.0)
    results = []
    for number, tensor in enumerate(tensors):
        w = tensor.data.astype(np.float64)
        states = [np.zeros_like(w) for _ in range(method.states)]
        for step in range(1, STEPS + 1):
            g = sign * gradient(w.shape, step, number).astype(np.float64) + l1 * np.sign(w)
            g = g if decoupled else g + l2 * w
            before = w
            w, *states = method.define(w, g, states, step)
            if decoupled:
                w = w - lr * l2 * before
        results.append(w)
    return results


def close(method: Method, got: Array, expected: Array) -> None:
    single = got.dtype == np.float32
    rtol = (5e-4 if method.fuzzy else 2e-5) if single else 1e-10
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


@BY_NAME
@pytest.mark.usefixtures("_level")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_twenty_steps_are_those_of_the_definition(method: Method, dtype: str) -> None:
    tensors = parameters(method, dtype)
    expected = defined(method, tensors)
    run(getattr(optim, method.kind)(tensors, **method.options), tensors)
    for tensor, weights in zip(tensors, expected):
        close(method, tensor.data, weights)


@BY_NAME
@pytest.mark.parametrize("decoupled", [False, True])
def test_penalties_of_a_group(method: Method, decoupled: bool) -> None:
    """L1 and L2 together, with a maximised objective; LARS and LAMB have tests of their own."""
    if method.kind in ("LARS", "LAMB") and method.options.get("adapt", True):
        pytest.skip("the definition's factor has the penalties in it: tests of its own")
    if method.kind == "LAMB" and decoupled:
        pytest.skip("decoupled decay is part of the direction: a test of its own")
    tensors = parameters(method, "float64")
    expected = defined(method, tensors, 0.03, 0.02, decoupled, -1.0)
    options = {**method.options, "weight_decay": 0.02, "l1": 0.03, "decoupled_weight_decay": decoupled}
    group = {"params": tensors, **options, "maximize": True}
    run(getattr(optim, method.kind)([group]), tensors)
    for tensor, weights in zip(tensors, expected):
        close(method, tensor.data, weights)


@pytest.mark.parametrize("nesterov", [False, True])
def test_lars_and_lamb_with_weight_decay(nesterov: bool) -> None:
    lars = Method("LARS", {"weight_decay": 0.1, "nesterov": nesterov}, 1,
                  lambda w, g, s, t: reference.lars_step(w, g, *s, weight_decay=0.1, nesterov=nesterov))  # fmt: skip
    lamb = Method("LAMB", {"weight_decay": 0.1}, 2,
                  lambda w, g, s, t: reference.lamb_step(w, g, *s, t, weight_decay=0.1))  # fmt: skip
    for method in (lars, lamb):
        tensors = parameters(method, "float64")
        expected = defined(method, tensors)
        run(getattr(optim, method.kind)(tensors, **method.options), tensors)
        for tensor, weights in zip(tensors, expected):
            close(method, tensor.data, weights)


def test_lamb_without_eps_and_zero_gradients() -> None:
    """A norm of 0 gives the factor 1, and lanes beyond the end of a parameter do not count."""
    w = Tensor(np.full(3, 2.0), requires_grad=True)
    optimizer = optim.LAMB([w], lr=0.5, eps=0.0, weight_decay=0.0)
    w.grad = Tensor(np.array([1.0, -1.0, 1.0]))
    optimizer.step()
    np.testing.assert_allclose(w.data, [1.0, 3.0, 1.0])  # r = ±1, ‖w‖ / ‖r‖ = 2
    still = Tensor(np.zeros(5), requires_grad=True)
    still.grad = Tensor(np.zeros(5))
    for kind in (optim.LAMB, optim.LARS):
        kind([still], lr=1.0).step()
        np.testing.assert_array_equal(still.data, 0)


@BY_NAME
def test_bits_do_not_depend_on_threads_or_on_other_parameters(method: Method) -> None:
    """Sizes on both sides of the blocks that threads take."""
    sizes = (*MATRICES, (40, 300)) if method.fuzzy else ((70_001,), (3,), (8192,), (8193,), (64,), (33, 1001))
    large = Method(method.kind, method.options, method.states, method.define, sizes)
    results = []
    before = fastnn.get_num_threads()
    try:
        for threads in (1, 2):
            fastnn.set_num_threads(threads)
            tensors = parameters(large, "float32")
            run(getattr(optim, method.kind)(tensors, **method.options), tensors, 3)
            results.append([tensor.data.copy() for tensor in tensors])
        alone = parameters(large, "float32")[:1]
        run(getattr(optim, method.kind)(alone, **method.options), alone, 3)
        results.append([alone[0].data])
    finally:
        fastnn.set_num_threads(before)
    for one, two in zip(results[0], results[1]):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(results[0][0], results[2][0])


@BY_NAME
def test_memory_order_does_not_matter(method: Method) -> None:
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((6, 4, 3, 5)).astype(np.float32)
    last = np.ascontiguousarray(plain.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    results = []
    for array in (plain, last):
        tensor = Tensor(array.copy("K"), requires_grad=True)
        run(getattr(optim, method.kind)([tensor], **method.options), [tensor], 3)
        results.append(tensor.data)
    # Not the same bits: elements in the last, partial vector may be rounded otherwise; norms add in another order.
    tolerance = 1e-4 if method.fuzzy else 1e-6
    np.testing.assert_allclose(results[0], results[1], rtol=tolerance, atol=tolerance)


@BY_NAME
@pytest.mark.parametrize("how", ["state_dict", "pickle", "deepcopy"])
def test_goes_on_from_its_state_to_the_same_bits(method: Method, how: str) -> None:
    whole = parameters(method, "float32")
    run(getattr(optim, method.kind)(whole, **method.options), whole, 10)
    tensors = parameters(method, "float32")
    optimizer = getattr(optim, method.kind)(tensors, **method.options)
    run(optimizer, tensors, 4)
    if how == "state_dict":
        state = optimizer.state_dict()
        tensors = [Tensor(t.data.copy(), requires_grad=True) for t in tensors]
        optimizer = getattr(optim, method.kind)(tensors, **{**method.options, "lr": 7.0})
        optimizer.load_state_dict(state)
    else:
        optimizer = pickle.loads(pickle.dumps(optimizer)) if how == "pickle" else copy.deepcopy(optimizer)
        tensors = optimizer.param_groups[0]["params"]
    run(optimizer, tensors, 6, first=5)
    for one, two in zip(whole, tensors):
        np.testing.assert_array_equal(one.data, two.data)


@BY_NAME
def test_parameters_without_a_gradient_stay(method: Method) -> None:
    tensors = parameters(method, "float32")[:2]
    before = tensors[0].data.copy()
    optimizer = getattr(optim, method.kind)(tensors, **method.options)
    tensors[1].grad = Tensor(np.ones(tensors[1].shape, np.float32))
    optimizer.step()
    np.testing.assert_array_equal(tensors[0].data, before)
    assert (tensors[1].data != parameters(method, "float32")[1].data).all()
    assert tensors[0] not in optimizer.state
    optimizer.zero_grad()
    assert tensors[1].grad is None


@BY_NAME
def test_a_nan_gradient_does_not_vanish(method: Method) -> None:
    """Lion takes no step where it does not know the sign; its momentum keeps the NaN."""
    shape = (4, 5) if method.fuzzy else (5,)
    w = Tensor(np.ones(shape, np.float32), requires_grad=True)
    optimizer = getattr(optim, method.kind)([w], **method.options)
    w.grad = Tensor(np.full(shape, np.nan, np.float32))
    optimizer.step()
    seen = optimizer.state[w]["exp_avg"].data if method.kind == "Lion" else w.data
    assert np.isnan(seen).all()


@pytest.mark.parametrize("kind", sorted({method.kind for method in METHODS} | {"Nesterov"}))
def test_impossible_hyperparameters_are_named(kind: str) -> None:
    w = Tensor(np.ones((2, 2)), requires_grad=True)
    make = getattr(optim, kind)
    for key, value in (("lr", -1.0), ("weight_decay", -0.1), ("lr", float("nan"))):
        with pytest.raises(ValueError, match=f"{kind}: expected {key} >= 0"):
            make([w], **{key: value})
    for key, value in (("l1", -1.0), ("max_norm", 0.0)):
        with pytest.raises(ValueError, match=f"{kind}: expected {key}"):
            make([{"params": [w], key: value}])
    with pytest.raises(ValueError, match="unknown hyperparameters"):
        make([{"params": [w], "no_such": 1}])
    with pytest.raises(ValueError, match="given twice"):
        make([w, w])
    if "betas" in make([w]).defaults:
        with pytest.raises(ValueError, match=r"betas\[1\]"):
            make([w], betas=(0.9, 1.0))
        with pytest.raises(ValueError, match="two numbers"):
            make([w], betas=(0.9,))


def test_muon_wants_matrices() -> None:
    with pytest.raises(ValueError, match="at least two dimensions"):
        optim.Muon([Tensor(np.ones(3), requires_grad=True)])
    with pytest.raises(ValueError, match="adjust_lr_fn"):
        optim.Muon([Tensor(np.ones((3, 3)), requires_grad=True)], adjust_lr_fn="other")


def test_adamw_stays_adamw_with_a_state_of_adams() -> None:
    w = Tensor(np.ones(3), requires_grad=True)
    one, other = optim.Adam([w], weight_decay=0.1), optim.AdamW([w])
    other.load_state_dict(one.state_dict())
    assert other.param_groups[0]["decoupled_weight_decay"]
    assert other.param_groups[0]["weight_decay"] == 0.1
    one.load_state_dict(optim.Adam([w], decoupled_weight_decay=True).state_dict())
    assert one.param_groups[0]["decoupled_weight_decay"]
