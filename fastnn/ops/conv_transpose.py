"""Transposed convolutions in one, two and three dimensions: the adjoints of convolutions.

What a convolution's data gradient computes is this operation's forward pass, and the other way round, so the kernels
are those of `conv`; with x and dy exchanged, the weight gradient is the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import _C
from ..autograd import Array, Backward, Grads, Needs, op
from .conv import Ints, _Triple, _triple, bias_gradient, conv_algorithm
from .layout import from_nhwc, to_nhwc

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "conv_transpose_output_size"]


def conv_transpose_output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Output size of a transposed convolution along one axis.

    `(size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1`: the size of which a convolution with
    the same options makes `size`. There are `stride` such sizes; `output_padding` chooses one.
    """
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1


class _Plan(NamedTuple):
    """Checked options of one transposed convolution, as triples, and the output's spatial size."""

    stride: _Triple
    padding: _Triple
    dilation: _Triple
    out: tuple[int, ...]
    weight_shape: tuple[int, ...]


def _plan(
    name: str,
    shape: tuple[int, ...],
    weight: tuple[int, ...],
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    dilation: Ints,
) -> _Plan:
    dims = len(weight) - 2
    steps = _triple(name, "stride", stride, dims, 1, 1)
    cut = _triple(name, "padding", padding, dims, 0, 0)
    more = _triple(name, "output_padding", output_padding, dims, 0, 0)
    spread = _triple(name, "dilation", dilation, dims, 1, 1)
    kernel = (*(1,) * (3 - dims), *weight[2:])
    size = (*(1,) * (3 - dims), *shape[2:])
    if min(kernel) < 1:
        raise ValueError(f"{name}: expected a filter with at least one tap, got weight {weight}")
    if any(m and m >= max(s, d) for m, s, d in zip(more, steps, spread, strict=True)):
        raise ValueError(
            f"{name}: expected output_padding below stride or dilation, got output_padding {output_padding!r}, "
            f"stride {stride!r} and dilation {dilation!r}"
        )
    out = tuple(map(conv_transpose_output_size, size, kernel, steps, cut, more, spread))
    if min(out) < 1:
        raise ValueError(
            f"{name}: expected an output of at least one point, got size {out[3 - dims :]} from input {shape}, "
            f"weight {weight}, padding {padding!r}"
        )
    return _Plan(steps, cut, spread, out, (weight[0], weight[1], *kernel))


def _check(name: str, dims: int, x: Array, weight: Array, bias: Array | None, groups: int) -> None:
    if weight.ndim != dims + 2:
        raise ValueError(f"{name}: expected weight of {dims + 2} dimensions (in, out/groups, taps), got {weight.shape}")
    if x.ndim != dims + 2:
        raise ValueError(
            f"{name}: expected input of {dims + 2} dimensions (N, C, *spatial) or {dims + 1} without N, got {x.shape}"
        )
    if not isinstance(groups, int) or groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"{name}: expected 'groups' to divide {weight.shape[0]} input channels, got {groups!r}")
    if x.shape[1] != weight.shape[0]:
        raise ValueError(
            f"{name}: expected input with {weight.shape[0]} channels for weight {weight.shape}, got {x.shape}"
        )
    if 0 in x.shape[1:] or 0 in weight.shape[:2]:
        raise ValueError(f"{name}: expected channels and sizes above 0, got input {x.shape}, weight {weight.shape}")
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        raise ValueError(f"{name}: expected bias of shape {(weight.shape[1] * groups,)}, got {bias.shape}")
    for parameter, operand in (("weight", weight), ("bias", bias)):
        if operand is not None and operand.dtype != x.dtype:
            raise TypeError(f"{name}: expected {parameter} of the input's dtype {x.dtype}, got {operand.dtype}")
    if x.dtype.char not in "fd":
        raise TypeError(f"{name}: expected float32 or float64, got {x.dtype}")


