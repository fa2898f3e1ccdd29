"""Borders around a tensor: constant, mirrored, repeated or circular.

A border is copied slice by slice into an array of the input's memory order, so that channels-last images stay so; the
backward pass adds the same slices back to where they came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import _C
from ..autograd import Array, Backward, Grads, Needs, op
from .layout import memory_order, zeros_in_order

__all__ = ["pad"]

_Borders: TypeAlias = dict[int, tuple[int, int]]
_Index: TypeAlias = tuple[Any, ...]
_MODES = ("constant", "reflect", "replicate", "circular")


@op
def pad(input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> tuple[Array, Backward]:
    """A border put around the last dimensions.

    Args:
        input: values.
        pad: (before, after) of the last dimension, then of the one before it, and so on. Negative numbers cut off.
        mode: "constant" (a value), "reflect" (mirrored at the border element), "replicate" (the border element
            repeated) or "circular" (the other end).
        value: the constant, 0 by default.

    Shape:
        input (*, W) and pad (before, after) -> (*, before + W + after), and so on for the other dimensions.

    Raises:
        ValueError: if `pad` has an odd number of entries or more than two per dimension, the mode is unknown, a
            mirrored or circular border is wider than the tensor, or more is cut off than there is.
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad: expected pairs for at most {input.ndim} dimensions, got {tuple(pad)}")
    if mode not in _MODES:
        raise ValueError(f"pad: expected mode constant, reflect, replicate or circular, got {mode!r}")
    borders = {input.ndim - 1 - i: (pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)}
    for axis, (before, after) in borders.items():
        if input.shape[axis] + before + after < 0:
            raise ValueError(f"pad: {(before, after)} cuts more off dimension {axis} than shape {input.shape} has")
        if mode != "constant":
            _check_width(input.shape, axis, (before, after), mode)
    return (
        _constant(input, borders, 0 if value is None else value)
        if mode == "constant"
        else _copied(input, borders, mode)
    )


def _check_width(shape: tuple[int, ...], axis: int, widths: tuple[int, int], mode: str) -> None:
    length = shape[axis]
    widest = {"reflect": length - 1, "replicate": math.inf if length else 0, "circular": length}[mode]
    if max(widths) > widest:
        raise ValueError(f"pad: a {mode} border of {widths} is too wide for dimension {axis} of {shape}")


def _along(axis: int, part: slice) -> tuple[slice, ...]:
    """The index that takes a part of one dimension."""
    return (slice(None),) * axis + (part,)


class _Copy(NamedTuple):
    """A border along an axis of the padded array: where it lies, and what it copies."""

    border: slice
    source: slice
    mirrored: bool


def _copies(length: int, widths: tuple[int, int], mode: str) -> Iterator[_Copy]:
    """The borders before and after `length` elements, of which either may be missing."""
    before, after = (max(width, 0) for width in widths)
    end = before + length
    if before:
        source = {
            "reflect": slice(before + 1, 2 * before + 1),
            "replicate": slice(before, before + 1),
            "circular": slice(length, end),
        }[mode]
        yield _Copy(slice(0, before), source, mode == "reflect")
    if after:
        source = {
            "reflect": slice(end - 1 - after, end - 1),
            "replicate": slice(end - 1, end),
            "circular": slice(before, before + after),
        }[mode]
        yield _Copy(slice(end, end + after), source, mode == "reflect")


def _places(shape: tuple[int, ...], borders: _Borders) -> tuple[list[int], tuple[slice, ...], tuple[slice, ...]]:
    """The shape with all borders, where the input lies in it, and what remains once negative borders are cut off."""
    full, inner, kept = list(shape), [slice(None)] * len(shape), [slice(None)] * len(shape)
    for axis, (before, after) in borders.items():
        full[axis] = shape[axis] + max(before, 0) + max(after, 0)
        inner[axis] = slice(max(before, 0), max(before, 0) + shape[axis])
        kept[axis] = slice(max(-before, 0), full[axis] - max(-after, 0))
    return full, tuple(inner), tuple(kept)


def _copied(x: Array, borders: _Borders, mode: str) -> tuple[Array, Backward]:
    """`x` with borders that repeat its own elements."""
    shape = x.shape
    full, inner, kept = _places(shape, borders)
    y = np.empty_like(x, shape=full)
    y[inner] = x
    for axis, widths in borders.items():  # the borders of later axes include the corners of earlier ones
        for copy in _copies(shape[axis], widths, mode):
            source = y[_along(axis, copy.source)]
            y[_along(axis, copy.border)] = np.flip(source, axis) if copy.mirrored else source

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = np.zeros_like(dy, shape=full) if tuple(full) != dy.shape else np.empty_like(dy)
        dx[kept] = dy
        for axis, widths in reversed(borders.items()):
            for copy in _copies(shape[axis], widths, mode):
                border = dx[_along(axis, copy.border)]
                if mode == "replicate":
                    border = border.sum(axis=axis, keepdims=True)
                dx[_along(axis, copy.source)] += np.flip(border, axis) if copy.mirrored else border
        return (dx[inner],)

    return y[kept], backward


def _constant(x: Array, borders: _Borders, value: Any) -> tuple[Array, Backward]:
    """`x` with constant borders, or cut off where they are negative."""
    shape = x.shape
    inner, outer = [slice(None)] * x.ndim, [slice(None)] * x.ndim
    size = list(shape)
    for axis, (before, after) in borders.items():
        size[axis] = shape[axis] + before + after
        inner[axis] = slice(max(before, 0), max(size[axis] - max(after, 0), 0))
        outer[axis] = slice(max(-before, 0), max(shape[axis] - max(-after, 0), 0))
    # With `...` a view even of a single number.
    place: _Index = (*inner, ...)
    kept: _Index = (*outer, ...)
    axes = memory_order(x)
    y = zeros_in_order(tuple(size), x.dtype, axes)
    if value:
        y.fill(value)
    _C.copyto(y[place], x[kept])
    cut = any(min(widths) < 0 for widths in borders.values())

    def backward(dy: Array, needs: Needs) -> Grads:
        if not cut:
            return (dy[place],)
        dx = zeros_in_order(shape, dy.dtype, axes)
        _C.copyto(dx[kept], dy[place])
        return (dx,)

    return y, backward
