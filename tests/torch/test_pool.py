"""Pooling against PyTorch: values, positions and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn.autograd import Tensor
from fastnn.ops import pool

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.torch

WINDOWS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((3, 16, 8, 8), {"kernel_size": 2}),
    ((2, 64, 7, 9), {"kernel_size": 2}),
    ((2, 6, 28, 28), {"kernel_size": 2, "stride": 2}),
    ((2, 5, 9, 8), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((9, 20, 9, 8), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((2, 70, 10, 11), {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0)}),
    ((1, 3, 10, 11), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    ((2, 4, 7, 7), {"kernel_size": 2, "stride": 3}),
    ((2, 4, 7, 7), {"kernel_size": 3, "stride": 3, "padding": 1, "ceil_mode": True}),
    ((2, 3, 11), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((2, 33, 6, 5, 7), {"kernel_size": (2, 3, 2), "stride": 2, "padding": 1}),
    ((2, 16, 4, 4, 4), {"kernel_size": 2}),
    ((4, 6, 6), {"kernel_size": 2}),
]
DILATED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 18, 12, 11), {"kernel_size": 3, "dilation": 2}),
    ((2, 18, 12, 11), {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": (2, 3), "ceil_mode": True}),
    ((2, 3, 12, 12), {"kernel_size": 2, "stride": 1, "dilation": 3}),
]
BINS: list[tuple[tuple[int, ...], Any]] = [
    ((2, 16, 8, 8), 1),
    ((3, 5, 7, 9), (3, 4)),
    ((2, 40, 5, 5), (7, None)),
    ((2, 3, 13), 5),
    ((2, 3, 5, 6, 7), (2, 3, 4)),
    ((3, 8, 8), 4),
]


def axes_of(shape: tuple[int, ...], window: Any) -> int:
    return 2 if len(shape) == 3 and shape[0] in (3, 4) else len(shape) - 2


def both(name: str, x: np.ndarray, *args: Any, **options: Any) -> tuple[Any, Any]:
    """The operation here and there on the same values, with gradients on."""
    ours = getattr(pool, name)(mine := Tensor(x.copy(), requires_grad=True), *args, **options)
    theirs = getattr(F, name)(yours := torch.from_numpy(x.copy()).requires_grad_(), *args, **options)
    return (ours, mine), (theirs, yours)


def compare(ours: Any, theirs: Any, tolerance: float) -> None:
    (y, x), (ty, tx) = ours, theirs
    if isinstance(y, tuple):
        np.testing.assert_array_equal(y[1].data, ty[1].numpy())
        y, ty = y[0], ty[0]
    np.testing.assert_allclose(y.data, ty.detach().numpy(), rtol=tolerance, atol=tolerance)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(y.data.dtype)
    y.backward(dy)
    ty.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(x.grad.data, tx.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize(("shape", "options"), WINDOWS + DILATED)
def test_max_pool(shape: tuple[int, ...], options: dict[str, Any], layout: str, dtype: str) -> None:
    x = np.random.default_rng(0).integers(-4, 4, shape).astype(dtype)  # many ties
    if layout == "channels_last":
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    name = f"max_pool{axes_of(shape, options)}d"
    compare(*both(name, x, **options, return_indices=True), 1e-6)
    compare(*both(name, x, **options), 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("include_pad", [True, False])
@pytest.mark.parametrize(("shape", "options"), WINDOWS)
def test_avg_pool(shape: tuple[int, ...], options: dict[str, Any], include_pad: bool, dtype: str) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    name = f"avg_pool{axes_of(shape, options)}d"
    compare(*both(name, x, **options, count_include_pad=include_pad), 2e-6)
    if not name.endswith("1d"):
        compare(*both(name, x, **options, divisor_override=3), 2e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "size"), BINS)
def test_adaptive(shape: tuple[int, ...], size: Any, dtype: str) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    axes = axes_of(shape, size)
    compare(*both(f"adaptive_avg_pool{axes}d", x, size), 2e-6)
    compare(*both(f"adaptive_max_pool{axes}d", x, size), 1e-6)
    compare(*both(f"adaptive_max_pool{axes}d", x, size, return_indices=True), 1e-6)


@pytest.mark.parametrize("window", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}])
@pytest.mark.parametrize("channels", [3, 16, 70])
def test_max_pool_special_values(window: dict[str, Any], channels: int) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, channels, 8, 8)).astype(np.float32)
    for value in (np.nan, np.inf, -np.inf, -0.0, 0.0):
        x[rng.random(x.shape) < 0.2] = value
    x[0, 0] = -np.inf
    x[1, 1] = np.nan
    compare(*both("max_pool2d", x, **window, return_indices=True), 1e-6)
