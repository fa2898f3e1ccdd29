"""Fractional max pooling: what the layer does in training and in evaluation, how its windows lie, and its errors."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.nn import functional as F
from fastnn.ops.fractional_pool import _starts


def _image(*shape: int) -> fastnn.Tensor:
    return fastnn.Tensor(np.random.default_rng(0).standard_normal(shape))


def test_windows_start_at_neighbouring_distances() -> None:
    """Steps are the two whole numbers around alpha, the first window begins at 0 and the last ends at the end."""
    starts = _starts(np.random.default_rng(0).random(2000), 25, 17, 2)
    steps = np.diff(starts, axis=1)
    alpha = (25 - 2) / (17 - 1)
    assert set(np.unique(steps)) == {np.floor(alpha), np.ceil(alpha)}
    assert (starts[:, 0] == 0).all()
    assert (starts[:, -1] == 23).all()
    assert len(np.unique(starts, axis=0)) > 5


def test_training_draws_anew_and_evaluation_does_not() -> None:
    x, layer = _image(2, 3, 12, 11), nn.FractionalMaxPool2d(2, output_ratio=0.6)
    assert layer(x).shape == (2, 3, 7, 6)
    assert not np.array_equal(layer(x).data, layer(x).data)
    layer.eval()
    assert np.array_equal(layer(x).data, layer(x).data)
    middle = fastnn.Tensor(np.full((2, 3, 2), 0.5))
    np.testing.assert_array_equal(layer(x).data, F.fractional_max_pool2d(x, 2, (7, 6), _random_samples=middle).data)


def test_equal_seeds_are_equal() -> None:
    x = _image(2, 3, 12, 11)
    draws = [F.fractional_max_pool2d(x, 2, 7, generator=fastnn.Generator(s)).data.tobytes() for s in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_evaluation_by_the_mean_of_draws() -> None:
    x = _image(2, 3, 12, 11)
    layer = nn.FractionalMaxPool2d(2, 7, draws=4, generator=fastnn.Generator(3)).eval()
    generator = fastnn.Generator(3)
    each = [F.fractional_max_pool2d(x, 2, 7, generator=generator).data for _ in range(4)]
    np.testing.assert_allclose(layer(x).data, np.mean(each, axis=0), rtol=1e-12)
    single = nn.FractionalMaxPool3d(2, 3, draws=1).eval()
    volume = _image(1, 2, 6, 7, 8)
    assert not np.array_equal(single(volume).data, single(volume).data)


def test_given_samples_fix_training_too() -> None:
    samples = np.random.default_rng(1).random((2, 3, 2))
    x, layer = _image(2, 3, 12, 11), nn.FractionalMaxPool2d(2, 7, _random_samples=samples)
    assert np.array_equal(layer(x).data, layer(x).data)
    assert list(layer.state_dict()) == ["_random_samples"]


def test_nan_is_the_maximum() -> None:
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 1, 2] = np.nan
    y, index = F.fractional_max_pool2d(fastnn.Tensor(x), 2, 3, return_indices=True)
    assert np.isnan(y.data).any()
    assert (index.data[np.isnan(y.data)] == 6).all()


def test_errors() -> None:
    x = _image(2, 3, 8, 8)
    for arguments, message in (
        ({"kernel_size": 2}, "expected output_size or output_ratio"),
        ({"kernel_size": 2, "output_size": 8}, "at most size - kernel \\+ 1"),
        ({"kernel_size": 2, "output_ratio": 1.5}, "output_ratio above 0 and up to 1"),
        ({"kernel_size": 2, "output_size": 4, "_random_samples": np.ones((2, 3, 2))}, "in \\[0, 1\\)"),
        ({"kernel_size": 2, "output_size": 4, "_random_samples": np.zeros((2, 3, 3))}, "of shape \\(2, 3, 2\\)"),
    ):
        with pytest.raises(ValueError, match=message):
            F.fractional_max_pool2d(x, **arguments)
    with pytest.raises(TypeError, match="float32 or float64"):
        F.fractional_max_pool2d(fastnn.ones(1, 4, 4, dtype="int64"), 2, 3)
    for options in ({}, {"output_size": 3, "output_ratio": 0.5}, {"output_ratio": 1.5}):
        with pytest.raises(ValueError, match="expected"):
            nn.FractionalMaxPool2d(2, **options)
    with pytest.raises(ValueError, match="draws"):
        nn.FractionalMaxPool2d(2, 3, draws=-1)
