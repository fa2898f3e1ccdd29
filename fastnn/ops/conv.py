"""Convolutions in one, two and three dimensions.

The kernels see every image as (N, depth, height, width, C) and every filter as three-dimensional; what fewer
dimensions lack has size 1. Which algorithm computes which shape is decided in csrc/ops/conv.inc.h; the switch
`fastnn.backends.conv.algorithm` overrides it for comparisons. Under `fastnn.autocast` the rule of
csrc/ops/conv_bf16.inc.h comes first; the backward pass does as its forward pass did.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from .. import _C, backends
from ..autograd import ADDED, NOTHING, Array, Backward, Grads, Needs, Reuse, op, reusing
from ..autograd.mode import MODE
from ..autograd.pending import measuring
from .layout import from_nhwc, in_nhwc, to_nhwc
from .window import hashable

__all__ = ["conv1d", "conv2d", "conv3d", "conv_output_size"]

Ints: TypeAlias = int | Sequence[int]
_Triple: TypeAlias = tuple[int, int, int]


def conv_output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Output size of a convolution or pooling window along one axis.

    `(size + 2 padding - dilation (kernel - 1) - 1) // stride + 1`; not positive where the window does not fit.
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def conv_algorithm() -> int:
    """Code of the algorithm by which convolutions are computed at present: the one chosen, autocast's, or the rule."""
    return backends.conv.code or (_C.CONV_BF16 if MODE.bfloat16 else 0)


def _triple(name: str, parameter: str, value: Ints, dims: int, least: int, missing: int) -> _Triple:
    """An int for every axis, or one per axis, as three, those of missing axes in front."""
    values = (value,) * dims if isinstance(value, int | np.integer) else tuple(value)
    if len(values) == 1:
        values = values * dims
    if len(values) != dims or any(int(v) != v or v < least for v in values):
        raise ValueError(
            f"{name}: expected '{parameter}' to be an int of at least {least} or {dims} of them, got {value!r}"
        )
    return (*(missing,) * (3 - dims), *(int(v) for v in values))  # type: ignore[return-value]