def _conv_transpose(
    name: str,
    dims: int,
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> tuple[Array, Backward]:
    """The transposed convolution of any dimension, and its backward."""
    batched = input.ndim != dims + 1
    x = input if batched else input[None]
    _check(name, dims, x, weight, bias, groups)
    p = _plan(name, x.shape, weight.shape, stride, padding, output_padding, dilation)
    algorithm = conv_algorithm()
    last = to_nhwc(x)
    images = last.reshape(last.shape[0], *(1,) * (3 - dims), *last.shape[1:])
    filters = np.ascontiguousarray(weight).reshape(p.weight_shape)
    channels = weight.shape[1] * groups
    y: Array = _C.empty((images.shape[0], *p.out, channels), x.dtype)
    _C.conv_bwd_x(images, filters, y, p.stride, p.padding, p.dilation, groups, algorithm)
    if bias is not None:
        _C.binary_columns(_C.BINARIES["add"], y, np.ascontiguousarray(bias), y)
    shape, weight_shape, has_bias = last.shape, weight.shape, bias is not None
    y_shape, images_shape = y.shape, images.shape

    def backward(dy: Array, needs: Needs) -> Grads:
        grad = to_nhwc(dy if batched else dy[None]).reshape(y_shape)
        dx = dw = db = None
        if needs[0]:
            dx5 = _C.empty(images_shape, grad.dtype)
            _C.conv_fwd(grad, filters, None, dx5, p.stride, p.padding, p.dilation, groups, algorithm)
            dx = from_nhwc(dx5.reshape(shape))
            dx = dx if batched else dx[0]
        if needs[1]:
            dw = _C.empty(p.weight_shape, grad.dtype)
            _C.conv_bwd_w(images, grad, dw, p.stride, p.padding, p.dilation, groups, algorithm)
            dw = dw.reshape(weight_shape)
        if has_bias and needs[2]:
            db = bias_gradient(grad)
        return dx, dw, db

    out = from_nhwc(y.reshape(y_shape[0], *y_shape[4 - dims :]))
    return out if batched else out[0], backward


@op
def conv_transpose1d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> tuple[Array, Backward | None]:
    """One-dimensional transposed convolution; see `conv_transpose2d`.

    Shape:
        input (N, C_in, L) or (C_in, L), weight (C_in, C_out / groups, k), bias (C_out) -> (N, C_out, L_out).
    """
    options = stride, padding, output_padding, groups, dilation
    return _conv_transpose("conv_transpose1d", 1, input, weight, bias, *options)


@op
def conv_transpose2d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> tuple[Array, Backward | None]:
    """Two-dimensional transposed convolution: every input point adds its multiple of the filter to the output.

    `y[n, k, i stride + r dilation - padding, j ...] += x[n, c, i, j] w[c, k, r, s]`, plus `bias[k]`: the gradient that
    `conv2d` with these options sends to its input. Output size along an axis:
    `(H - 1) s - 2p + d (k - 1) + output_padding + 1`.

    Args:
        input: images.
        weight: filters, laid out as those of the convolution in the other direction.
        bias: one number per output channel, or None.
        stride: distance between the outputs of neighbouring inputs, an int or one per axis.
        padding: how much is cut off at both ends of each axis.
        output_padding: points added at the end of each axis, to choose among the sizes that a strided convolution
            takes to the same one; below the stride or the dilation.
        groups: channels are cut into this many groups that do not mix.
        dilation: distance between the filter's taps.

    Shape:
        input (N, C_in, H, W) or (C_in, H, W), weight (C_in, C_out / groups, kH, kW), bias (C_out) ->
        (N, C_out, H_out, W_out), channels-last in memory.

    Raises:
        ValueError: if shapes and options do not belong together.
        TypeError: if the operands are not all float32 or all float64.

    Source: Zeiler et al., "Deconvolutional networks", CVPR 2010; Dumoulin and Visin, arXiv:1603.07285, chapter 4.
    """
    options = stride, padding, output_padding, groups, dilation
    return _conv_transpose("conv_transpose2d", 2, input, weight, bias, *options)


@op
def conv_transpose3d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> tuple[Array, Backward | None]:
    """Three-dimensional transposed convolution; see `conv_transpose2d`.

    Shape:
        input (N, C_in, D, H, W) or (C_in, D, H, W), weight (C_in, C_out / groups, kD, kH, kW), bias (C_out)
        -> (N, C_out, D_out, H_out, W_out).
    """
    options = stride, padding, output_padding, groups, dilation
    return _conv_transpose("conv_transpose3d", 3, input, weight, bias, *options)
