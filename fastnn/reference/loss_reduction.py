"""How a loss is reduced to one number, and how the gradient of that number spreads back."""

from typing import Literal, TypeAlias

import numpy as np

from ._typing import Array

Reduction: TypeAlias = Literal["none", "mean", "sum"]
Upstream: TypeAlias = Array | float


def reduce_loss(loss: Array, reduction: str, count: Array | float | None = None) -> Array:
    """Applies the reduction; ``count`` is what the mean divides by, by default the number of losses."""
    if reduction == "none":
        return loss
    if reduction == "sum":
        return np.asarray(loss.sum())
    if reduction != "mean":
        raise ValueError(f"loss: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    # A mean over nothing is nan, as in PyTorch.
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.true_divide(loss.sum(), loss.size if count is None else count), dtype=loss.dtype)


def spread_gradient(dy: Upstream, shape: tuple[int, ...], reduction: str, count: Array | float | None = None) -> Array:
    """The gradient of every single loss, given that of the reduced one: the reverse of `reduce_loss`."""
    upstream = np.asarray(dy)
    if reduction == "mean":
        with np.errstate(invalid="ignore", divide="ignore"):
            upstream = np.true_divide(upstream, np.prod(shape) if count is None else count)
    elif reduction not in ("none", "sum"):
        raise ValueError(f"loss: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    return np.broadcast_to(upstream, shape)
