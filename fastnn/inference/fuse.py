"""Joining steps: what follows a convolution goes into its filters or its epilogue.

A joined step stands where the later of the two stood, so that whatever else it reads has been made.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .graph import Activate, Activation, BatchNorm, Binary, Conv, Copy, Graph, Step, View

__all__ = ["fuse"]

_RELU = Activation("relu")


def fuse(graph: Graph) -> None:
    """Join steps of the graph until none can be joined any more."""
    i = 0
    while i < len(graph.steps):
        step = graph.steps[i]
        reader = graph.only_reader(step)
        joined = None if reader is None else _joined(step, reader)
        if reader is None or joined is None:
            i += 1
            continue
        place = next(at for at, each in enumerate(graph.steps) if each is reader)
        graph.steps[place] = joined
        del graph.steps[i]
        i = max(i - 1, 0)


def _joined(first: Step, then: Step) -> Step | None:
    """One step for both, if there is one; `then` is the only reader of what `first` makes."""
    if isinstance(first, Copy) and isinstance(then, Conv):
        return _reorder(first, then)
    read = [view for view in then.reads() if view.buffer is first.y.buffer]
    if not isinstance(first, Conv | BatchNorm) or len(read) != 1 or not _all_of(first.y, read[0]):
        return None
    if isinstance(first, Conv) and isinstance(then, BatchNorm):
        return _fold(first, then)
    if isinstance(then, Activate):
        return _activate(first, then)
    if isinstance(then, Binary) and then.name == "add":
        return _add(first, then)
    return None


def _all_of(made: View, read: View) -> bool:
    """Whether a view is all of what was made, so that what is done to it element by element can be done at once."""
    return read.buffer is made.buffer and read.offset == 0 and read.size == made.buffer.size and read.dense()


def _fold(conv: Conv, norm: BatchNorm) -> Conv | None:
    """`norm(conv(x))`: scale and shift go into the filters and the bias when the program is made."""
    free = conv.norm is None and conv.residual is None and conv.activation is None
    if not free or norm.x.buffer is not conv.y.buffer or norm.channels != conv.y_shape[-1]:
        return None
    activation = _RELU if norm.relu else None
    return replace(conv, y=norm.y, norm=norm.norm, residual=norm.residual, activation=activation)


def _activate(first: Conv | BatchNorm, then: Activate) -> Step | None:
    """`activation(first(x))`."""
    if isinstance(first, Conv):
        return replace(first, y=then.y, activation=then.activation) if first.activation is None else None
    if first.relu or then.activation != _RELU:
        return None
    return replace(first, y=then.y, relu=True)


def _add(first: Conv | BatchNorm, then: Binary) -> Step | None:
    """`first(x) + other`, either way round."""
    done = first.activation is not None if isinstance(first, Conv) else first.relu
    if done or first.residual is not None:
        return None
    other = then.other if then.x.buffer is first.y.buffer else then.x
    return replace(first, y=then.y, residual=other)


def _reorder(copy: Copy, linear: Conv) -> Step | None:
    """A linear layer of flattened images: its columns go where the features lie, the images stay as they are."""
    x, rows, features = copy.x, linear.x_shape[0], linear.x_shape[-1]
    if linear.columns is not None or not _all_of(copy.y, linear.x) or linear.y_shape[1:4] != (1, 1, 1):
        return None
    if (
        len(x.shape) < 2
        or x.shape[0] != rows
        or math.prod(x.shape[1:]) != features
        or math.prod(linear.weight_shape[2:]) > 1
    ):
        return None
    image = View(x.buffer, x.shape[1:], x.strides[1:])
    if not copy.y.contiguous() or not image.dense() or (rows > 1 and x.strides[0] != features):
        return None
    columns = sum(np.ix_(*[np.arange(n) * step for n, step in zip(image.shape, image.strides, strict=True)]))
    place = View(x.buffer, (rows, features), (features, 1), x.offset)
    return replace(linear, x=place, columns=np.asarray(columns).reshape(-1))
