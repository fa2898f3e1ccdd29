"""Activations against PyTorch: values and gradients, at kinks and extremes too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn.nn import functional as F
from fastnn.ops import activation

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = pytest.mark.torch

POINTWISE: list[tuple[str, dict[str, Any]]] = [
    ("relu", {}), ("relu6", {}), ("hardtanh", {}), ("hardtanh", {"min_val": -0.5, "max_val": 2.0}),
    ("leaky_relu", {}), ("leaky_relu", {"negative_slope": 0.2}), ("elu", {}), ("elu", {"alpha": 0.5}), ("selu", {}),
    ("celu", {"alpha": 0.5}), ("gelu", {}), ("gelu", {"approximate": "tanh"}), ("silu", {}), ("mish", {}),
    ("sigmoid", {}), ("tanh", {}), ("softplus", {}), ("softplus", {"beta": 2.0, "threshold": 5.0}), ("logsigmoid", {}),
    ("softsign", {}), ("hardshrink", {}), ("hardshrink", {"lambd": 1.0}), ("softshrink", {}),
    ("softshrink", {"lambd": 3.0}), ("threshold", {"threshold": 1.0, "value": -7.0}), ("rrelu", {}),
    ("glu", {}), ("tanhshrink", {}), ("hardsigmoid", {}), ("hardswish", {}),
]  # fmt: skip
KINKS = [0.0, -0.0, 0.5, 1.0, -1.0, 3.0, -3.0, 6.0, 30.0, -30.0, 88.0, -88.0, 1e4, -1e4, 1e-30, -1e-30]


def _compare(ours: Any, theirs: Any, x: Any, *more: Any) -> None:
    arrays = [x, *more]
    tensors = [fastnn.Tensor(a, True) for a in arrays]
    references = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, right = ours(*tensors), theirs(*references)
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if x.dtype == np.float32 else {"rtol": 1e-11, "atol": 1e-12}
    np.testing.assert_allclose(y.data, right.detach().numpy(), **tolerance)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(x.dtype)
    y.backward(dy)
    right.backward(torch.from_numpy(dy))
    for t, r in zip(tensors, references, strict=True):
        np.testing.assert_allclose(t.grad.numpy(), r.grad.numpy(), **tolerance)  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), POINTWISE)
def test_pointwise(name: str, options: dict[str, Any], dtype: str) -> None:
    if name == "hardsigmoid" and dtype == "float64":
        pytest.skip("PyTorch's derivative is a float32 sixth")
    x = np.concatenate([np.random.default_rng(0).standard_normal(1000) * 4, KINKS]).astype(dtype)
    ours, theirs = getattr(activation, name), getattr(TF, name)
    _compare(lambda t: ours(t, **options), lambda t: theirs(t, **options), x)


@pytest.mark.parametrize("slopes", [1, 6])
def test_prelu(slopes: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 6, 5, 4)).astype(np.float32)
    _compare(F.prelu, TF.prelu, x, rng.standard_normal(slopes).astype(np.float32))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
@pytest.mark.parametrize(("shape", "dim"), [((5, 10), 1), ((3, 40, 7), 1), ((4, 3), 0), ((2, 3, 4, 5), -3), ((33,), 0)])
def test_softmax(name: str, shape: tuple[int, ...], dim: int) -> None:
    x = (np.random.default_rng(0).standard_normal(shape) * 5).astype(np.float32)
    ours, theirs = getattr(activation, name), getattr(TF, name)
    _compare(lambda t: ours(t, dim), lambda t: theirs(t, dim), x)
