"""A small network that trains for a few steps, through most kernels, and the bits it ends with."""

from __future__ import annotations

import hashlib

import numpy as np

import fastnn
import fastnn.nn.functional as F
from fastnn import nn, optim


def conv_net() -> nn.Module:
    """Convolutions, both kinds of pooling, batch norm, dropout; (N, 3, 16, 16) -> (N, 10)."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, stride=2, groups=2),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


def train(steps: int, batch: int = 48, seed: int = 7) -> str:
    """Train `conv_net` on random images; a digest of all that it has learnt."""
    fastnn.manual_seed(seed)
    model = conv_net()
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        x = fastnn.Tensor(rng.standard_normal((batch, 3, 16, 16)).astype(np.float32))
        loss = F.cross_entropy(model(x), fastnn.Tensor(rng.integers(0, 10, batch)), label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.isfinite(loss.item())
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + np.asarray(value).tobytes())
    return digest.hexdigest()
