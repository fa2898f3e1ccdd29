"""Activations in which channels compete or gate each other: maxout and the gated linear unit."""

from __future__ import annotations

import numpy as np

from .. import _C
from ..autograd import Array, Grads, Needs, op
from .pointwise import Activated
from .reduction import need_real
from .softmax import axis_of

__all__ = ["glu", "maxout"]


@op
def glu(input: Array, dim: int = -1) -> Activated:
    """Gated linear unit `a sigmoid(b)`, a and b being the two halves of the input along a dimension.

    Args:
        input: float32 or float64.
        dim: the dimension to halve.

    Shape:
        input (*, 2 C, *) -> (*, C, *)

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if the dimension has an odd length.

    Source: Dauphin et al., arXiv:1612.08083.

    Example:
        >>> glu(fastnn.tensor([3.0, 0.0])).tolist()
        [1.5]
    """
    need_real("glu", input)
    axis = axis_of("glu", dim, input.ndim)
    if input.ndim == 0 or input.shape[axis] % 2:
        raise ValueError(f"glu: expected an even length along dimension {dim}, got shape {input.shape}")
    half = input.shape[axis] // 2
    first, second = ((slice(None),) * axis + (part,) for part in (slice(half), slice(half, None)))
    gate = input[second].copy(order="K")  # in the memory order of the input, channels-last or not
    _C.activation_fwd(_C.ACTIVATIONS["sigmoid"], gate, gate)
    y, shape = np.multiply(input[first], gate, out=np.empty_like(gate)), input.shape

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = np.empty_like(gate, shape=shape)
        np.multiply(dy, gate, out=dx[first])
        np.multiply(dy, y, out=dx[second])
        dx[second] *= 1 - gate
        return (dx,)

    return y, backward


@op
def maxout(input: Array, pieces: int, dim: int = 1) -> Activated:
    """The maximum of each group of `pieces` neighbours along a dimension: a learnt convex activation.

    Args:
        input: float32 or float64.
        pieces: how many values compete.
        dim: the dimension of the channels.

    Shape:
        input: (N, C, *). Result: (N, C / pieces, *).

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if the dimension is not a multiple of `pieces`.

    Source: Goodfellow et al., arXiv:1302.4389.
    """
    need_real("maxout", input)
    axis = axis_of("maxout", dim, input.ndim)
    if pieces < 1 or input.shape[axis] % pieces:
        raise ValueError(f"maxout: expected a multiple of {pieces} channels, got shape {input.shape}")
    shape = input.shape
    grouped = input.reshape(*shape[:axis], shape[axis] // pieces, pieces, *shape[axis + 1 :])
    first = np.expand_dims(grouped.argmax(axis=axis + 1), axis + 1)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = np.zeros((*first.shape[: axis + 1], pieces, *first.shape[axis + 2 :]), dy.dtype)
        np.put_along_axis(dx, first, np.expand_dims(dy, axis + 1), axis + 1)
        return (dx.reshape(shape),)

    return np.take_along_axis(grouped, first, axis + 1).squeeze(axis + 1), backward
