"""Slices of loss landscapes and optimiser paths: against closed forms."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F
from fastnn import nn, optim
from fastnn.diagnose import (
    TestFunction,
    beale,
    bowl,
    himmelblau,
    interpolate_loss,
    loss_landscape,
    optimizer_paths,
    rosenbrock,
    saddle,
)


def regression(rows=64, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 5)).astype(np.float32)
    y = (x @ rng.standard_normal((5, 2)) + rng.standard_normal((rows, 2))).astype(np.float32)
    return [(fastnn.Tensor(x[:20]), fastnn.Tensor(y[:20])), (fastnn.Tensor(x[20:]), fastnn.Tensor(y[20:]))]


def quadratic(model, batches):
    """The loss of a linear model at any weight, in float64."""
    x = np.concatenate([batch[0].data for batch in batches]).astype(np.float64)
    y = np.concatenate([batch[1].data for batch in batches]).astype(np.float64)
    return lambda w: np.square(x @ w.T + model.bias.data.astype(np.float64) - y).mean()


@pytest.mark.parametrize("normalise", ["filter", "layer", "none"])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_the_slice_of_a_linear_models_loss_is_a_quadratic(normalise, dimensions):
    """Along a line it has one second difference everywhere; the loss of a plane has one Hessian."""
    model, batches = nn.Linear(5, 2), regression()
    found = loss_landscape(model, batches, F.mse_loss, dimensions=dimensions, points=5, normalise=normalise)
    assert found.loss.shape == (5,) * dimensions
    for axis in range(dimensions):
        second = np.diff(found.loss, 2, axis=axis)
        np.testing.assert_allclose(second, np.full(second.shape, second.ravel()[0]), rtol=2e-4)
        assert second.ravel()[0] > 0
    assert found.loss[(2,) * dimensions] == found.centre
    np.testing.assert_allclose(found.centre, quadratic(model, batches)(model.weight.data.astype(np.float64)), rtol=1e-6)


def test_filter_normalisation_gives_each_filter_the_length_of_the_weights():
    """Seen through a loss that is the squared distance of one filter from where it was."""
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    model[0].weight.data *= np.array([[1.0], [10.0], [0.1]], np.float32)
    origin = model[0].weight.data.copy()
    for row in range(3):

        def moved(output, target, row=row):
            return fastnn.Tensor(np.square(model[0].weight.data[row] - origin[row]).sum())

        found = loss_landscape(model, [(fastnn.zeros(1, 4), fastnn.zeros(1))], moved, points=3, span=0.5)
        np.testing.assert_allclose(found.loss[[0, 2]], 0.25 * np.square(origin[row]).sum(), rtol=1e-4)


def test_scaling_a_layer_does_not_change_the_landscape():
    """A factor between layers that ReLU lets through leaves function and filter-normalised slice as they are."""
    fastnn.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 8, bias=False), nn.ReLU(), nn.Linear(8, 2, bias=False))
    batches = regression()
    first = loss_landscape(model, batches, F.mse_loss, points=7)
    model[0].weight.data *= 4
    model[2].weight.data /= 4
    np.testing.assert_allclose(loss_landscape(model, batches, F.mse_loss, points=7).loss, first.loss, rtol=1e-5)
    unscaled = loss_landscape(model, batches, F.mse_loss, points=7, normalise="none")
    assert not np.allclose(unscaled.loss, first.loss, rtol=1e-2)


def test_the_weights_come_back_and_seeds_decide():
    model, batches = nn.Sequential(nn.Linear(5, 2), nn.BatchNorm1d(2)), regression()
    before = {name: value.data.copy() for name, value in model.state_dict().items()}
    first, again, other = (loss_landscape(model, batches, F.mse_loss, seed=seed).loss for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[name])
    assert model.training


def test_interpolation_and_its_barrier():
    model, batches = nn.Linear(5, 2), regression()
    rng = np.random.default_rng(1)
    states = [
        {"weight": rng.standard_normal((2, 5)).astype(np.float32), "bias": np.zeros(2, np.float32)} for _ in range(2)
    ]
    before = model.weight.data.copy()
    found = interpolate_loss(model, states[0], states[1], batches, F.mse_loss, points=5)
    np.testing.assert_array_equal(model.weight.data, before)
    model.bias.data[...] = 0
    loss = quadratic(model, batches)
    expected = [loss((1 - t) * states[0]["weight"] + t * states[1]["weight"]) for t in found.t]
    np.testing.assert_allclose(found.loss, expected, rtol=1e-5)
    assert found.barrier == 0.0  # the loss is convex
    mixed = nn.Linear(1, 1, bias=False)
    wall = interpolate_loss(
        mixed, {"weight": [[-1.0]]}, {"weight": [[1.0]]}, [(fastnn.ones(1, 1), fastnn.ones(1))], barrier_loss
    )
    assert wall.barrier == pytest.approx(1.0)


def barrier_loss(output, target):
    return (1 - output.square()).mean()


def test_landscapes_draw_and_tell(tmp_path):
    pytest.importorskip("matplotlib")
    model, batches = nn.Linear(5, 2), regression()
    for dimensions in (1, 2):
        found = loss_landscape(model, batches, F.mse_loss, dimensions=dimensions, points=4, span=30.0)
        assert json.loads(found.to_json())["loss"] == found.loss.tolist()
        found.plot(tmp_path / f"{dimensions}.png")
    model.weight.data[0, 0] = np.nan
    loss_landscape(model, batches, F.mse_loss, points=3).plot(tmp_path / "nan.png")
    model.weight.data[0, 0] = 0
    state = model.state_dict()
    interpolate_loss(model, state, state, batches, F.mse_loss, points=2).plot(tmp_path / "line.png")
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_impossible_slices():
    model, batches = nn.Linear(5, 2), regression()
    for bad in ({"dimensions": 3}, {"points": 1}, {"span": 0.0}, {"normalise": "no"}):
        with pytest.raises(ValueError, match="loss_landscape: expected"):
            loss_landscape(model, batches, F.mse_loss, **bad)
    with pytest.raises(ValueError, match="at least one batch"):
        loss_landscape(model, [], F.mse_loss)
    with pytest.raises(ValueError, match="missing keys: bias"):
        interpolate_loss(model, {"weight": np.zeros((2, 5))}, model.state_dict(), batches, F.mse_loss)


FUNCTIONS = [bowl(), bowl(7.0, 0.6), saddle(), rosenbrock(), beale(), himmelblau()]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.name)
def test_the_gradient_vanishes_at_each_minimum_and_the_curvature_is_positive(function: TestFunction):
    for minimum in function.minima:
        point = fastnn.tensor(minimum, dtype=fastnn.float64)
        curvature = fastnn.autograd.hessian(lambda p: function.function(p[0], p[1]), point).data
        assert np.linalg.eigvalsh(curvature)[0] > 0
        gradient = fastnn.autograd.jacobian(lambda p: function.function(p[0], p[1]), point).data
        np.testing.assert_allclose(gradient, 0, atol=1e-4)
    assert function(*function.start) > min(function(*minimum) for minimum in function.minima)


def test_published_values():
    assert rosenbrock()(-1.2, 1.0) == pytest.approx(24.2)
    assert beale()(1.0, 1.0) == pytest.approx(14.203125)
    assert himmelblau()(0.0, 0.0) == 170
    assert saddle()(0.0, 1.0) == -0.25
    assert bowl(20.0)(-4.0, 1.0) == 18.0
    np.testing.assert_allclose(bowl(9.0, math.pi / 2)(1.0, 2.0), (4 + 9) / 2)


def test_gradient_descent_on_a_bowl_has_a_closed_form():
    """Each coordinate shrinks by 1 - η λ a step, and changes sign along the steep axis: the zig-zag."""
    found = optimizer_paths(bowl(20.0), {"SGD": lambda p: optim.SGD(p, lr=0.09)}, steps=30).paths[0]
    steps = np.arange(31)
    np.testing.assert_allclose(found.points[:, 0], -4 * (1 - 0.09) ** steps, rtol=1e-12)
    np.testing.assert_allclose(found.points[:, 1], (1 - 0.09 * 20) ** steps, rtol=1e-12)
    assert (np.diff(np.sign(found.points[:, 1])) != 0).all()
    np.testing.assert_allclose(found.values, bowl(20.0)(*found.points.T))


def test_momentum_on_a_bowl_is_a_matrix_power():
    found = optimizer_paths(bowl(5.0), {"momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9)}, steps=20).paths[0]
    for place, slope in ((0, 1.0), (1, 5.0)):
        step = np.array([[1 - 0.05 * slope, -0.05 * 0.9], [slope, 0.9]])
        expected = [np.linalg.matrix_power(step, k) @ [found.points[0, place], 0.0] for k in range(21)]
        np.testing.assert_allclose(found.points[:, place], np.array(expected)[:, 0], rtol=1e-10)


def test_rotation_turns_the_path_of_sgd_but_not_that_of_adagrad():
    """SGD does not care for axes; a rate per coordinate does (CS231n, lecture 7)."""
    angle = 0.7
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    makers = {"SGD": lambda p: optim.SGD(p, lr=0.05), "Adagrad": lambda p: optim.Adagrad(p, lr=0.5)}
    straight = optimizer_paths(bowl(10.0), makers, start=(-4.0, 1.0), steps=15).paths
    turned = optimizer_paths(bowl(10.0, angle), makers, start=tuple(turn @ [-4.0, 1.0]), steps=15).paths
    np.testing.assert_allclose(turned[0].points, straight[0].points @ turn.T, rtol=1e-9)
    assert np.abs(turned[1].points - straight[1].points @ turn.T).max() > 0.1


def test_the_point_as_a_matrix():
    """SGD does not mind; of a matrix of rank 1, Muon's iteration x <- ax + bx³ + cx⁵ changes the length alone."""
    sgd = {"SGD": lambda p: optim.SGD(p, lr=0.09)}
    vector, matrix = (optimizer_paths(bowl(20.0), sgd, steps=10, matrix=each).paths[0] for each in (False, True))
    np.testing.assert_array_equal(matrix.points, vector.points)
    coefficients, length = (2.0, -1.5, 0.4), 1.0
    for _ in range(3):
        length = sum(c * length**power for c, power in zip(coefficients, (1, 3, 5)))
    options = {"momentum": 0.0, "nesterov": False, "weight_decay": 0.0, "ns_coefficients": coefficients, "ns_steps": 3}
    found = optimizer_paths(bowl(5.0), {"Muon": lambda p: optim.Muon(p, lr=0.1, **options)}, steps=8, matrix=True)
    points = found.paths[0].points
    slopes = points[:-1] * [1.0, 5.0]
    unit = slopes / np.linalg.norm(slopes, axis=1, keepdims=True)
    np.testing.assert_allclose(np.diff(points, axis=0), -0.1 * length * unit, rtol=1e-5)


def test_a_path_that_diverges_ends_where_it_does():
    found = optimizer_paths(rosenbrock(), {"SGD": lambda p: optim.SGD(p, lr=1.0)}, steps=100).paths[0]
    assert 1 < len(found.points) < 101
    assert np.isfinite(found.points).all()


def test_paths_draw_and_tell(tmp_path):
    pytest.importorskip("matplotlib")
    for number, function in enumerate(FUNCTIONS):
        found = optimizer_paths(function, {"Adam": lambda p: optim.Adam(p, lr=0.1)}, steps=5)
        assert len(json.loads(found.to_json())["paths"][0]["points"]) == 6
        found.plot(tmp_path / f"{number}.png")
    assert len(list(tmp_path.glob("*.png"))) == len(FUNCTIONS)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="optimizer_paths: expected"):
        optimizer_paths(saddle(), {}, steps=-1)
    with pytest.raises(ValueError, match="optimizer_paths: expected"):
        optimizer_paths(saddle(), {}, start=(1.0,))
    with pytest.raises(ValueError, match="bowl: expected condition"):
        bowl(0.0)
