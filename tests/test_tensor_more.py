"""Operators made of others: corners that the comparison with PyTorch does not reach, and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import tensor


def test_median_with_nan_and_of_scalars() -> None:
    x = tensor([[3.0, float("nan"), 1.0], [4.0, 1.0, 2.0]])
    values, indices = x.median(1)
    assert np.isnan(values.data[0])
    assert indices.tolist() == [1, 2]
    assert np.isnan(x.median().item())
    assert tensor(5.0).median().item() == 5
    with pytest.raises(ValueError, match="median: expected elements"):
        fastnn.zeros(0).median()


def test_quantiles_are_numpys() -> None:
    x = np.random.default_rng(0).standard_normal((4, 7))
    levels = [0.0, 0.25, 0.6, 1.0]
    np.testing.assert_allclose(tensor(x).quantile(levels).data, np.quantile(x, levels))
    np.testing.assert_allclose(
        tensor(x).quantile(levels, dim=1, keepdim=True).data, np.quantile(x, levels, axis=1, keepdims=True)
    )
    assert tensor(x).quantile(0.5, keepdim=True).shape == (1, 1)
    with pytest.raises(ValueError, match="levels from 0 to 1"):
        tensor(x).quantile(1.5)


def test_special_values() -> None:
    inf = float("inf")
    x = tensor([inf, -inf, float("nan"), 2.0], requires_grad=True)
    y = fastnn.nan_to_num(x, 7.0, neginf=-1.0)
    assert y.tolist() == [np.finfo(np.float32).max, -1, 7, 2]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 0, 1]
    assert fastnn.logaddexp(tensor([1e4, -inf]), tensor([1e4, -inf])).tolist() == [
        pytest.approx(1e4 + np.log(2)), -inf
    ]  # fmt: skip
    assert fastnn.sinc(tensor([0.0, 1.0])).data.round(6).tolist() == [1, 0]
    assert fastnn.erf(tensor([0, 10])).tolist() == [0, 1]


def test_running_extremes_go_on_with_nan() -> None:
    values, indices = fastnn.cummax(tensor([1.0, float("nan"), 3.0, 3.0]), 0)
    assert np.isnan(values.data).tolist() == [False, True, True, True]
    assert indices.tolist()[:2] == [0, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.narrow(0, 2, 5), ValueError, "narrow: 5 elements"),
        (lambda x: x.rot90(1, (1, 1)), ValueError, "rot90: expected two different"),
        (lambda x: x.diagonal(0, 1, -1), ValueError, "diagonal: expected two different"),
        (lambda x: x.repeat_interleave(-1), ValueError, "repeat_interleave: expected one number"),
        (lambda x: x.tensor_split(0), ValueError, "tensor_split: expected at least one"),
        (lambda x: fastnn.meshgrid(x), ValueError, "meshgrid: expected vectors"),
        (lambda x: fastnn.meshgrid(x[0], indexing="ji"), ValueError, "meshgrid: expected indexing"),
        (lambda x: x.outer(x), ValueError, "outer: expected two vectors"),
        (lambda x: x.mv(x), ValueError, "mv: expected a matrix"),
        (lambda x: x.addmm(x[0], x), ValueError, "addmm: expected two matrices"),
        (lambda x: x[0].trace(), ValueError, "trace: expected a matrix"),
        (lambda x: fastnn.tensordot(x, x, 1), ValueError, "tensordot: dimensions 1"),
        (lambda x: x.index_add(0, tensor([5]), x[:1]), IndexError, "index_add: an index is out of range"),
        (lambda x: x.index_copy(0, tensor([0]), x), ValueError, "index_copy: source"),
        (lambda x: x.index_fill(0, tensor([0.5]), 1), ValueError, "index_fill: expected a vector of integers"),
        (lambda x: tensor([-1]).bincount(), ValueError, "bincount: expected a vector"),
        (lambda x: tensor(1.0).cumprod(0), ValueError, "cumprod: expected a tensor with at least one"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(fastnn.ones(3, 4))


def test_empty_splits_and_slices() -> None:
    assert [p.shape[0] for p in fastnn.ones(5).tensor_split((2, 2, 9))] == [2, 0, 3, 0]
    assert fastnn.ones(3, 2).diagonal(5).shape == (0,)
    assert tensor([3, 1, 1]).unique(return_counts=True)[1].tolist() == [2, 1]
