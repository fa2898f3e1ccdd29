"""Activations and losses at logits of ±1e4: finite, and what the formulas tend to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Tensor
from fastnn.nn import functional as F

BIG = 1e4
LINE = np.array([-BIG, -100.0, 0.0, 100.0, BIG])

ACTIVATIONS: dict[str, tuple[Callable[..., Any], list[float], list[float]]] = {  # at LINE: values and derivatives
    "relu": (F.relu, [0, 0, 0, 100, BIG], [0, 0, 0, 1, 1]),
    "leaky_relu": (F.leaky_relu, [-100, -1, 0, 100, BIG], [0.01, 0.01, 0.01, 1, 1]),
    "elu": (F.elu, [-1, -1, 0, 100, BIG], [0, 0, 1, 1, 1]),
    "celu": (lambda x: F.celu(x, 2.0), [-2, -2, 0, 100, BIG], [0, 0, 1, 1, 1]),
    "gelu": (F.gelu, [0, 0, 0, 100, BIG], [0, 0, 0.5, 1, 1]),
    "gelu_tanh": (lambda x: F.gelu(x, "tanh"), [0, 0, 0, 100, BIG], [0, 0, 0.5, 1, 1]),
    "silu": (F.silu, [0, 0, 0, 100, BIG], [0, 0, 0.5, 1, 1]),
    "mish": (F.mish, [0, 0, 0, 100, BIG], [0, 0, 0.6, 1, 1]),
    "sigmoid": (F.sigmoid, [0, 0, 0.5, 1, 1], [0, 0, 0.25, 0, 0]),
    "tanh": (F.tanh, [-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
    "softplus": (F.softplus, [0, 0, np.log(2), 100, BIG], [0, 0, 0.5, 1, 1]),
    "logsigmoid": (F.logsigmoid, [-BIG, -100, -np.log(2), 0, 0], [1, 1, 0.5, 0, 0]),
    "softsign": (F.softsign, [-BIG / (BIG + 1), -100 / 101, 0, 100 / 101, BIG / (BIG + 1)],
                 [1 / (BIG + 1) ** 2, 1 / 101**2, 1, 1 / 101**2, 1 / (BIG + 1) ** 2]),
    "tanhshrink": (F.tanhshrink, [1 - BIG, -99, 0, 99, BIG - 1], [1, 1, 0, 1, 1]),
    "hardshrink": (F.hardshrink, [-BIG, -100, 0, 100, BIG], [1, 1, 0, 1, 1]),
    "softshrink": (F.softshrink, [0.5 - BIG, -99.5, 0, 99.5, BIG - 0.5], [1, 1, 0, 1, 1]),
    "hardtanh": (F.hardtanh, [-1, -1, 0, 1, 1], [0, 0, 1, 0, 0]),
    "hardsigmoid": (F.hardsigmoid, [0, 0, 0.5, 1, 1], [0, 0, 1 / 6, 0, 0]),
    "hardswish": (F.hardswish, [0, 0, 0, 100, BIG], [0, 0, 0.5, 1, 1]),
    "softmax": (lambda x: F.softmax(x, 0), [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]),
    "log_softmax": (lambda x: F.log_softmax(x, 0), [-2 * BIG, -100 - BIG, -BIG, 100 - BIG, 0], [1, 1, 1, 1, -4]),
    "softmin": (lambda x: F.softmin(x, 0), [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, dtype: str) -> None:
    function, values, slopes = ACTIVATIONS[name]
    x = Tensor(LINE.astype(dtype), requires_grad=True)
    y = function(x)
    y.sum().backward()
    tolerance = {"rtol": 1e-6, "atol": 1e-30 if dtype == "float64" else 1e-7}
    np.testing.assert_allclose(y.data, values, **(tolerance | {"atol": 1e-7}))
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, slopes, rtol=1e-6, atol=1e-7)


def test_glu() -> None:
    x = Tensor(np.array([3.0, 5.0, -BIG, BIG]), requires_grad=True)
    y = F.glu(x)
    y.sum().backward()
    assert y.tolist() == [0, 5]
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 0, 0]


LOGITS = np.array([[BIG, -BIG, 0.0], [-BIG, BIG, 0.0]])
LABELS = np.array([0, 0])
ONES, SIGNS = np.ones((2, 3)), np.array([[1.0, 1, 1], [1, -1, -1]])
LOSSES: dict[str, tuple[Callable[..., Any], Any, list[Any], list[Any]]] = {  # at LOGITS: values and derivatives
    "cross_entropy": (F.cross_entropy, LABELS, [0, 2 * BIG], [[0, 0, 0], [-1, 1, 0]]),
    "soft cross_entropy": (F.cross_entropy, np.full((2, 3), 1 / 3), [BIG, BIG],
                           [[2 / 3, -1 / 3, -1 / 3], [-1 / 3, 2 / 3, -1 / 3]]),
    "smoothed cross_entropy": (
        lambda x, t, reduction: F.cross_entropy(x, t, label_smoothing=0.3, reduction=reduction), LABELS,
        [0.3 * BIG, 1.7 * BIG], [[0.2, -0.1, -0.1], [-0.8, 0.9, -0.1]],
    ),
    "nll of log_softmax": (
        lambda x, t, reduction: F.nll_loss(F.log_softmax(x, 1), t, reduction=reduction), LABELS, [0, 2 * BIG],
        [[0, 0, 0], [-1, 1, 0]],
    ),
    "kl_div of log_softmax": (
        lambda x, t, reduction: F.kl_div(F.log_softmax(x, 1), t, reduction=reduction), np.eye(3)[[0, 0]],
        [[0, 0, 0], [2 * BIG, 0, 0]], [[0, 0, 0], [-1, 1, 0]],
    ),
    "multi_margin": (F.multi_margin_loss, LABELS, [0, (3 * BIG + 2) / 3], [[0, 0, 0], [-2 / 3, 1 / 3, 1 / 3]]),
    "bce_with_logits": (F.binary_cross_entropy_with_logits, ONES, [[0, BIG, np.log(2)], [BIG, 0, np.log(2)]],
                        [[0, -1, -0.5], [-1, 0, -0.5]]),
    "bce_with_logits, pos_weight": (
        lambda x, t, reduction: F.binary_cross_entropy_with_logits(
            x, t, pos_weight=np.full(3, 2.0, x.dtype), reduction=reduction
        ), ONES, [[0, 2 * BIG, 2 * np.log(2)], [2 * BIG, 0, 2 * np.log(2)]], [[0, -2, -1], [-2, 0, -1]],
    ),
    "multilabel_soft_margin": (F.multilabel_soft_margin_loss, ONES, [(BIG + np.log(2)) / 3] * 2,
                               [[0, -1 / 3, -1 / 6], [-1 / 3, 0, -1 / 6]]),
    "multilabel_margin": (F.multilabel_margin_loss, np.array([[0, -1, 0], [0, 2, -1]]), [0, (3 * BIG + 2) / 3],
                          [[0, 0, 0], [-1 / 3, 2 / 3, -1 / 3]]),
    "soft_margin": (F.soft_margin_loss, SIGNS, [[0, BIG, np.log(2)], [BIG, BIG, np.log(2)]],
                    [[0, -1, -0.5], [-1, 1, 0.5]]),
    "hinge_embedding": (F.hinge_embedding_loss, SIGNS, [[BIG, -BIG, 0], [-BIG, 0, 1]], [[1, 1, 1], [1, 0, -1]]),
    "mse": (F.mse_loss, ONES, [[(BIG - 1) ** 2, (BIG + 1) ** 2, 1], [(BIG + 1) ** 2, (BIG - 1) ** 2, 1]],
            [[2 * BIG - 2, -2 * BIG - 2, -2], [-2 * BIG - 2, 2 * BIG - 2, -2]]),
    "l1": (F.l1_loss, ONES, [[BIG - 1, BIG + 1, 1], [BIG + 1, BIG - 1, 1]], [[1, -1, -1], [-1, 1, -1]]),
    "smooth_l1": (F.smooth_l1_loss, ONES, [[BIG - 1.5, BIG + 0.5, 0.5], [BIG + 0.5, BIG - 1.5, 0.5]],
                  [[1, -1, -1], [-1, 1, -1]]),
    "huber": (F.huber_loss, ONES, [[BIG - 1.5, BIG + 0.5, 0.5], [BIG + 0.5, BIG - 1.5, 0.5]],
              [[1, -1, -1], [-1, 1, -1]]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str, dtype: str) -> None:
    function, target, values, slopes = LOSSES[name]
    t = target.astype(dtype) if target.dtype.kind == "f" else target
    x = Tensor(LOGITS.astype(dtype), requires_grad=True)
    y = function(x, Tensor(t), reduction="none")
    np.testing.assert_allclose(y.data, values, rtol=1e-6, atol=1e-7)
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.data, slopes, rtol=1e-5, atol=1e-7)
    mean = function(Tensor(LOGITS.astype(dtype)), Tensor(t), reduction="mean").item()
    np.testing.assert_allclose(mean, np.mean(values), rtol=1e-6, atol=1e-7)


def test_the_average_of_kl_div_is_over_its_elements() -> None:
    """Which the table above relies on."""
    log_p = fastnn.tensor(np.log(np.full((2, 4), 0.25)))
    each = F.kl_div(log_p, fastnn.tensor(np.eye(4)[:2]), reduction="none")
    assert F.kl_div(log_p, fastnn.tensor(np.eye(4)[:2])).item() == pytest.approx(each.data.mean())
