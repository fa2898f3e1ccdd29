"""What single optimisers and constraints promise: closed forms, paths, projections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Tensor, optim
from fastnn.reference import optim as reference
from fastnn.reference.bfloat16 import round_to_bfloat16

Array = Any


def gradient(shape: tuple[int, ...], step: int, number: int) -> Array:
    return np.random.default_rng([step, number]).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(("dtype", "bfloat16"), [("float64", None), ("float32", False), ("float32", True)])
def test_muon_brings_singular_values_near_one(dtype: str, bfloat16: bool | None) -> None:
    """The published property of the coefficients: from anything well conditioned to [0.68, 1.13]."""
    w = Tensor(np.zeros((20, 50), dtype), requires_grad=True)
    w.grad = Tensor(np.random.default_rng(0).standard_normal((20, 50)).astype(dtype))
    optim.Muon([w], lr=1.0, ns_bfloat16=bfloat16).step()
    values = np.linalg.svd(w.data, compute_uv=False)
    assert values.min() > 0.65
    assert values.max() < 1.25


def rounded_iterations(x: Array, steps: int = 5) -> Array:
    """Newton-Schulz in float64, the factors of every product rounded to bfloat16 as float32 numbers are."""
    a, b, c = 3.4445, -4.775, 2.0315

    def product(left: Array, right: Array) -> Array:
        return rounded(left) @ rounded(right)

    def rounded(factor: Array) -> Array:
        return round_to_bfloat16(factor.astype(np.float32)).astype(np.float64)

    x = x / np.linalg.norm(x)
    for _ in range(steps):
        gram = rounded(product(x, x.T))
        x = product(a * np.eye(len(x)) + b * gram + c * product(gram, gram), x)
    return x


@pytest.mark.parametrize("unit", fastnn.backends.bf16.units())
@pytest.mark.parametrize("shape", [(64, 80), (96, 65)])
def test_muon_in_bfloat16_is_the_iteration_with_rounded_factors(unit: str, shape: tuple[int, int]) -> None:
    """One iteration, up to the few factors that float32's error lets round the other way: one in some thousand, by
    2⁻⁸. Rounding itself does more than ten times as much. (Over five iterations one such factor changes many.)"""
    gradient = np.random.default_rng(3).standard_normal(shape)
    wide = gradient if shape[0] <= shape[1] else gradient.T
    expected, moved = rounded_iterations(wide, steps=1), {}
    try:
        fastnn.backends.bf16.unit = unit
        for rounded in (False, True):
            w = Tensor(np.zeros(shape, np.float32), requires_grad=True)
            w.grad = Tensor(gradient.astype(np.float32))
            optim.Muon([w], lr=1.0, ns_steps=1, ns_bfloat16=rounded).step()
            moved[rounded] = -w.data / max(1.0, shape[0] / shape[1]) ** 0.5
            moved[rounded] = moved[rounded] if shape[0] <= shape[1] else moved[rounded].T
    finally:
        fastnn.backends.bf16.unit = "auto"
    norm = np.linalg.norm(expected)
    assert np.linalg.norm(moved[True] - expected) < 1e-4 * norm
    assert 1e-3 * norm < np.linalg.norm(moved[False] - expected) < 1e-2 * norm


def test_muon_in_bfloat16_has_the_same_bits_on_any_number_of_threads() -> None:
    gradients = [np.random.default_rng(i).standard_normal((96, 130 + i)).astype(np.float32) for i in range(3)]
    threads, found = fastnn.get_num_threads(), []
    try:
        for count in (1, 2, 3, 4):
            fastnn.set_num_threads(count)
            weights = [Tensor(np.zeros(g.shape, np.float32), requires_grad=True) for g in gradients]
            for w, g in zip(weights, gradients):
                w.grad = Tensor(g)
            optim.Muon(weights, lr=1.0, ns_bfloat16=True).step()
            found.append([w.data for w in weights])
    finally:
        fastnn.set_num_threads(threads)
    for other in found[1:]:
        for one, two in zip(found[0], other):
            np.testing.assert_array_equal(one, two)


def test_muon_rounds_nothing_in_float64_and_only_large_matrices_by_itself() -> None:
    small = np.random.default_rng(0).standard_normal((20, 70))
    for dtype, options in ((np.float64, (False, True, None)), (np.float32, (False, None))):
        moved = []
        for rounded in options:
            w = Tensor(np.zeros(small.shape, dtype), requires_grad=True)
            w.grad = Tensor(small.astype(dtype))
            optim.Muon([w], lr=1.0, ns_bfloat16=rounded).step()
            moved.append(w.data)
        for other in moved[1:]:
            np.testing.assert_array_equal(moved[0], other)
    with pytest.raises(ValueError, match="ns_bfloat16"):
        optim.Muon([Tensor(np.ones((3, 3)), requires_grad=True)], ns_bfloat16="yes")  # type: ignore[arg-type]


def test_max_norm_of_a_group_holds_after_every_step() -> None:
    rng = np.random.default_rng(0)
    weight, bias, free = (Tensor(rng.standard_normal(s), requires_grad=True) for s in ((4, 6), (4,), (4, 6)))
    optimizer = optim.SGD([{"params": [weight, bias], "max_norm": 0.5}, {"params": [free]}], lr=1.0)
    for step in range(5):
        moved = [t.data.copy() for t in (weight, bias, free)]
        for number, tensor in enumerate((weight, bias, free)):
            tensor.grad = Tensor(gradient(tensor.shape, step, number).astype(np.float64))
            moved[number] -= tensor.grad.data
        optimizer.step()
        norms = np.linalg.norm(moved[0], axis=1, keepdims=True)
        np.testing.assert_allclose(weight.data, moved[0] * np.minimum(1, 0.5 / norms), rtol=1e-12)
        np.testing.assert_allclose(bias.data, moved[1])
        np.testing.assert_allclose(free.data, moved[2])
    with pytest.raises(ValueError, match="max_norm_: expected max_norm > 0"):
        optim.max_norm_(weight, -1.0)


def test_elastic_net_finds_the_soft_threshold() -> None:
    """min ½(w - b)² + λ₁|w| + ½λ₂w² is at (|b| - λ₁)₊ sign(b) / (1 + λ₂)."""
    b = np.array([2.0, -1.0, 0.2, -0.05])
    w = Tensor(np.zeros(4), requires_grad=True)
    optimizer = optim.SGD([{"params": [w], "l1": 0.3, "weight_decay": 0.5}], lr=0.01)
    for _ in range(3000):
        w.grad = Tensor(w.data - b)
        optimizer.step()
    expected = np.sign(b) * np.maximum(np.abs(b) - 0.3, 0) / 1.5
    np.testing.assert_allclose(w.data, expected, atol=0.006)


def closure_of(optimizer: optim.Optimizer, w: Tensor, scale: Array) -> Callable[[], Tensor]:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (w * w * Tensor(scale)).sum() * 0.5 + (w * w * w).sum() * 0.1
        loss.backward()
        return loss

    return closure


def test_nesterovs_two_forms_trace_one_path_under_the_change_of_variables() -> None:
    """u = w + ρ v of the look-ahead form is the weight of SGD(nesterov=True), step by step; and w = u - ρ v."""
    scale, rho, lr = np.array([1.0, 20.0, 5.0]), 0.9, 0.02
    start = np.array([1.0, -2.0, 0.5])
    w, u = (Tensor(start.copy(), requires_grad=True) for _ in range(2))
    ahead = optim.Nesterov([w], lr=lr, momentum=rho)
    at = optim.SGD([u], lr=lr, momentum=rho, nesterov=True)
    plain_w, plain_v = start.copy(), np.zeros(3)
    for _ in range(60):
        ahead.step(closure_of(ahead, w, scale))
        at.step(closure_of(at, u, scale))
        v = ahead.state[w]["velocity"].data
        np.testing.assert_allclose(w.data + rho * v, u.data, rtol=1e-11, atol=1e-13)
        x = plain_w + rho * plain_v
        plain_w, plain_v = reference.nesterov_step(plain_w, scale * x + 0.3 * x * x, plain_v, lr=lr, momentum=rho)
        np.testing.assert_allclose(w.data, plain_w, rtol=1e-11, atol=1e-13)
        assert np.abs(w.data - u.data).max() > 1e-6
    assert np.abs(w.data).max() < 0.1


def test_look_ahead_needs_a_closure_and_undoes_its_move_on_an_error() -> None:
    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    optimizer = optim.Nesterov([w], lr=0.1)
    with pytest.raises(ValueError, match="closure"):
        optimizer.step()
    optimizer.step(closure_of(optimizer, w, np.ones(2)))
    before = w.data.copy()

    def fails() -> None:
        assert (w.data != before).all()
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        optimizer.step(fails)
    np.testing.assert_allclose(w.data, before, rtol=1e-15)


def test_lookahead_follows_its_definition(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    w = Tensor(rng.standard_normal((3, 4)), requires_grad=True)
    fast = slow = w.data.copy()
    lookahead = optim.Lookahead(optim.SGD([w], lr=0.1), k=3, alpha=0.4)
    for step in range(1, 11):
        g = gradient((3, 4), step, 0).astype(np.float64)
        w.grad = Tensor(g)
        lookahead.step()
        fast = fast - 0.1 * g
        if step % 3 == 0:
            fast = slow = slow + 0.4 * (fast - slow)
        np.testing.assert_allclose(w.data, fast, rtol=1e-12)
    fastnn.save(lookahead.state_dict(), tmp_path / "state.safetensors")
    state = fastnn.load(tmp_path / "state.safetensors")
    other = Tensor(w.data.copy(), requires_grad=True)
    again = optim.Lookahead(optim.SGD([other], lr=5.0), k=3, alpha=0.4)
    again.load_state_dict(state)
    for step in range(11, 14):
        w.grad = other.grad = Tensor(gradient((3, 4), step, 0).astype(np.float64))
        lookahead.step()
        again.step()
    np.testing.assert_array_equal(w.data, other.data)
    with pytest.raises(ValueError, match="k >= 1"):
        optim.Lookahead(optim.SGD([w]), k=0)


def test_adadelta_needs_no_learning_rate() -> None:
    """The lecture's form √(H+ε)/√(G+ε) g, with the default rate of 1; and its steps do not depend on units."""
    w = Tensor(np.array([1.0]), requires_grad=True)
    optimizer = optim.Adadelta([w], eps=1e-8)
    g, h, big, expected = 2.0, 0.0, 0.0, 1.0
    for _ in range(5):
        big = 0.9 * big + 0.1 * g * g
        d = np.sqrt(h + 1e-8) / np.sqrt(big + 1e-8) * g
        h = 0.9 * h + 0.1 * d * d
        expected -= d
        w.grad = Tensor(np.array([g]))
        optimizer.step()
    np.testing.assert_allclose(w.data, [expected], rtol=1e-12)
