"""Reductions."""

from __future__ import annotations

import numpy as np

from ..autograd import Array, Backward, op


@op
def sum(input: Array, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> tuple[Array, Backward]:
    """The sum over the given dimensions, all of them by default."""
    shape = input.shape

    def backward(dy: Array, needs: tuple[bool, ...]) -> tuple[Array]:
        if dim is not None and not keepdim:
            dy = np.expand_dims(dy, dim)
        return (np.broadcast_to(dy, shape),)

    return input.sum(axis=dim, keepdims=keepdim), backward
