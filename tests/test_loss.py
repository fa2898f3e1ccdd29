"""Losses at their limits: huge logits, masked classes, nothing to average over, and arguments that must be refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.nn import functional as F
from tests.cases import Array


def _gradient(function: Any, x: Array, *others: Any, **options: Any) -> tuple[Array, Array]:
    t = fastnn.Tensor(x, True)
    y = function(t, *others, **options)
    y.sum().backward()
    assert t.grad is not None
    return y.data, t.grad.data


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_huge_logits(dtype: str) -> None:
    x = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 9999.5], [1e4, 1e4, 1e4]], dtype)
    target = np.array([1, 1, 2])
    y, dx = _gradient(F.cross_entropy, x, target, reduction="none")
    np.testing.assert_allclose(y, [2e4, np.log1p(np.exp(-0.5)), np.log(3)], rtol=1e-6)
    p = 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(dx, [[1, -1, 0], [0, p - 1, 1 - p], [1 / 3, 1 / 3, -2 / 3]], rtol=1e-5, atol=1e-7)
    one_hot = np.eye(3, dtype=dtype)[target]
    again, d_again = _gradient(F.cross_entropy, x, one_hot, reduction="none")
    np.testing.assert_allclose(again, y, rtol=1e-6)
    np.testing.assert_allclose(d_again, dx, rtol=1e-5, atol=1e-7)


def test_cross_entropy_with_masked_classes() -> None:
    x = np.array([[0.0, -np.inf, 0.0]], np.float32)
    y, dx = _gradient(F.cross_entropy, x, np.array([0]))
    np.testing.assert_allclose(y, np.log(2), rtol=1e-6)
    np.testing.assert_allclose(dx, [[-0.5, 0, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("soft", [False, True])
def test_a_sample_of_weight_two_counts_twice(soft: bool) -> None:
    rng = np.random.default_rng(0)
    x, classes = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    target = rng.dirichlet(np.ones(4), 6) if soft else classes
    count, class_weight = np.array([1, 2, 0, 3, 1, 1]), fastnn.Tensor(rng.uniform(0.5, 2, 4))
    options = {"label_smoothing": 0.1}
    weighted = F.cross_entropy(x, target, class_weight, count.astype(float), **options).item()
    repeated = F.cross_entropy(x.repeat(count, 0), target.repeat(count, 0), class_weight, **options).item()
    assert weighted == pytest.approx(repeated, rel=1e-12)
    for bad, error in ((np.ones(5), ValueError), (-np.ones(6), ValueError), (np.ones(6, np.float32), TypeError)):
        with pytest.raises(error, match="sample_weight"):
            F.cross_entropy(x, target, None, bad)


def test_cross_entropy_over_ignored_rows_only() -> None:
    x = np.ones((3, 4), np.float32)
    y, dx = _gradient(F.cross_entropy, x, np.full(3, -100))
    assert np.isnan(y)
    np.testing.assert_array_equal(dx, 0)
    assert F.cross_entropy(x, np.full(3, -100), reduction="sum").item() == 0


def test_binary_losses_of_extreme_arguments() -> None:
    x, t = np.array([1e4, -1e4, 1e4, -1e4], np.float32), np.array([0, 1, 1, 0], np.float32)
    y, dx = _gradient(F.binary_cross_entropy_with_logits, x, t, reduction="none")
    np.testing.assert_allclose(y, [1e4, 1e4, 0, 0])
    np.testing.assert_allclose(dx, [1, -1, 0, 0])
    y, dx = _gradient(F.binary_cross_entropy, np.array([0, 1, 0, 1], np.float32), t[[1, 0, 0, 1]], reduction="none")
    np.testing.assert_allclose(y, [100, 100, 0, 0])
    assert np.isfinite(dx).all()


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "multi_margin_loss"])
@pytest.mark.parametrize("bad", [-1, 4, 2**40])
def test_targets_out_of_range(name: str, bad: int) -> None:
    with pytest.raises(ValueError, match=rf"{name}: expected targets from 0 to 3.*got {bad}"):
        getattr(F, name)(np.ones((3, 4), np.float32), np.array([0, bad, 1]))


def test_targets_changed_after_the_forward_pass_do_no_harm() -> None:
    x, target = fastnn.Tensor(np.ones((3, 4), np.float32), True), np.array([0, 1, 2])
    y = F.cross_entropy(x, target)
    target[:] = 10**12
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 0)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.cross_entropy(x, np.zeros(2, np.int64)), ValueError, r"expected target of shape \(3,\)"),
        (lambda x: F.cross_entropy(x, np.zeros(3, bool)), TypeError, "integer dtype"),
        (lambda x: F.cross_entropy(x, np.zeros((3, 5), np.float32)), ValueError, "distributions like the input"),
        (lambda x: F.cross_entropy(x, np.zeros(3, int), np.ones(3, np.float32)), ValueError, "each of 4 classes"),
        (lambda x: F.cross_entropy(x, np.zeros(3, int), reduction="avg"), ValueError, "reduction"),
        (lambda x: F.cross_entropy(x, np.zeros(3, int), label_smoothing=1.5), ValueError, "label_smoothing"),
        (lambda x: F.cross_entropy(x.astype(np.float16), np.zeros(3, int)), TypeError, "float32 or float64"),
        (lambda x: F.mse_loss(x, x[:1]), ValueError, "shape"),
        (lambda x: F.mse_loss(x, x.astype(np.float64)), TypeError, "dtype"),
        (lambda x: F.huber_loss(x, x, delta=0), ValueError, "delta"),
        (lambda x: F.smooth_l1_loss(x, x, beta=-1), ValueError, "beta"),
        (lambda x: F.binary_cross_entropy(x + 1, x), ValueError, "probabilities"),
        (lambda x: F.kl_div(x, x, reduction="batch"), ValueError, "batchmean"),
        (lambda x: F.multi_margin_loss(x, np.zeros(3, int), p=3), ValueError, "p of 1 or 2"),
        (lambda x: F.softmax(x, 2), IndexError, "dim 2"),
        (lambda x: F.prelu(x, np.ones(3, np.float32)), ValueError, "slopes"),
        (lambda x: F.gelu(x, "erf"), ValueError, "approximate"),
        (lambda x: F.relu(x.astype(int)), TypeError, "relu"),
        (lambda x: F.dropout(x, 1.5), ValueError, "dropout"),
        (lambda x: F.dropout2d(x), ValueError, "dropout2d"),
    ],
)
def test_arguments_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(np.ones((3, 4), np.float32))
