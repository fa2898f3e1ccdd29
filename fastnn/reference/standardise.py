"""What batch, layer, group and instance norm have in common.

All of them standardise groups of values to mean 0 and variance 1, then scale and shift per channel (or
element):

    x̂ = (x - μ) / √(σ² + ε),    y = w x̂ + b

with μ and the biased variance σ² taken over the group. They differ only in which values form a group. The
gradient is the same for all too; with x̂ and r = 1 / √(σ² + ε) from the forward pass and means over the
group,

    dx = r (dx̂ - mean(dx̂) - x̂ mean(dx̂ x̂)),    dx̂ = w dy
"""

from typing import TypeAlias

import numpy as np

from ._typing import Array

Axes: TypeAlias = tuple[int, ...]


def standardise(x: Array, axes: Axes, eps: float) -> tuple[Array, Array, Array]:
    """(x̂, μ, r) over ``axes``, the statistics with those axes kept as 1."""
    mean = x.mean(axis=axes, keepdims=True)
    rstd = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    return (x - mean) * rstd, mean, rstd


def standardise_bwd(dxhat: Array, xhat: Array, rstd: Array, axes: Axes) -> Array:
    """Gradient of `standardise` with respect to x, the statistics being functions of x."""
    mean = dxhat.mean(axis=axes, keepdims=True)
    along = (dxhat * xhat).mean(axis=axes, keepdims=True)
    return rstd * (dxhat - mean - xhat * along)


def per_channel(v: Array, ndim: int) -> Array:
    """(C,) -> (1, C, 1, ...), to broadcast against (N, C, *spatial)."""
    return v.reshape(1, -1, *[1] * (ndim - 2))


def scale_shift(xhat: Array, w: Array | None, b: Array | None) -> Array:
    """``w x̂ + b`` per channel; None stands for 1 and 0."""
    y = xhat if w is None else xhat * per_channel(w, xhat.ndim)
    return y if b is None else y + per_channel(b, xhat.ndim)


def all_but_channel(x: Array) -> Axes:
    """The axes of (N, C, *spatial) that batch norm averages over."""
    return (0, *range(2, x.ndim))
