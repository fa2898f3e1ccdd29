"""What the rows of `tests/cases/norm.py` cannot show: running statistics, hard numbers, errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _C
from fastnn.ops.norm import batch_norm, batch_norm_relu, group_norm, instance_norm, layer_norm
from fastnn.reference import batch_norm as reference


def _numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(6, 5), (4, 3, 5, 5), (2, 101, 3)])
def test_running_statistics_follow_the_batch_with_the_unbiased_variance(shape: tuple[int, ...], dtype: str) -> None:
    x, c = _numbers(*shape).astype(dtype), shape[1]
    mean, var = _numbers(c, seed=1).astype(dtype), np.abs(_numbers(c, seed=2)).astype(dtype)
    expected = reference.batch_norm_update(mean, var, x.astype("float64"), 0.3)
    batch_norm(fastnn.Tensor(x), mean, var, training=True, momentum=0.3)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(var, expected[1], rtol=1e-5, atol=1e-6)


def test_evaluation_leaves_the_running_statistics_alone() -> None:
    mean, var = np.zeros(3, np.float32), np.ones(3, np.float32)
    batch_norm(fastnn.Tensor(_numbers(4, 3).astype("float32")), mean, var)
    assert mean.tolist() == [0, 0, 0]
    assert var.tolist() == [1, 1, 1]


@pytest.mark.parametrize("c", [1, 3, 16, 24, 101])
@pytest.mark.parametrize("center", [0.0, 1e4, -1e6])
def test_a_large_mean_costs_no_accuracy(c: int, center: float) -> None:
    x = (_numbers(64, c, 9, 9) + center).astype("float32")
    y = batch_norm(fastnn.Tensor(x), None, None, training=True).data
    exact = reference.batch_norm_train_fwd(x.astype("float64"))[0]
    np.testing.assert_allclose(y, exact, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    "function",
    [lambda x: layer_norm(x, x.shape[1:]), lambda x: group_norm(x, 2), instance_norm],
    ids=["layer", "group", "instance"],
)
def test_the_other_norms_bear_a_large_mean_too(function: Callable[..., Any]) -> None:
    x = (_numbers(3, 6, 9, 9) + 1e4).astype("float32")
    exact = function(fastnn.Tensor(x.astype("float64"))).data
    np.testing.assert_allclose(function(fastnn.Tensor(x)).data, exact, rtol=1e-5, atol=2e-6)


def test_an_outlier_in_front_does_not_spoil_the_variance() -> None:
    x = _numbers(5000, 4).astype("float32")
    x[0] = 1e3
    y = batch_norm(fastnn.Tensor(x), None, None, training=True, eps=0.0).data
    np.testing.assert_allclose(y, reference.batch_norm_train_fwd(x.astype("float64"), eps=0.0)[0], rtol=1e-4, atol=1e-6)


def test_a_constant_channel_becomes_the_bias() -> None:
    x = np.full((8, 3, 4, 4), 7.3, np.float32)
    bias = np.array([1, 2, 3], np.float32)
    y = batch_norm(fastnn.Tensor(x), None, None, None, bias, training=True).data
    np.testing.assert_allclose(y, np.broadcast_to(bias.reshape(1, 3, 1, 1), x.shape), atol=1e-5)


def test_nan_stays_in_its_channel_and_passes_the_relu() -> None:
    x = _numbers(4, 3, 5, 5).astype("float32")
    x[0, 1, 2, 2] = np.nan
    y = batch_norm_relu(fastnn.Tensor(x), None, None, training=True).data
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, [0, 2]]).all()


@pytest.mark.parametrize("channels", [24, 10, 37])
def test_a_gradient_that_goes_past_the_caches(channels: int) -> None:
    """Above 12 MB: against the formula in float64, and the same bits on one thread."""
    rng = np.random.default_rng(channels)
    size = math.isqrt(3_200_000 // (8 * channels)) + 1
    images = rng.standard_normal((8, size, size, channels)).astype(np.float32).transpose(0, 3, 1, 2)
    x = fastnn.Tensor(images, requires_grad=True)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    weight = fastnn.Tensor(rng.uniform(0.5, 2, channels).astype(np.float32))
    threads, found = fastnn.get_num_threads(), []
    try:
        for count in (2, 1):
            fastnn.set_num_threads(count)
            x.grad = None
            batch_norm(x, None, None, weight, training=True).backward(fastnn.Tensor(dy))
            gradient: Any = x.grad
            found.append(gradient.numpy())
    finally:
        fastnn.set_num_threads(threads)
    assert found[0].nbytes > 12_000_000
    np.testing.assert_array_equal(*found)
    axes = (0, 2, 3)
    exact, g = images.astype(np.float64), dy.astype(np.float64)
    exact -= exact.mean(axes, keepdims=True)
    deviation = np.sqrt((exact**2).mean(axes, keepdims=True) + 1e-5)
    exact /= deviation
    dx = g - g.mean(axes, keepdims=True) - exact * (g * exact).mean(axes, keepdims=True)
    dx *= weight.numpy().astype(np.float64)[:, None, None] / deviation
    np.testing.assert_allclose(found[0], dx, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("level", fastnn.cpu.levels())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "hardtanh"])
def test_the_norm_of_an_activation_has_the_bits_of_two_kernels(name: str, dtype: str, level: str) -> None:
    """Of activations whose backward pass reads the output, too; with dx in place of dy, and with no dx."""
    fastnn.cpu.set_level(level)
    rng, code = np.random.default_rng(0), _C.ACTIVATIONS[name]
    parameters = {"softplus": (1.0, 20.0, 0.0), "hardtanh": (-0.5, 0.5, 0.0)}.get(name, (0.0, 0.0, 0.0))
    for rows, c in ((9000, 3), (1200, 24), (40, 700)):
        x, dy, w, b = (rng.standard_normal(s).astype(dtype) for s in ((rows, c), (rows, c), c, c))
        mean, rstd = rng.standard_normal(c), rng.uniform(0.5, 2, c)
        z, y, fused, dz, dx = (np.full_like(x, np.nan) for _ in range(5))
        _C.norm_batch_apply(x, None, w, b, False, mean, rstd, z)
        _C.activation_fwd(code, z, y, *parameters)
        _C.norm_activation_fwd(code, parameters, x, w, b, mean, rstd, fused)
        saved = y if name in _C.ACTIVATIONS_FROM_OUTPUT else z
        _C.activation_bwd(code, dy, saved, dz, *parameters)
        for training in (True, False):
            sums = [np.full_like(w, np.nan) for _ in range(6)]
            _C.norm_batch_bwd(training, dz, x, None, w, b, False, mean, rstd, dx, None, *sums[:2])
            in_place = dy.copy()
            given = training, code, parameters
            _C.norm_activation_bwd(*given, in_place, x, w, b, mean, rstd, in_place, *sums[2:4])
            _C.norm_activation_bwd(*given, dy, x, w, b, mean, rstd, None, *sums[4:])
            found, expected = [fused, in_place, *sums[2:]], [y, dx, *sums[:2], *sums[:2]]
            assert [each.tobytes() for each in found] == [each.tobytes() for each in expected]


def test_an_empty_batch_gives_an_empty_result() -> None:
    mean = np.zeros(3, np.float32)
    x = fastnn.Tensor(np.empty((0, 3, 4, 4), np.float32), requires_grad=True)
    y = batch_norm(x, mean, mean + 1, training=True)
    assert y.shape == (0, 3, 4, 4)
    assert mean.tolist() == [0, 0, 0]


X = np.zeros((2, 4, 3, 3), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: batch_norm(X[:1, :, 0, 0], None, None, training=True), ValueError, r"batch_norm: .*\(1, 4\)"),
        (lambda: batch_norm(X, None, None), ValueError, "batch_norm: expected running_mean"),
        (lambda: batch_norm(X, None, None, X[0, :3, 0, 0], training=True), ValueError, r"weight of shape \(4,\)"),
        (lambda: batch_norm(X.astype(int), None, None, training=True), TypeError, "batch_norm: .*int64"),
        (lambda: batch_norm(X, None, None, np.ones(4), training=True), TypeError, "weight to be float32"),
        (lambda: batch_norm(X[0, 0, 0], None, None, training=True), ValueError, "2 dimensions"),
        (
            lambda: batch_norm_relu(X, None, None, training=True, residual=X[:1]),
            ValueError,
            "batch_norm_relu: expected a residual",
        ),
        (lambda: layer_norm(X, (4, 3)), ValueError, r"layer_norm: .*\(4, 3\)"),
        (lambda: layer_norm(X, 3, X[0, 0]), ValueError, r"weight of shape \(3,\)"),
        (lambda: group_norm(X, 3), ValueError, "group_norm: expected num_groups"),
        (lambda: group_norm(X[:1, :, :1, :1], 4), ValueError, "group_norm: expected more than one value"),
        (lambda: instance_norm(X[..., :1, :1]), ValueError, "instance_norm: expected more than one spatial"),
        (lambda: instance_norm(X, use_input_stats=False), ValueError, "instance_norm: expected running_mean"),
    ],
)
def test_errors_name_the_operation_and_the_shapes(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_binding_refuses_arrays_that_do_not_fit() -> None:
    x, c, short = np.zeros((6, 4), np.float32), np.zeros(4), np.zeros(3)
    with pytest.raises(ValueError, match="rows of 3"):
        _C.norm_batch_apply(x[:5, :].ravel()[:8].copy(), None, None, None, False, short, short, x)
    with pytest.raises(ValueError, match="y: expected 24 elements"):
        _C.norm_batch_apply(x, None, None, None, False, c, c, x[:2].copy())
    with pytest.raises(ValueError, match="y and dz together"):
        _C.norm_batch_bwd(True, x, x, x, None, None, True, c, c, None, None, None, None)
    with pytest.raises(ValueError, match="groups that divide 4"):
        _C.norm_group_fwd(x, None, None, 1e-5, x.copy(), np.zeros((6, 3)), np.zeros((6, 3)))
    with pytest.raises(ValueError, match="rows of 0"):
        _C.norm_layer_fwd(x, None, None, 1e-5, x.copy(), c, c, 0)
