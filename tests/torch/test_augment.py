"""Resampling against PyTorch's interpolation."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.transforms import Resize

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(20, 24), (40, 48), (7, 90), (31, 5), (224, 224)])
def test_resize_agrees_with_interpolate(size: tuple[int, int], channels: int, antialias: bool) -> None:
    """Ours is theirs in floats, rounded to uint8; halves may go either way."""
    x = np.random.default_rng(0).integers(0, 256, (4, 31, 37, channels), dtype=np.uint8)
    floats = torch.from_numpy(x).permute(0, 3, 1, 2).double()
    want = torch.nn.functional.interpolate(floats, size, mode="bilinear", antialias=antialias)
    got = Resize(size, antialias=antialias)(x)
    assert np.abs(got - want.permute(0, 2, 3, 1).numpy()).max() <= 0.5 + 1e-3
