"""Dropout of elements, channels and samples. The mask is never stored: the backward pass draws it again.

An element is kept if its word of the counter-based generator reaches a threshold, exactly as
`fastnn.reference.dropout` defines it, so the result depends on the generator's state and on nothing else.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from .. import _C
from ..autograd import Array, Backward, Grads, Needs, op
from ..random import Generator, generator_for
from .layout import dense, from_nhwc, to_nhwc
from .reduction import need_real

__all__ = ["dropout", "dropout1d", "dropout2d", "dropout3d", "stochastic_depth"]

Dropped: TypeAlias = tuple[Array, Backward]


def _check(name: str, input: Array, p: float) -> None:
    need_real(name, input)
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: expected p from 0 to 1, got {p}")


def _drop(x: Array, p: float, stream: tuple[int, int], scale: float) -> Array:
    """Elements kept with probability 1 - p and multiplied by `scale`, the others 0; counted in memory order."""
    y: Array = _C.empty_like(x)
    if p == 1:
        y.fill(0)
    else:
        _C.dropout(x, *stream, min(round(p * 2**32), 2**32 - 1), scale, y)
    return y


def _kept_scale(p: float, scale_at_test: bool) -> float:
    """What the elements that are kept are multiplied by in training."""
    return 1.0 if scale_at_test or p == 1 else 1 / (1 - p)


def _identity(input: Array) -> Dropped:
    return input, lambda dy, needs: (dy,)


def _scaled(input: Array, factor: float) -> Dropped:
    """Every element times a number: evaluation, where that is when dropout scales."""

    def applied(x: Array) -> Array:
        y: Array = _C.empty_like(x)
        np.multiply(x, x.dtype.type(factor), out=y)
        return y

    return applied(input), lambda dy, needs: (applied(dy),)


@op
def dropout(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    scale_at_test: bool = False,
    generator: Generator | None = None,
) -> Dropped:
    """In training, elements set to 0 with probability p and the others divided by 1 - p; else the input itself.

    That is the inverted form. With `scale_at_test` it is the original one: in training the others stay as they are,
    else everything is multiplied by 1 - p. Either has in both modes the same expected value.

    Args:
        input: float32 or float64.
        p: probability of a zero.
        training: False returns the input.
        inplace: accepted for PyTorch's sake; the input is never changed.
        scale_at_test: scale where nothing is dropped, and not where something is.
        generator: where random numbers come from, by default `fastnn.random.default_generator`; one stream is
            used up.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if p is not from 0 to 1.

    Source: Srivastava et al., JMLR 15, 2014.
    """
    _check("dropout", input, p)
    if not training or p == 0:
        return _scaled(input, 1 - p) if scale_at_test and p else _identity(input)
    stream, scale = generator_for(generator).stream(), _kept_scale(p, scale_at_test)
    flat, order = dense(input)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (order.restore(_drop(order.flat(dy), p, stream, scale)),)

    return order.restore(_drop(flat, p, stream, scale)), backward


def _drop_channels(
    name: str, input: Array, p: float, training: bool, generator: Generator | None, size: int, scale_at_test: bool
) -> Dropped:
    """Whole channels set to 0; `size` is the number of spatial dimensions."""
    _check(name, input, p)
    if input.ndim not in (size + 1, size + 2):
        raise ValueError(f"{name}: expected (N, C, *) or (C, *) with {size} sizes after C, got shape {input.shape}")
    if not training or p == 0 or input.size == 0:
        return _scaled(input, 1 - p) if scale_at_test and p and not training else _identity(input)
    batched = input.ndim == size + 2
    x = to_nhwc(input if batched else input[None])
    scale = _kept_scale(p, scale_at_test)
    factor = _drop(np.ones((x.shape[0], x.shape[-1]), x.dtype), p, generator_for(generator).stream(), scale)

    def applied(last: Array) -> Array:
        y: Array = _C.empty(last.shape, last.dtype)
        _C.feature_dropout(last, factor, y)
        public = from_nhwc(y)
        return public if batched else public[0]

    def backward(dy: Array, needs: Needs) -> Grads:
        return (applied(to_nhwc(dy if batched else dy[None])),)

    return applied(x), backward


@op
def dropout1d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    scale_at_test: bool = False,
    generator: Generator | None = None,
) -> Dropped:
    """In training, whole channels set to 0 with probability p and the others divided by 1 - p; else the input itself.

    Args:
        input: float32 or float64.
        p: probability of dropping a channel of a sample.
        training: False returns the input.
        inplace: accepted for PyTorch's sake; the input is never changed.
        scale_at_test: scale where nothing is dropped, and not where something is.
        generator: where random numbers come from, by default `fastnn.random.default_generator`; one stream is
            used up.

    Shape:
        input: (N, C, L) or (C, L); the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if p is not from 0 to 1 or the number of dimensions does not fit.

    Source: Tompson et al., arXiv:1411.4280.
    """
    return _drop_channels("dropout1d", input, p, training, generator, 1, scale_at_test)


@op
def dropout2d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    scale_at_test: bool = False,
    generator: Generator | None = None,
) -> Dropped:
    """`dropout1d` for images: input (N, C, H, W) or (C, H, W)."""
    return _drop_channels("dropout2d", input, p, training, generator, 2, scale_at_test)


@op
def dropout3d(
    input: Array,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    scale_at_test: bool = False,
    generator: Generator | None = None,
) -> Dropped:
    """`dropout1d` for volumes: input (N, C, D, H, W) or (C, D, H, W)."""
    return _drop_channels("dropout3d", input, p, training, generator, 3, scale_at_test)


@op
def stochastic_depth(
    input: Array,
    p: float,
    mode: str,
    training: bool = True,
    *,
    scale_at_test: bool = False,
    generator: Generator | None = None,
) -> Dropped:
    """In training, whole samples set to 0 with probability p and the others divided by 1 - p; else the input itself.

    What a residual branch gives, so that a sample skips the branch. With `scale_at_test`, the form of the paper, the
    others stay as they are in training, and else everything is multiplied by 1 - p.

    Args:
        input: float32 or float64.
        p: probability of dropping a sample.
        mode: "row" decides for every sample, "batch" for all of them at once.
        training: False returns the input.
        scale_at_test: scale where nothing is dropped, and not where something is.
        generator: where random numbers come from, by default `fastnn.random.default_generator`; one stream is
            used up.

    Shape:
        input: (N, *); the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if p is not from 0 to 1, the mode is unknown, or there is no dimension of samples.

    Source: Huang et al., "Deep networks with stochastic depth", 2016, arXiv:1603.09382; name and modes of torchvision.
    """
    _check("stochastic_depth", input, p)
    if mode not in ("row", "batch"):
        raise ValueError(f"stochastic_depth: expected mode 'row' or 'batch', got {mode!r}")
    if input.ndim < 1:
        raise ValueError("stochastic_depth: expected (N, *), got an input without dimensions")
    if not training or p == 0 or input.size == 0:
        return _scaled(input, 1 - p) if scale_at_test and p and not training else _identity(input)
    count = input.shape[0] if mode == "row" else 1
    kept = _drop(np.ones(count, input.dtype), p, generator_for(generator).stream(), _kept_scale(p, scale_at_test))

    def applied(x: Array) -> Array:
        last = to_nhwc(x) if x.ndim >= 3 else np.ascontiguousarray(x.reshape(x.shape[0], -1))
        y: Array = _C.empty(last.shape, last.dtype)
        factor = np.broadcast_to(kept.reshape(-1, 1), (last.shape[0], last.shape[-1]))
        _C.feature_dropout(last, np.ascontiguousarray(factor), y)
        return from_nhwc(y) if x.ndim >= 3 else y.reshape(x.shape)

    def backward(dy: Array, needs: Needs) -> Grads:
        return (applied(dy),)

    return applied(input), backward