class Geometry:
    """Where the filter of one convolution goes: checked options, and the shapes that follow from them."""

    __slots__ = ("before", "dilation", "groups", "out", "stride", "weight_shape")

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        weight: tuple[int, ...],
        stride: Ints,
        padding: Ints | str,
        dilation: Ints,
        groups: int,
    ) -> None:
        dims = len(weight) - 2
        self.stride = _triple(name, "stride", stride, dims, 1, 1)
        self.dilation = _triple(name, "dilation", dilation, dims, 1, 1)
        self.groups = groups
        kernel = (*(1,) * (3 - dims), *weight[2:])
        size = (*(1,) * (3 - dims), *shape[2:])
        if min(kernel) < 1:
            raise ValueError(f"{name}: expected a filter with at least one tap, got weight {weight}")
        total = self._padding(name, padding, dims, kernel)
        self.out = tuple(
            conv_output_size(n + t, k, s, 0, d)
            for n, t, k, s, d in zip(size, total, kernel, self.stride, self.dilation, strict=True)
        )
        if min(self.out) < 1:
            raise ValueError(
                f"{name}: the filter does not fit into the padded input: input {shape}, weight {weight}, "
                f"padding {padding!r}, dilation {dilation!r}"
            )
        self.weight_shape = (weight[0], weight[1], *kernel)

    def _padding(self, name: str, padding: Ints | str, dims: int, kernel: tuple[int, ...]) -> list[int]:
        """Sets the padding before each axis and returns the total of both ends."""
        if not isinstance(padding, str):
            self.before = _triple(name, "padding", padding, dims, 0, 0)
            return [2 * p for p in self.before]
        if padding == "valid":
            self.before = (0, 0, 0)
            return [0, 0, 0]
        if padding != "same":
            raise ValueError(f"{name}: expected 'padding' to be ints, 'same' or 'valid', got {padding!r}")
        if self.stride != (1, 1, 1):
            raise ValueError(f"{name}: padding='same' needs stride 1, got {self.stride[3 - dims :]}")
        total = [d * (k - 1) for d, k in zip(self.dilation, kernel, strict=True)]
        self.before = (total[0] // 2, total[1] // 2, total[2] // 2)
        return total


def _check_shapes(
    name: str, dims: int, x: tuple[int, ...], weight: tuple[int, ...], bias: tuple[int, ...] | None, groups: int
) -> None:
    if len(weight) != dims + 2:
        raise ValueError(f"{name}: expected weight of {dims + 2} dimensions (out, in/groups, taps), got {weight}")
    if len(x) != dims + 2:
        raise ValueError(
            f"{name}: expected input of {dims + 2} dimensions (N, C, *spatial) or {dims + 1} without N, got {x}"
        )
    if not isinstance(groups, int) or groups < 1 or weight[0] % groups:
        raise ValueError(f"{name}: expected 'groups' to divide {weight[0]} output channels, got {groups!r}")
    if x[1] != weight[1] * groups:
        raise ValueError(
            f"{name}: expected input with {weight[1] * groups} channels for weight {weight} and "
            f"groups={groups}, got {x}"
        )
    if bias is not None and bias != weight[:1]:
        raise ValueError(f"{name}: expected bias of shape {weight[:1]}, got {bias}")


def _check_dtypes(name: str, x: Array, weight: Array, bias: Array | None) -> None:
    dtype = x.dtype
    for parameter, operand in (("weight", weight), ("bias", bias)):
        if operand is not None and operand.dtype is not dtype and operand.dtype != dtype:
            raise TypeError(f"{name}: expected {parameter} of the input's dtype {dtype}, got {operand.dtype}")
    if dtype.char not in "fd":
        raise TypeError(f"{name}: expected float32 or float64, got {dtype}")


@lru_cache(maxsize=1024)
def _geometry(
    name: str,
    dims: int,
    x: tuple[int, ...],
    weight: tuple[int, ...],
    bias: tuple[int, ...] | None,
    stride: Ints,
    padding: Ints | str,
    dilation: Ints,
    groups: int,
) -> Geometry:
    """The geometry of shapes and options, all checked; those seen before are remembered."""
    _check_shapes(name, dims, x, weight, bias, groups)
    return Geometry(name, x, weight, stride, padding, dilation, groups)


def bias_gradient(dy: Array) -> Array:
    """The sum over everything but the channels, which come last: (N, *spatial, C) -> (C,)."""
    db: Array = _C.empty(dy.shape[-1:], dy.dtype)
    if dy.size:
        _C.sum_columns(dy, db)
    else:
        db.fill(0)
    return db


def _conv(
    name: str,
    dims: int,
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Ints,
    padding: Ints | str,
    dilation: Ints,
    groups: int,
) -> tuple[Array, Backward]:
    """The convolution of any dimension, its shape rule and its backward."""
    batched = input.ndim != dims + 1
    x = input if batched else input[None]
    b_shape = None if bias is None else bias.shape
    g = _geometry(
        name, dims, x.shape, weight.shape, b_shape, hashable(stride), hashable(padding), hashable(dilation), groups
    )
    _check_dtypes(name, x, weight, bias)
    algorithm = conv_algorithm()
    last = to_nhwc(x)
    images = last.reshape(last.shape[0], *(1,) * (3 - dims), *last.shape[1:])
    filters = np.ascontiguousarray(weight).reshape(g.weight_shape)
    y: Array = _C.empty((images.shape[0], *g.out, weight.shape[0]), x.dtype)
    b = None if bias is None else np.ascontiguousarray(bias)
    # A convolution without a bias is mostly followed by a batch norm, which wants to know this.
    moments = np.empty((2, y.shape[-1])) if bias is None and batched and MODE.measuring else None
    options = g.stride, g.before, g.dilation, groups, algorithm
    measured = _C.conv_fwd(images, filters, b, y, *options, moments=moments)
    shape, weight_shape, has_bias = last.shape, weight.shape, bias is not None
    grad_shape = (y.shape[0], *y.shape[4 - dims :])

    @reusing
    def backward(dy: Array, needs: Needs, reuse: Reuse = NOTHING) -> Grads:
        grad = to_nhwc(dy if batched else dy[None]).reshape(y_shape)
        dx: Any = None
        dw = db = None
        if needs[0]:
            total = in_nhwc(reuse.arrived(0)) if batched else None
            dx5 = _C.empty(images_shape, grad.dtype) if total is None else total.reshape(images_shape)
            dx = from_nhwc(dx5.reshape(shape)) if total is None else ADDED
            dx = dx if batched else dx[0]
        if needs[1]:
            dw5 = _C.empty(g.weight_shape, grad.dtype)
            dw = dw5.reshape(weight_shape)
        if needs[0] and needs[1]:
            _C.conv_bwd(grad, images, filters, dx5, dw5, *options, total is not None)
        elif needs[0]:
            _C.conv_bwd_x(grad, filters, dx5, *options, total is not None)
        elif needs[1]:
            _C.conv_bwd_w(grad, images, dw5, *options)
        if has_bias and needs[2]:
            db = bias_gradient(grad)
        return dx, dw, db

    if measured:
        backward.moments = moments  # type: ignore[attr-defined]
    y_shape, images_shape = y.shape, images.shape
    out = from_nhwc(y.reshape(grad_shape))
    return out if batched else out[0], backward


@op
def conv1d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> tuple[Array, Backward | None]:
    """One-dimensional convolution; see `conv2d`.

    Shape:
        input (N, C_in, L) or (C_in, L), weight (C_out, C_in / groups, k), bias (C_out) -> (N, C_out, L_out).
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


@measuring(without=2)  # the bias
@op
def conv2d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> tuple[Array, Backward | None]:
    """Two-dimensional convolution (cross-correlation, as everywhere in this field).

    `y[n, k, i, j] = bias[k] + sum_{c, r, s} x[n, c, i stride + r dilation - padding, j ...] w[k, c, r, s]`,
    x being zero outside. Output size along an axis: `(H + 2p - d (k - 1) - 1) // s + 1`.

    Args:
        input: images.
        weight: filters.
        bias: one number per output channel, or None.
        stride: step between outputs, an int or one per axis.
        padding: zeros at both ends of each axis; "same" keeps the size (stride 1 only; an odd rest goes to
            the end), "valid" pads nothing.
        dilation: distance between the filter's taps.
        groups: channels are cut into this many groups that do not mix; as many as channels: depthwise. Small groups
            may be computed together, with zeros between them, so that a NaN or infinity in one reaches its neighbours.

    Shape:
        input (N, C_in, H, W) or (C_in, H, W), weight (C_out, C_in / groups, kH, kW), bias (C_out) ->
        (N, C_out, H_out, W_out), channels-last in memory.

    Raises:
        ValueError: if shapes and options do not belong together.
        TypeError: if the operands are not all float32 or all float64.
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


@op
def conv3d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Ints = 1,
    padding: Ints | str = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> tuple[Array, Backward | None]:
    """Three-dimensional convolution; see `conv2d`.

    Shape:
        input (N, C_in, D, H, W) or (C_in, D, H, W), weight (C_out, C_in / groups, kD, kH, kW), bias (C_out)
        -> (N, C_out, D_out, H_out, W_out).
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)
