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

Array = Any


def gradient(shape: tuple[int, ...], step: int, number: int) -> Array:
    return np.random.default_rng([step, number]).standard_normal(shape).astype(np.float32)


def test_muon_brings_singular_values_near_one() -> None:
    """The published property of the coefficients: from anything well conditioned to [0.68, 1.13]."""
    w = Tensor(np.zeros((20, 50)), requires_grad=True)
    w.grad = Tensor(np.random.default_rng(0).standard_normal((20, 50)))
    optim.Muon([w], lr=1.0).step()
    values = np.linalg.svd(w.data, compute_uv=False)
    assert values.min() > 0.65
    assert values.max() < 1.25


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
