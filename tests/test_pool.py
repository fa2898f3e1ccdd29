"""What the rows of `tests/cases/pool.py` cannot show: ties, NaN, errors, and windows made up by a hostile caller."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import _C
from fastnn.ops import pool


def _gradient(x: np.ndarray, **window: Any) -> np.ndarray:
    tensor = fastnn.Tensor(x, requires_grad=True)
    y = pool.max_pool2d(tensor, **window)
    y.backward(np.ones(y.shape, x.dtype))
    assert tensor.grad is not None
    return tensor.grad.data


@pytest.mark.parametrize("channels", [1, 6, 16, 70])
def test_the_first_of_equal_maxima_gets_the_gradient(channels: int) -> None:
    x = np.zeros((1, channels, 2, 4), np.float32)
    dx = _gradient(x, kernel_size=2)
    np.testing.assert_array_equal(dx, np.broadcast_to([[1, 0, 1, 0], [0, 0, 0, 0]], x.shape))


@pytest.mark.parametrize("window", [{"kernel_size": 2}, {"kernel_size": 3, "stride": 1, "padding": 1}])
@pytest.mark.parametrize("channels", [1, 6, 16, 70])
def test_nan_is_the_maximum_and_gets_the_gradient(channels: int, window: dict[str, Any]) -> None:
    x = np.random.default_rng(0).standard_normal((2, channels, 4, 4)).astype(np.float32)
    x[0, 0, 1, 1] = x[1, -1, 2, 3] = np.nan
    y = pool.max_pool2d(fastnn.Tensor(x), **window).data
    dx = _gradient(x, **window)
    hits = np.isnan(y).sum(axis=(2, 3))
    assert hits[0, 0]
    assert hits[1, -1]
    assert dx[0, 0, 1, 1] == hits[0, 0]
    assert dx[1, -1, 2, 3] == hits[1, -1]
    assert dx.sum() == y.size


def test_minus_infinity_everywhere_gives_the_first_tap_in_the_image() -> None:
    x = np.full((1, 3, 4, 4), -np.inf, np.float32)
    y, index = pool.max_pool2d(fastnn.Tensor(x), 3, 2, 1, return_indices=True)
    assert np.isneginf(y.data).all()
    np.testing.assert_array_equal(index.data[0, 0], [[0, 1], [4, 5]])


def test_a_single_image_needs_no_batch_dimension() -> None:
    x = np.random.default_rng(0).standard_normal((3, 6, 6))
    for function in (pool.max_pool2d, pool.avg_pool2d, pool.adaptive_avg_pool2d, pool.adaptive_max_pool2d):
        one = fastnn.Tensor(x, requires_grad=True)
        y = function(one, 2)
        np.testing.assert_array_equal(y.data, function(fastnn.Tensor(x[None]), 2).data[0])
        y.backward(np.ones(y.shape))
        assert one.grad is not None
        assert one.grad.shape == x.shape


X = np.zeros((2, 3, 5, 5), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pool.max_pool2d(X, 7), ValueError, r"max_pool2d: .*\(5, 5\)"),
        (lambda: pool.max_pool2d(X, 2, padding=2), ValueError, "max_pool2d: expected padding"),
        (lambda: pool.max_pool2d(X, 0), ValueError, "kernel_size"),
        (lambda: pool.max_pool2d(X, 2, 0), ValueError, "stride"),
        (lambda: pool.max_pool2d(X, (2, 2, 2)), ValueError, "kernel_size"),
        (lambda: pool.max_pool1d(X, 2), ValueError, r"max_pool1d: .*\(2, 3, 5, 5\)"),
        (lambda: pool.max_pool2d(X[:, :0], 2), ValueError, "above 0"),
        (lambda: pool.avg_pool2d(X, 2, divisor_override=0), ValueError, "avg_pool2d: expected divisor_override"),
        (lambda: pool.avg_pool3d(X.astype(np.int64)[None], 2), TypeError, "avg_pool3d: .*int64"),
        (lambda: pool.adaptive_avg_pool2d(X, (1, 2, 3)), ValueError, "adaptive_avg_pool2d: expected output_size"),
        (lambda: pool.adaptive_max_pool2d(X, -1), ValueError, "adaptive_max_pool2d: expected output_size"),
    ],
)
def test_errors_name_the_operation_and_the_shapes(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_no_window_makes_the_kernels_leave_the_arrays() -> None:
    """The outputs and windows need not match: whatever the binding lets through stays inside (run under asan too)."""
    x = np.random.default_rng(0).standard_normal((1, 4, 5, 3)).astype(np.float32)
    for out, kernel, stride, pad, dilation in product((1, 9), (1, 7), (1, 6), (0, 8), (1, 5)):
        window = ((kernel, 2), (stride, 1), (pad, 1), (dilation, 3))
        y, dx = np.empty((1, out, 4, 3), np.float32), np.empty_like(x)
        _C.pool_max_fwd(x, y, window)
        _C.pool_max_bwd(y, x, y, dx, window)
        _C.pool_max_index(x, y, np.empty(y.shape, np.int64), window)
        _C.pool_avg_fwd(x, y, window)
        _C.pool_avg_bwd(y, dx, window)
    for bad in (((0, 1),) * 4, ((-1, 1), (1, 1), (0, 0), (1, 1)), ((1, 1), (1 << 40, 1), (0, 0), (1, 1))):
        with pytest.raises(ValueError, match="pool: expected positive sizes"):
            _C.pool_max_fwd(x, y, bad)
    with pytest.raises(ValueError, match="dx: expected 60 elements"):
        _C.pool_max_bwd(y, x, y, np.empty((1, 2, 3, 3), np.float32), window)
    for bad in (((1,),), ((1,),) * 4, ([1, 1],) * 4):
        with pytest.raises(ValueError, match="pool: expected"):
            _C.pool_max_fwd(x, y, bad)
