"""L-BFGS, BFGS and Newton's methods against SciPy's minima, and the line search against its conditions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import optimize

import fastnn
import fastnn.nn.functional as F
from fastnn import Tensor, optim
from fastnn.optim.line_search import strong_wolfe

Array = Any
METHODS: dict[str, Callable[[list[Tensor]], optim.Optimizer]] = {
    "L-BFGS": lambda p: optim.LBFGS(p, max_iter=500, tolerance_change=1e-15, line_search_fn="strong_wolfe"),
    "L-BFGS history 3": lambda p: optim.LBFGS(
        p, max_iter=900, tolerance_change=1e-15, history_size=3, line_search_fn="strong_wolfe"
    ),
    "BFGS": lambda p: optim.BFGS(p, max_iter=500),
    "Newton-CG": lambda p: optim.NewtonCG(p, max_iter=200),
    "Newton": lambda p: optim.Newton(p, max_iter=200),
    "Newton damped": lambda p: optim.Newton(p, max_iter=400, damping=1e-3),
}
SCIPYS = {"L-BFGS": "L-BFGS-B", "L-BFGS history 3": "L-BFGS-B", "BFGS": "BFGS"}
EACH = pytest.mark.parametrize("name", METHODS)


def minimise(optimizer: optim.Optimizer, loss_of: Callable[[], Tensor]) -> float:
    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(loss_of())


def rosenbrock(w: Tensor) -> Tensor:
    return (100.0 * (w[1:] - w[:-1] ** 2) ** 2 + (1.0 - w[:-1]) ** 2).sum()


@EACH
@pytest.mark.parametrize("size", [2, 10])
def test_the_minimum_of_rosenbrocks_function_is_scipys(name: str, size: int) -> None:
    # From (-1.2, 1, ...) ten dimensions have a local minimum in the way.
    start = np.array([-1.2, 1.0]) if size == 2 else np.zeros(size)
    method = SCIPYS.get(name, "Newton-CG")
    options: dict[str, Any] = {"xtol": 1e-12} if method == "Newton-CG" else {"gtol": 1e-10}
    options |= {"ftol": 1e-16} if method == "L-BFGS-B" else {}
    second = {"hess": optimize.rosen_hess} if method == "Newton-CG" else {}
    expected = optimize.minimize(
        optimize.rosen, start, jac=optimize.rosen_der, method=method, options=options | {"maxiter": 2000}, **second
    )
    w = Tensor(start.copy(), requires_grad=True)
    optimizer = METHODS[name]([w])
    value = minimise(optimizer, lambda: rosenbrock(w))
    assert value < 1e-10
    np.testing.assert_allclose(w.data, expected.x, atol=1e-6)
    np.testing.assert_allclose(w.data, 1.0, atol=1e-6)


def classes() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4)) * [1.0, 3.0, 0.3, 1.0]
    y = (x @ [1.0, -0.5, 2.0, 0.0] + rng.standard_normal(60) > 0.3).astype(float)
    return x, y


@EACH
def test_the_minimum_of_a_logistic_regression_is_scipys(name: str) -> None:
    x, y = classes()

    def objective(v: Array) -> float:
        z = x @ v[:4] + v[4]
        return float(np.logaddexp(0, z).sum() - y @ z + 0.5 * v[:4] @ v[:4])

    def slope(v: Array) -> Array:
        error = 1 / (1 + np.exp(-(x @ v[:4] + v[4]))) - y
        return np.append(x.T @ error + v[:4], error.sum())

    expected = optimize.minimize(objective, np.zeros(5), jac=slope, method="BFGS", options={"gtol": 1e-9})
    weight, bias = Tensor(np.zeros((4, 1)), requires_grad=True), Tensor(np.zeros(1), requires_grad=True)
    inputs, targets = Tensor(x), Tensor(y[:, None])

    def loss_of() -> Tensor:
        logits = inputs @ weight + bias
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") + 0.5 * (weight * weight).sum()

    value = minimise(METHODS[name]([weight, bias]), loss_of)
    np.testing.assert_allclose(np.append(weight.data, bias.data), expected.x, atol=1e-6)
    assert value == pytest.approx(expected.fun, abs=1e-9)


def test_newton_needs_one_step_for_a_bowl() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    matrix, b = root @ root.T + np.eye(6), rng.standard_normal(6)
    solution = np.linalg.solve(matrix, b)
    for make in (
        lambda p: optim.Newton(p, max_iter=1, line_search_fn=None),
        lambda p: optim.NewtonCG(p, max_iter=8, line_search_fn=None),
        lambda p: optim.BFGS(p),
    ):
        w = Tensor(np.zeros(6), requires_grad=True)
        optimizer = make([w])
        minimise(optimizer, lambda w=w: 0.5 * (w * (Tensor(matrix) @ w)).sum() - (Tensor(b) * w).sum())
        np.testing.assert_allclose(w.data, solution, atol=1e-7)
    assert np.linalg.eigvalsh(optimizer.memory["inverse"]).min() > 0


def test_newton_goes_downhill_where_the_hessian_is_indefinite() -> None:
    """From beside the saddle of (x² - 1)² + y² to one of its minima, (±1, 0)."""
    for make in (optim.Newton, optim.NewtonCG, optim.BFGS):
        w = Tensor(np.array([0.01, 1.0]), requires_grad=True)
        value = minimise(make([w], max_iter=100), lambda w=w: (w[0] ** 2 - 1) ** 2 + w[1] ** 2)
        assert value < 1e-12
        np.testing.assert_allclose(np.abs(w.data), [1, 0], atol=1e-6)


def test_float32_parameters_of_several_shapes() -> None:
    fastnn.manual_seed(0)
    layers = [Tensor(np.zeros(s, np.float32), requires_grad=True) for s in ((3, 2), (2,))]
    x = np.random.default_rng(0).standard_normal((30, 3)).astype(np.float32)
    target = Tensor(x @ np.array([[1, 2], [3, 4], [5, 6]], np.float32) + np.float32(0.5))
    optimizer = optim.LBFGS(layers, max_iter=50, line_search_fn="strong_wolfe")
    value = minimise(optimizer, lambda: ((Tensor(x) @ layers[0] + layers[1] - target) ** 2).mean())
    assert value < 1e-9
    np.testing.assert_allclose(layers[0].data, [[1, 2], [3, 4], [5, 6]], atol=1e-3)
    with pytest.raises(TypeError, match="float64"):
        optim.Newton(layers)


def test_the_line_search_fulfils_the_strong_wolfe_conditions() -> None:
    """On functions that need extending, narrowing or nothing, from good and bad first steps."""
    functions = [
        (lambda t: (t - 3.0) ** 2, lambda t: 2 * (t - 3.0)),
        (lambda t: np.cos(t) + 0.1 * t, lambda t: -np.sin(t) + 0.1),
        (lambda t: -t / (t * t + 2.0), lambda t: (t * t - 2.0) / (t * t + 2.0) ** 2),
        (lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4, lambda t: 5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3),
    ]
    for value, slope in functions:
        begin = 0.5
        for first in (1e-3, 0.1, 1.0, 10.0):
            f0, g0 = value(begin), slope(begin)
            assert g0 < 0
            point, count = strong_wolfe(
                lambda t, v=value, s=slope, b=begin: (v(b + t), np.array([s(b + t)])),
                np.array([1.0]), f0, np.array([g0]), first, c2=0.1,
            )  # fmt: skip
            assert point.value <= f0 + 1e-4 * point.t * g0
            assert abs(point.slope) <= 0.1 * abs(g0)
            assert count <= 26


@pytest.mark.parametrize("name", ["L-BFGS", "BFGS"])
def test_goes_on_from_its_saved_state_to_the_same_bits(name: str, tmp_path: Path) -> None:
    def make(w: Tensor) -> optim.Optimizer:
        if name == "BFGS":
            return optim.BFGS([w], max_iter=4)
        return optim.LBFGS([w], max_iter=4, line_search_fn="strong_wolfe")

    def steps(optimizer: optim.Optimizer, w: Tensor, count: int) -> None:
        for _ in range(count):
            minimise(optimizer, lambda: rosenbrock(w))

    whole = Tensor(np.array([-1.2, 1.0, 0.3]), requires_grad=True)
    steps(make(whole), whole, 5)
    w = Tensor(np.array([-1.2, 1.0, 0.3]), requires_grad=True)
    optimizer = make(w)
    steps(optimizer, w, 2)
    again = Tensor(w.data.copy(), requires_grad=True)
    other = make(again)
    fastnn.save(optimizer.state_dict(), tmp_path / "state.safetensors")
    other.load_state_dict(fastnn.load(tmp_path / "state.safetensors"))
    steps(other, again, 3)
    np.testing.assert_array_equal(whole.data, again.data)
    with pytest.raises(ValueError, match="one group of 2"):
        optim.BFGS([w, again]).load_state_dict(optimizer.state_dict())
    with pytest.raises(ValueError, match="of 2 numbers"):
        optim.BFGS([Tensor(np.zeros(2), requires_grad=True)]).load_state_dict(optimizer.state_dict())


def test_a_fresh_state_travels_too() -> None:
    w = Tensor(np.zeros(2), requires_grad=True)
    one, other = (optim.LBFGS([w], line_search_fn="strong_wolfe") for _ in range(2))
    other.load_state_dict(one.state_dict())
    assert minimise(other, lambda: ((w - 1.0) ** 2).sum()) < 1e-12


def test_impossible_arguments_are_named() -> None:
    w = Tensor(np.zeros(2), requires_grad=True)
    for kind in (optim.LBFGS, optim.BFGS, optim.Newton, optim.NewtonCG):
        with pytest.raises(ValueError, match=f"{kind.__name__}.step: expected a closure"):
            kind([w]).step()
        with pytest.raises(ValueError, match=f"{kind.__name__}: expected line_search_fn"):
            kind([w], line_search_fn="armijo")
        with pytest.raises(ValueError, match=f"{kind.__name__}: expected one group"):
            kind([{"params": [w]}, {"params": [Tensor(np.zeros(1), requires_grad=True)]}])
        with pytest.raises(ValueError, match="max_iter"):
            kind([w], max_iter=-1)
    with pytest.raises(ValueError, match="damping"):
        optim.Newton([w], damping=-1.0)
