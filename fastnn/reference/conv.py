"""Convolution in any number of dimensions, as im2col and a matrix product.

What deep learning calls convolution is cross-correlation: the kernel is not flipped. `im2col` writes every
window of the input as a column; then the forward pass is one matrix product per image and group, and both
backward passes are the same product with an operand transposed:

    forward          Y  = W X
    gradient of x    dX = Wᵀ dY, and `col2im` adds the columns back into the image
    gradient of w    dW = dY Xᵀ

with W (out, in * taps), X (in * taps, positions), Y (out, positions).

Source: Chellapilla, Puri, Simard, "High performance convolutional neural networks for document processing",
    2006;
arithmetic as in Dumoulin, Visin, "A guide to convolution arithmetic for deep learning", 2016.
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from ._typing import Array
from .window import (
    Ints,
    Padding,
    crop_spatial,
    gather_windows,
    out_shape,
    pad_spatial,
    per_axis,
    resolve_padding,
    scatter_windows,
)


def im2col(x: Array, kernel: Ints, stride: Ints = 1, padding: Padding = 0, dilation: Ints = 1) -> Array:
    """Writes every window of an image as a column.

    Row ``(c, taps)`` of column ``o`` is ``x[n, c, o * stride + taps * dilation - padding]``, zero in the
    padding. In two dimensions this is PyTorch's ``unfold``.

    Args:
        x: input images.
        kernel: kernel size.
        stride: step between windows.
        padding: zeros around the image; see `resolve_padding`.
        dilation: distance between taps.

    Shape:
        x (N, C, *spatial) -> (N, C * taps, positions), with taps = prod(kernel), positions = prod(out)

    Returns:
        The columns.

    Raises:
        ValueError: if no window fits.

    Example:
        >>> im2col(np.arange(4.0).reshape(1, 1, 4), kernel=2)[0].tolist()
        [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    """
    ndim = x.ndim - 2
    kernel, stride, dilation = (per_axis(v, ndim) for v in (kernel, stride, dilation))
    pads = resolve_padding(padding, kernel, stride, dilation)
    out = out_shape(x.shape[2:], kernel, stride, pads, dilation)
    windows = gather_windows(pad_spatial(x, pads), kernel, stride, dilation)
    taps_first = (0, 1, *range(2 + ndim, 2 + 2 * ndim), *range(2, 2 + ndim))
    return windows.transpose(taps_first).reshape(x.shape[0], x.shape[1] * prod(kernel), prod(out))


def col2im(
    cols: Array,
    x_shape: Sequence[int],
    kernel: Ints,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
) -> Array:
    """The adjoint of `im2col`: adds every column back into the image, and drops what fell on the padding.

    Args:
        cols: columns.
        x_shape: shape of the image, (N, C, *spatial).
        kernel: kernel size.
        stride: step between windows.
        padding: as for `im2col`.
        dilation: distance between taps.

    Shape:
        cols (N, C * taps, positions) -> (N, C, *spatial)

    Returns:
        The image.

    Example:
        >>> col2im(np.ones((1, 2, 3)), (1, 1, 4), kernel=2)[0].tolist()
        [[1.0, 2.0, 2.0, 1.0]]
    """
    n, c, *spatial = x_shape
    ndim = len(spatial)
    kernel, stride, dilation = (per_axis(v, ndim) for v in (kernel, stride, dilation))
    pads = resolve_padding(padding, kernel, stride, dilation)
    out = out_shape(spatial, kernel, stride, pads, dilation)
    taps_last = (0, 1, *range(2 + ndim, 2 + 2 * ndim), *range(2, 2 + ndim))
    windows = cols.reshape(n, c, *kernel, *out).transpose(taps_last)
    padded = [size + before + after for size, (before, after) in zip(spatial, pads, strict=True)]
    return crop_spatial(scatter_windows(windows, padded, kernel, stride, dilation), pads, spatial)


def _check(op: str, x_shape: Sequence[int], w_shape: Sequence[int], groups: int) -> None:
    if len(x_shape) < 3 or len(x_shape) != len(w_shape):
        raise ValueError(
            f"{op}: expected x (N, C, *spatial) and w (out, C / groups, *kernel), "
            f"got {tuple(x_shape)} and {tuple(w_shape)}"
        )
    if groups < 1 or x_shape[1] != w_shape[1] * groups or w_shape[0] % groups:
        raise ValueError(
            f"{op}: channels do not match: x has {x_shape[1]}, w {tuple(w_shape)} with groups={groups} needs "
            f"{w_shape[1] * groups} and a multiple of {groups} outputs"
        )


def conv_fwd(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Array:
    """Convolution: ``y[n, o, p] = b[o] + Σ_{c, k} w[o, c, k] x[n, c, p * stride + k * dilation - padding]``.

    With ``groups`` the channels are cut into that many equal parts, and output part g sees input part g only;
    ``groups = C`` is the depthwise convolution.

    Args:
        x: input.
        w: weight.
        b: bias, or None.
        stride: step between windows.
        padding: zeros around the input, or ``'same'`` or ``'valid'``.
        dilation: distance between taps.
        groups: number of groups.

    Shape:
        x (N, C, *spatial), w (O, C / groups, *kernel), b (O,) -> (N, O, *out), the size rule being
        `window.out_size`

    Returns:
        The output.

    Raises:
        ValueError: if shapes do not match or no window fits.

    Example:
        >>> conv_fwd(np.ones((1, 1, 3)), np.ones((1, 1, 2)), np.zeros(1)).tolist()
        [[[2.0, 2.0]]]
    """
    _check("conv_fwd", x.shape, w.shape, groups)
    n, o, kernel = x.shape[0], w.shape[0], w.shape[2:]
    out = _conv_out(x.shape, kernel, stride, padding, dilation)
    rows = prod(w.shape[1:])
    cols = im2col(x, kernel, stride, padding, dilation).reshape(n, groups, rows, prod(out))
    y = (w.reshape(groups, o // groups, rows) @ cols).reshape(n, o, *out)
    return y if b is None else y + b.reshape(-1, *[1] * len(out))


def _conv_out(
    x_shape: Sequence[int], kernel: Sequence[int], stride: Ints, padding: Padding, dilation: Ints
) -> tuple[int, ...]:
    stride, dilation = per_axis(stride, len(kernel), "stride"), per_axis(dilation, len(kernel), "dilation")
    return out_shape(x_shape[2:], kernel, stride, resolve_padding(padding, kernel, stride, dilation), dilation)


def conv_bwd_x(
    dy: Array,
    w: Array,
    x_shape: Sequence[int],
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Array:
    """Gradient of `conv_fwd` with respect to its input: ``col2im(Wᵀ dY)``.

    Args:
        dy: gradient of the output.
        w: weight of the forward pass.
        x_shape: shape of the input; with a stride above 1 several input sizes give the same output size.
        stride: as in the forward pass, like the rest.
        padding: padding.
        dilation: dilation.
        groups: number of groups.

    Shape:
        dy (N, O, *out), w (O, C / groups, *kernel) -> (N, C, *spatial)

    Returns:
        ``dx``.

    Raises:
        ValueError: if shapes do not match.
    """
    _check("conv_bwd_x", x_shape, w.shape, groups)
    (n, o), positions, rows = dy.shape[:2], prod(dy.shape[2:]), prod(w.shape[1:])
    dy_rows = dy.reshape(n, groups, o // groups, positions)
    dcols = w.reshape(groups, o // groups, rows).transpose(0, 2, 1) @ dy_rows
    dcols = dcols.reshape(n, groups * rows, positions)
    return col2im(dcols, x_shape, w.shape[2:], stride, padding, dilation)


def conv_bwd_w(
    dy: Array,
    x: Array,
    w_shape: Sequence[int],
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Array:
    """Gradient of `conv_fwd` with respect to its weight: ``dY im2col(x)ᵀ``, summed over the batch.

    Args:
        dy: gradient of the output.
        x: input of the forward pass.
        w_shape: shape of the weight.
        stride: as in the forward pass, like the rest.
        padding: padding.
        dilation: dilation.
        groups: number of groups.

    Shape:
        dy (N, O, *out), x (N, C, *spatial) -> (O, C / groups, *kernel)

    Returns:
        ``dw``.

    Raises:
        ValueError: if shapes do not match.
    """
    _check("conv_bwd_w", x.shape, w_shape, groups)
    (n, o), positions, rows = dy.shape[:2], prod(dy.shape[2:]), prod(w_shape[1:])
    cols = im2col(x, w_shape[2:], stride, padding, dilation).reshape(n, groups, rows, positions)
    dy_groups = dy.reshape(n, groups, o // groups, positions)
    # Batch and positions become one axis, so that one product per group sums over both.
    x_flat = cols.transpose(1, 2, 0, 3).reshape(groups, rows, n * positions)
    dy_flat = dy_groups.transpose(1, 2, 0, 3).reshape(groups, o // groups, n * positions)
    return np.asarray(dy_flat @ x_flat.transpose(0, 2, 1)).reshape(w_shape)


def conv_bwd_b(dy: Array) -> Array:
    """Gradient of `conv_fwd` with respect to its bias.

    The sum of ``dy`` (N, O, *out) per channel, shape (O,).
    """
    return dy.sum(axis=(0, *range(2, dy.ndim)))


def conv_transpose_fwd(
    x: Array,
    w: Array,
    b: Array | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Array:
    """Transposed convolution: the map that `conv_bwd_x` applies, used as a layer.

    The output size is ``(size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1``.

    Args:
        x: input.
        w: weight; its first axis is the input's, as in PyTorch.
        b: bias, or None.
        stride: step of the convolution whose adjoint this is.
        padding: padding of that convolution.
        output_padding: which of the possible output sizes is meant; below ``stride`` or ``dilation``.
        groups: number of groups.
        dilation: distance between taps.

    Shape:
        x (N, C, *spatial), w (C, O / groups, *kernel), b (O,) -> (N, O, *out)

    Returns:
        The output.

    Raises:
        ValueError: if shapes do not match.

    Example:
        >>> conv_transpose_fwd(np.ones((1, 1, 2)), np.ones((1, 1, 2)), stride=2).tolist()
        [[[1.0, 1.0, 1.0, 1.0]]]
    """
    ndim = x.ndim - 2
    stride, padding, dilation = per_axis(stride, ndim), per_axis(padding, ndim), per_axis(dilation, ndim)
    axes = zip(x.shape[2:], w.shape[2:], stride, padding, per_axis(output_padding, ndim), dilation, strict=True)
    out = [(n - 1) * s - 2 * p + d * (k - 1) + extra + 1 for n, k, s, p, extra, d in axes]
    y_shape = (x.shape[0], w.shape[1] * groups, *out)
    y = conv_bwd_x(x, w, y_shape, stride, padding, dilation, groups)
    return y if b is None else y + b.reshape(-1, *[1] * ndim)


def conv_transpose_bwd(
    dy: Array, x: Array, w: Array, stride: Ints = 1, padding: Ints = 0, groups: int = 1, dilation: Ints = 1
) -> tuple[Array, Array, Array]:
    """Gradient of `conv_transpose_fwd`: ``dx`` convolves ``dy``; ``dw`` is `conv_bwd_w`, x and dy swapped.

    Args:
        dy: gradient of the output.
        x: input of the forward pass.
        w: weight of the forward pass.
        stride: as in the forward pass, like the rest.
        padding: padding.
        groups: number of groups.
        dilation: dilation.

    Shape:
        dy (N, O, *out) -> dx (N, C, *spatial), dw (C, O / groups, *kernel), db (O,)

    Returns:
        ``(dx, dw, db)``.
    """
    dx = conv_fwd(dy, w, None, stride, padding, dilation, groups)
    return dx, conv_bwd_w(x, dy, w.shape, stride, padding, dilation, groups), conv_bwd_b(dy)
