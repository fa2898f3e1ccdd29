"""Losses against PyTorch: values and gradients under every reduction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.nn import functional as F
from fastnn.ops import loss

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore:reduction:UserWarning")]

RNG = np.random.default_rng(0)
REDUCTIONS = ["none", "mean", "sum"]
SHAPES = [(8, 10), (3, 5, 4), (2, 7, 3, 5)]


def _compare(name: str, x: Any, target: Any, grad_target: bool = False, **options: Any) -> None:
    a, b = fastnn.Tensor(x, True), torch.tensor(x, requires_grad=True)
    s = fastnn.Tensor(target, grad_target)
    t = torch.tensor(target, requires_grad=grad_target)
    given = {k: fastnn.Tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    theirs = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    y, right = getattr(loss, name)(a, s, **given), getattr(TF, name)(b, t, **theirs)
    np.testing.assert_allclose(y.data, right.detach().numpy(), rtol=1e-5, atol=1e-5)
    dy = RNG.standard_normal(y.shape).astype(x.dtype)
    y.backward(dy)
    right.backward(torch.from_numpy(np.asarray(dy)))
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-5, atol=1e-5)  # type: ignore[union-attr]
    if grad_target:
        np.testing.assert_allclose(s.grad.numpy(), t.grad.numpy(), rtol=1e-5, atol=1e-5)  # type: ignore[union-attr]


def _logits(shape: tuple[int, ...]) -> Any:
    return (RNG.standard_normal(shape) * 4).astype(np.float32)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(shape: tuple[int, ...], reduction: str, smoothing: float, weighted: bool) -> None:
    target = RNG.integers(0, shape[1], shape[:1] + shape[2:])
    target.reshape(-1)[1::4] = 2
    weight = RNG.uniform(0.5, 2, shape[1]).astype(np.float32) if weighted else None
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
    _compare("cross_entropy", _logits(shape), target, **options)
    _compare("cross_entropy", _logits(shape), target, ignore_index=2, **options)
    soft = RNG.uniform(0, 1, shape).astype(np.float32)
    _compare("cross_entropy", _logits(shape), soft, grad_target=True, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_nll_loss(shape: tuple[int, ...], reduction: str) -> None:
    target = RNG.integers(0, shape[1], shape[:1] + shape[2:])
    weight = RNG.uniform(0.5, 2, shape[1]).astype(np.float32)
    _compare("nll_loss", _logits(shape), target, weight=weight, ignore_index=1, reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("p", [1, 2])
def test_multi_margin_loss(reduction: str, p: int) -> None:
    weight = RNG.uniform(0.5, 2, 10).astype(np.float32)
    options: dict[str, Any] = {"p": p, "margin": 0.5, "reduction": reduction}
    _compare("multi_margin_loss", _logits((6, 10)), RNG.integers(0, 10, 6), weight=weight, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "options"),
    [("mse_loss", {}), ("l1_loss", {}), ("smooth_l1_loss", {}), ("smooth_l1_loss", {"beta": 0.4}),
     ("smooth_l1_loss", {"beta": 0.0}), ("huber_loss", {}), ("huber_loss", {"delta": 0.4}),
     ("kl_div", {"log_target": True})],
)  # fmt: skip
def test_of_elements(name: str, options: dict[str, Any], reduction: str) -> None:
    x, t = _logits((4, 5, 6)), _logits((4, 5, 6))
    t[0] = x[0]
    _compare(name, x, t, grad_target=True, reduction=reduction, **options)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_and_divergence(reduction: str) -> None:
    x, t = RNG.uniform(0.01, 0.99, (2, 4, 5)).astype(np.float32)
    w = RNG.uniform(0.5, 2, (4, 1)).astype(np.float32)
    p = RNG.uniform(0.5, 2, 5).astype(np.float32)
    _compare("binary_cross_entropy", x, t, True, reduction=reduction)
    _compare("binary_cross_entropy", x, t, True, reduction=reduction, weight=w)
    _compare("binary_cross_entropy", np.round(x), np.round(t), reduction=reduction)
    _compare("binary_cross_entropy_with_logits", _logits((4, 5)), t, True, reduction=reduction)
    _compare("binary_cross_entropy_with_logits", _logits((4, 5)), t, True, reduction=reduction, weight=w, pos_weight=p)
    _compare("kl_div", np.log(x), t, reduction=reduction)
    _compare("kl_div", np.log(x), np.round(t), reduction=reduction)
    _compare("soft_margin_loss", _logits((4, 5)), np.sign(t - 0.5), reduction=reduction)


def test_batchmean() -> None:
    _compare("kl_div", _logits((4, 5)), RNG.uniform(0, 1, (4, 5)).astype(np.float32), reduction="batchmean")


@pytest.mark.parametrize("size", [10.0, 1e4])
def test_huge_logits(size: float) -> None:
    x = (RNG.standard_normal((8, 10)) * size).astype(np.float32)
    _compare("cross_entropy", x, RNG.integers(0, 10, 8), reduction="none")
    assert F.cross_entropy(x, RNG.integers(0, 10, 8)).item() < 10 * size
