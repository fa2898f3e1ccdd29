"""Normalisation against PyTorch: values, running statistics and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn.autograd import Tensor
from fastnn.ops.norm import batch_norm, batch_norm_relu, group_norm, instance_norm, layer_norm

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch

SHAPES = [
    (8, 5),
    (128, 10),
    (4, 16, 7),
    (2, 1, 5, 5),
    (3, 3, 9, 8),
    (7, 6, 13, 11),
    (2, 24, 6, 6),
    (2, 64, 8, 8),
    (2, 101, 3, 3),
    (3, 600, 2, 2),
    (2, 20, 3, 4, 5),
]


class Pair:
    """The same values as a Tensor here and there."""

    def __init__(self, values: np.ndarray, requires_grad: bool = True) -> None:
        self.ours = Tensor(values.copy(order="K"), requires_grad=requires_grad)
        self.theirs = torch.from_numpy(values.copy(order="K")).requires_grad_(requires_grad)

    def same_gradient(self, tolerance: float) -> None:
        scale = max(1.0, float(self.theirs.grad.abs().max()))
        assert self.ours.grad is not None
        difference = np.abs(self.ours.grad.data - self.theirs.grad.numpy()).max()
        assert difference <= tolerance * scale

    def same_value(self, tolerance: float) -> None:
        np.testing.assert_allclose(self.ours.data, self.theirs.detach().numpy(), rtol=tolerance, atol=tolerance)


def values(shape: tuple[int, ...], dtype: str, seed: int, last: bool = False) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if last else x


def compare(y: Any, ty: Any, inputs: list[Pair], tolerance: float) -> None:
    np.testing.assert_allclose(y.data, ty.detach().numpy(), rtol=tolerance, atol=tolerance)
    dy = values(y.shape, str(y.data.dtype), 9)
    y.backward(dy)
    ty.backward(torch.from_numpy(dy))
    for pair in inputs:
        pair.same_gradient(tolerance)


def vectors(c: int, dtype: str) -> tuple[Pair, Pair, Pair, Pair]:
    w, b = Pair(values((c,), dtype, 2) + 1), Pair(values((c,), dtype, 3))
    mean, var = Pair(values((c,), dtype, 4), False), Pair(np.abs(values((c,), dtype, 5)) + 0.5, False)
    return w, b, mean, var


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fused", ["", "relu", "residual"])
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm(shape: tuple[int, ...], fused: str, training: bool, dtype: str) -> None:
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    x = Pair(values(shape, dtype, 0, last=fused == "relu") * 3 + 1)
    w, b, mean, var = vectors(shape[1], dtype)
    args = (training, 0.3, 1e-3)
    inputs = [x, w, b]
    ty = F.batch_norm(x.theirs, mean.theirs, var.theirs, w.theirs, b.theirs, *args)
    ours = (x.ours, mean.ours, var.ours, w.ours, b.ours, *args)
    if fused == "":
        y = batch_norm(*ours)
    elif fused == "relu":
        y, ty = batch_norm_relu(*ours), ty.relu()
    else:
        residual = Pair(values(shape, dtype, 6))
        y = batch_norm_relu(*ours, residual=residual.ours)
        ty = (ty + residual.theirs).relu()
        inputs.append(residual)
    compare(y, ty, inputs, tolerance)
    mean.same_value(tolerance)
    var.same_value(tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("shape", "groups"), [((3, 6), 2), ((2, 24, 5, 5), 8), ((2, 64, 8, 8), 64),
                                               ((3, 6, 4, 4), 1), ((2, 100, 3), 5)])  # fmt: skip
def test_group_norm(shape: tuple[int, ...], groups: int, affine: bool, dtype: str) -> None:
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    x, (w, b, *_) = Pair(values(shape, dtype, 0) * 2 - 1), vectors(shape[1], dtype)
    if affine:
        y = group_norm(x.ours, groups, w.ours, b.ours)
        ty = F.group_norm(x.theirs, groups, w.theirs, b.theirs)
        compare(y, ty, [x, w, b], tolerance)
    else:
        compare(group_norm(x.ours, groups), F.group_norm(x.theirs, groups), [x], tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 16, 5, 6), (2, 3, 4, 4, 4)])
def test_instance_norm(shape: tuple[int, ...], own: bool, dtype: str) -> None:
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    x, (w, b, mean, var) = Pair(values(shape, dtype, 0)), vectors(shape[1], dtype)
    y = instance_norm(x.ours, mean.ours, var.ours, w.ours, b.ours, own, 0.2)
    ty = F.instance_norm(x.theirs, mean.theirs, var.theirs, w.theirs, b.theirs, own, 0.2)
    compare(y, ty, [x, w, b], tolerance)
    mean.same_value(tolerance)
    var.same_value(tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(("shape", "over"), [((4, 5), (5,)), ((3, 7, 64), (64,)), ((2, 3, 4, 5), (4, 5)),
                                             ((2, 3, 4, 5), (3, 4, 5)), ((2, 8, 40, 40), (8, 40, 40))])  # fmt: skip
def test_layer_norm(shape: tuple[int, ...], over: tuple[int, ...], last: bool, dtype: str) -> None:
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    x = Pair(values(shape, dtype, 0, last) * 2 + 3)
    w, b = Pair(values(over, dtype, 1)), Pair(values(over, dtype, 2))
    compare(layer_norm(x.ours, over, w.ours, b.ours),
            F.layer_norm(x.theirs, over, w.theirs, b.theirs), [x, w, b], tolerance)  # fmt: skip
    plain = Pair(values(shape, dtype, 0, last))
    compare(layer_norm(plain.ours, over), F.layer_norm(plain.theirs, over), [plain], tolerance)
