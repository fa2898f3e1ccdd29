"""Dropout against PyTorch: not its random numbers, but everything else."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn.nn import functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

NAMES = [
    ("dropout", (40, 50)),
    ("dropout1d", (40, 50, 3)),
    ("dropout2d", (40, 50, 3, 3)),
    ("dropout3d", (40, 50, 2, 2, 2)),
]


@pytest.mark.parametrize(("name", "shape"), NAMES)
@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_same_values_and_same_share(name: str, shape: tuple[int, ...], p: float) -> None:
    theirs = getattr(torch.nn.functional, name)(torch.ones(shape), p, True).numpy()
    x = fastnn.Tensor(np.ones(shape, np.float32), True)
    y = getattr(F, name)(x, p, True)
    ours = y.data
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs))
    assert abs((ours == 0).mean() - (theirs == 0).mean()) < 0.07
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), ours)  # type: ignore[union-attr]
    if len(shape) > 2:
        flat = ours.reshape(*shape[:2], -1)
        np.testing.assert_array_equal(flat.min(axis=2), flat.max(axis=2))


@pytest.mark.parametrize(("name", "shape"), NAMES)
def test_evaluation_is_the_identity(name: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(getattr(F, name)(x, 0.5, False).numpy(), x)
