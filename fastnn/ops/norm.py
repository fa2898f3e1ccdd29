"""Normalisation: batch norm, alone and fused with what follows it, layer, group and instance norm.

All standardise groups of values and scale them, `y = (x - mean) / √(var + eps) · weight + bias`; they
differ in what forms a group. The backward pass keeps the input, the means and the inverse deviations, and
nothing else.

Sources: Ioffe, Szegedy 2015 (batch); Ba, Kiros, Hinton 2016 (layer); Wu, He 2018 (group); Ulyanov, Vedaldi,
Lempitsky 2016 (instance). Names, arguments and results are PyTorch's; `batch_norm_relu` is fastnn's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np

from .. import _C
from ..autograd import NOTHING, Array, Backward, Reuse, op, reusing
from ..autograd.dtype import DType
from ..autograd.pending import Finish, waiting
from .layout import from_nhwc, to_nhwc
from .pointwise import Entry
from .window import Ints, Sizes, Window, hashable, sliding_windows

__all__ = ["batch_norm", "batch_norm_relu", "batch_norm_relu_max_pool2d", "group_norm", "instance_norm", "layer_norm"]

Needs: TypeAlias = tuple[bool, ...]
Grads: TypeAlias = tuple[Array | None, ...]


_VECTORS = ("running_mean", "running_var", "weight", "bias")


def _check(name: str, input: Array, least_rank: int, vectors: tuple[Array | None, ...] = ()) -> None:
    """Raise unless `input` is floating with enough dimensions and each vector has one value a channel.

    `vectors` are those of `_VECTORS`, or the last ones of them.
    """
    dtype, shape = input.dtype, input.shape
    if dtype.kind != "f" or dtype.itemsize < 4:
        raise TypeError(f"{name}: expected a float32 or float64 input, got {dtype}")
    if len(shape) < least_rank:
        raise ValueError(f"{name}: expected an input of at least {least_rank} dimensions, got shape {shape}")
    for i, vector in enumerate(vectors):
        if vector is None:
            continue
        if vector.shape != shape[1:2]:
            raise ValueError(
                f"{name}: expected {_VECTORS[i - len(vectors)]} of shape ({shape[1]},) for an input of shape {shape}, "
                f"got {vector.shape}"
            )
        if vector.dtype is not dtype and vector.dtype != dtype:
            raise TypeError(
                f"{name}: expected {_VECTORS[i - len(vectors)]} to be {dtype} like the input, got {vector.dtype}"
            )


def _like(vector: Array | None, needed: bool) -> Array | None:
    """Room for the gradient of a weight or bias, if it is wanted."""
    if vector is None or not needed:
        return None
    gradient: Array = _C.empty(vector.shape, vector.dtype)
    return gradient


def _contiguous(vector: Array | None) -> Array | None:
    return vector if vector is None or vector.flags.c_contiguous else np.ascontiguousarray(vector)


def _begin(
    name: str,
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None,
    bias: Array | None,
    training: bool,
    momentum: float,
    eps: float,
    waits: bool = False,
    moments: Array | None = None,
) -> Finish:
    """The first half of a batch norm: checks, statistics, and in training the running ones brought up to date.

    Returns:
        the second half, `finish(residual=None, activation=None, windows=None)`: the output, with the residual added,
        after that the activation ("relu", or without a residual any `Entry`) applied or without a residual the maximum
        of windows of the ReLU taken in the same pass, and its closure, which gives a gradient for each tensor of
        `batch_norm` and one for the residual, if there is one. If it `waits`, weight and bias may change before.
        `moments` (2, C) are the input's mean and variance where they are known.
    """
    _check(name, input, 2, (running_mean, running_var, weight, bias))
    shape = input.shape
    x = to_nhwc(input)
    if training:
        if input.size == shape[1]:
            raise ValueError(f"{name}: expected more than one value per channel when training, got shape {shape}")
        rstd = np.zeros(shape[1])  # stay so for an empty batch
        if moments is None:
            mean = np.zeros(shape[1])
            _C.norm_batch_stats(x, eps, mean, rstd, running_mean, running_var, momentum)
        else:
            mean = moments[0]
            _C.norm_batch_measured(moments, x.size // shape[1], eps, rstd, running_mean, running_var, momentum)
    else:
        if running_mean is None or running_var is None:
            raise ValueError(f"{name}: expected running_mean and running_var when not training, got None")
        mean, rstd = _C.norm_batch_given(np.ascontiguousarray(running_mean), np.ascontiguousarray(running_var), eps)
    w, b = _contiguous(weight), _contiguous(bias)
    scale, shift = (None if w is None else w.copy(), None if b is None else b.copy()) if waits else (w, b)

    def finish(
        residual: Array | None = None,
        activation: str | Entry | None = None,
        windows: tuple[Sizes, Window] | None = None,
    ) -> tuple[Array, Backward]:
        if windows is not None:
            return _pooled(windows, _Batch(training, x, scale, shift, w, b, mean, rstd))
        if isinstance(activation, Entry):
            return _activated(activation, _Batch(training, x, scale, shift, w, b, mean, rstd))
        relu, added = activation == "relu", None if residual is None else to_nhwc(residual)
        y: Array = _C.empty(x.shape, x.dtype)
        _C.norm_batch_apply(x, added, scale, shift, relu, mean, rstd, y)
        summed = added is not None
        output = y if relu and summed else None  # the mask of the ReLU; without a residual x gives it
        saved = x  # held apart, so that `reuse` sees whether `finish`, which may be asked again, is still there

        @reusing
        def backward(dy: Array, needs: Needs, reuse: Reuse = NOTHING) -> Grads:
            grad = to_nhwc(dy)
            room = grad if reuse.owned else None  # for dx, or for dz where both are wanted
            dz = None if output is None else _C.empty(saved.shape, saved.dtype) if room is None else room
            dx = None if summed or not needs[0] else room
            if needs[0] and dx is None:
                dx = saved if reuse.spent(saved) else _C.empty(saved.shape, saved.dtype)
            dw, db = _like(w, needs[3]), _like(b, needs[4])
            _C.norm_batch_bwd(training, grad, saved, output, w, b, relu, mean, rstd, dx, dz, dw, db)
            grads = (None if dx is None else from_nhwc(dx), None, None, dw, db)
            return (*grads, dy if dz is None else from_nhwc(dz)) if summed else grads

        return from_nhwc(y), backward

    return finish


class _Batch(NamedTuple):
    """A batch to be standardised: the input (N, *spatial, C), scale and shift of the output, the weight and bias
    that they were in the call, and the statistics, which in training are those of the input."""

    training: bool
    x: Array
    scale: Array | None
    shift: Array | None
    w: Array | None
    b: Array | None
    mean: Array
    rstd: Array


def _activated(activation: Entry, batch: _Batch) -> tuple[Array, Backward]:
    """An activation of a batch norm, whose output is not stored."""
    training, x, scale, shift, w, b, mean, rstd = batch
    code, parameters = _C.ACTIVATIONS[activation.name], activation[1:]
    y: Array = _C.empty(x.shape, x.dtype)
    _C.norm_activation_fwd(code, parameters, x, scale, shift, mean, rstd, y)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = _C.empty(x.shape, x.dtype) if needs[0] else None
        dw, db = _like(w, needs[3]), _like(b, needs[4])
        _C.norm_activation_bwd(training, code, parameters, to_nhwc(dy), x, w, b, mean, rstd, dx, dw, db)
        return None if dx is None else from_nhwc(dx), None, None, dw, db

    return from_nhwc(y), backward


def _pooled(windows: tuple[Sizes, Window], batch: _Batch) -> tuple[Array, Backward]:
    """Maximum over windows side by side of the ReLU of a batch norm; neither of these is stored."""
    training, x, scale, shift, w, b, mean, rstd = batch
    out, (kernel, *_) = windows
    y: Array = _C.empty((x.shape[0], *out, x.shape[-1]), x.dtype)
    _C.norm_pool_fwd(x, scale, shift, mean, rstd, y, kernel)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = _C.empty(x.shape, x.dtype) if needs[0] else None
        dw, db = _like(w, needs[3]), _like(b, needs[4])
        _C.norm_pool_bwd(training, to_nhwc(dy), x, w, b, mean, rstd, dx, dw, db, kernel)
        return None if dx is None else from_nhwc(dx), None, None, dw, db

    return from_nhwc(y), backward


def _start_batch_norm(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    moments: Array | None = None,
) -> tuple[tuple[int, ...], DType, Finish]:
    """What `batch_norm` does in its call; the output waits for an addition or an activation."""
    options = training, momentum, eps, True, moments
    finish = _begin("batch_norm", input, running_mean, running_var, weight, bias, *options)
    return input.shape, input.dtype, finish


@waiting(_start_batch_norm, measured=True)
@op
def batch_norm(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Batch norm: every channel is standardised over the batch and all positions.

    In training mean and (biased) variance are those of the batch, and the running statistics, where given,
    are updated in place: `running += momentum (batch - running)`, with the unbiased variance. In evaluation
    the running statistics are used.

    Args:
        input: the activations.
        running_mean: running mean, changed in place when training; may be None then.
        running_var: running variance, likewise.
        weight: scale per channel, or None for 1.
        bias: shift per channel, or None for 0.
        training: use the batch's statistics and update the running ones.
        momentum: weight of the batch in the running statistics.
        eps: added to the variance.

    Shape:
        input (N, C) or (N, C, *spatial), the vectors (C,) -> like input

    Raises:
        ValueError: if a vector has another shape, if there is one value per channel in training, or no
            running statistics otherwise.
        TypeError: if dtypes differ or are not float32 or float64.

    Example:
        >>> batch_norm(np.array([[1.0], [3.0]]), None, None, training=True, eps=0.0).tolist()
        [[-1.0], [1.0]]
    """
    return _begin("batch_norm", input, running_mean, running_var, weight, bias, training, momentum, eps)()


@op
def batch_norm_relu(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    residual: Array | None = None,
) -> tuple[Array, Backward]:
    """`relu(batch_norm(input) + residual)` in two passes over memory instead of four.

    Args:
        input: the activations.
        running_mean: as for `batch_norm`, like all up to eps.
        running_var: running variance.
        weight: scale per channel.
        bias: shift per channel.
        training: use the batch's statistics.
        momentum: weight of the batch.
        eps: added to the variance.
        residual: added before the ReLU, or None.

    Shape:
        input, residual (N, C) or (N, C, *spatial), the vectors (C,) -> like input

    Raises:
        ValueError: as `batch_norm`, and if the residual is not like the input.
        TypeError: as `batch_norm`.

    Example:
        >>> batch_norm_relu(np.array([[1.0], [3.0]]), None, None, training=True, eps=0.0).tolist()
        [[0.0], [1.0]]
    """
    name, like = "batch_norm_relu", (input.shape, input.dtype)
    if residual is not None and (residual.shape, residual.dtype) != like:
        raise ValueError(
            f"{name}: expected a residual like the input, {input.dtype} {input.shape}, "
            f"got {residual.dtype} {residual.shape}"
        )
    finish = _begin(name, input, running_mean, running_var, weight, bias, training, momentum, eps)
    y, backward = finish(residual, "relu")
    if residual is not None:
        return y, backward

    @reusing
    def without_residual(dy: Array, needs: Needs, reuse: Reuse = NOTHING) -> Grads:
        return *backward(dy, needs, reuse), None

    return y, without_residual


@op
def batch_norm_relu_max_pool2d(
    input: Array,
    running_mean: Array | None,
    running_var: Array | None,
    weight: Array | None = None,
    bias: Array | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    kernel_size: Ints = 2,
) -> tuple[Array, Backward]:
    """`max_pool2d(relu(batch_norm(input)), kernel_size)` in three passes over the input, both ways together.

    Args:
        input: as for `batch_norm`, like all up to eps.
        running_mean: running mean.
        running_var: running variance.
        weight: scale per channel.
        bias: shift per channel.
        training: use the batch's statistics.
        momentum: weight of the batch.
        eps: added to the variance.
        kernel_size: size of the windows, an int or (height, width). They lie side by side; what is left of the image
            behind the last ones counts in the statistics only.

    Shape:
        input (N, C, H, W), the vectors (C,) -> (N, C, floor(H / height), floor(W / width))

    Raises:
        ValueError: as `batch_norm`, and if the input has another rank or no window fits.
        TypeError: as `batch_norm`.

    Example:
        >>> x = np.array([[[[1.0, 3.0], [3.0, 1.0]]]])
        >>> batch_norm_relu_max_pool2d(x, None, None, training=True, eps=0.0).tolist()
        [[[[1.0]]]]
    """
    name = "batch_norm_relu_max_pool2d"
    if input.ndim != 4 or 0 in input.shape[1:]:
        raise ValueError(f"{name}: expected an input (N, C, H, W) with C, H and W above 0, got {input.shape}")
    windows = sliding_windows(name, input.shape[2:], hashable(kernel_size), None, 0, 1, False)
    finish = _begin(name, input, running_mean, running_var, weight, bias, training, momentum, eps)
    return finish(activation="relu", windows=windows)


@op
def layer_norm(
    input: Array,
    normalized_shape: int | Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Layer norm: every sample is standardised over its last dimensions, scale and shift are per element.

    Args:
        input: the activations.
        normalized_shape: the last dimensions of the input, or the last one as an int.
        weight: scale, or None for 1.
        bias: shift, or None for 0.
        eps: added to the variance.

    Shape:
        input (*, *normalized_shape), weight and bias (*normalized_shape) -> like input

    Raises:
        ValueError: if the input does not end in normalized_shape, or weight or bias have another shape.
        TypeError: if dtypes differ or are not float32 or float64.

    Example:
        >>> layer_norm(np.array([[1.0, 3.0]]), (2,), eps=0.0).tolist()
        [[-1.0, 1.0]]
    """
    over = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    _check("layer_norm", input, 1)
    shape, count = input.shape, prod(over)
    if not over or shape[len(shape) - len(over) :] != over:
        raise ValueError(f"layer_norm: expected an input that ends in {over}, got shape {shape}")
    for label, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and vector.shape != over:
            raise ValueError(f"layer_norm: expected {label} of shape {over}, got {vector.shape}")
        if vector is not None and vector.dtype != input.dtype:
            raise TypeError(f"layer_norm: expected {label} to be {input.dtype}, got {vector.dtype}")
    # A whole image in channels-last order may stay so, if scale and shift come into the same order.
    turned = input.ndim > 2 and len(over) == input.ndim - 1 and not input.flags.c_contiguous
    x = to_nhwc(input) if turned else np.ascontiguousarray(input)
    w, b = (None if v is None else to_nhwc(v[None])[0] if turned else np.ascontiguousarray(v) for v in (weight, bias))
    y: Array = _C.empty(x.shape, x.dtype)
    if x.size == 0:
        mean = rstd = np.empty(0)
    else:
        mean, rstd = np.empty(x.size // count), np.empty(x.size // count)
        _C.norm_layer_fwd(x, w, b, eps, y, mean, rstd, count)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = _C.empty(x.shape, x.dtype)
        dw = None if w is None else _C.empty(w.shape, w.dtype)
        db = None if b is None else _C.empty(b.shape, b.dtype)
        if x.size == 0:
            grads = [each if each is None else np.zeros_like(each) for each in (dx, dw, db)]
        else:
            _C.norm_layer_bwd(to_nhwc(dy) if turned else np.ascontiguousarray(dy), x, w, mean, rstd, dx, dw, db, count)
            grads = [dx, dw, db]
        if turned:
            grads = [None if g is None else from_nhwc(g if i == 0 else g[None]) for i, g in enumerate(grads)]
            grads[1:] = [None if g is None else g[0] for g in grads[1:]]
        return tuple(grads)

    return from_nhwc(y) if turned else y, backward


def _group_norm(
    input: Array, groups: int, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Backward, Array, Array]:
    """Group norm of a checked input: the output, its closure, and mean and inverse deviation (N, groups)."""
    x = to_nhwc(input)
    w, b = _contiguous(weight), _contiguous(bias)
    y: Array = _C.empty(x.shape, x.dtype)
    mean, rstd = np.zeros((x.shape[0], groups)), np.zeros((x.shape[0], groups))
    _C.norm_group_fwd(x, w, b, eps, y, mean, rstd)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx = _C.empty(x.shape, x.dtype) if needs[0] else None
        dw, db = _like(w, needs[1]), _like(b, needs[2])
        _C.norm_group_bwd(to_nhwc(dy), x, w, mean, rstd, dx, dw, db)
        return None if dx is None else from_nhwc(dx), dw, db

    return from_nhwc(y), backward, mean, rstd


@op
def group_norm(
    input: Array, num_groups: int, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Backward]:
    """Group norm: each sample's channels are cut into `num_groups` parts, each standardised by itself.

    Args:
        input: the activations.
        num_groups: number of parts, a divisor of C.
        weight: scale per channel, or None for 1.
        bias: shift per channel, or None for 0.
        eps: added to the variance.

    Shape:
        input (N, C) or (N, C, *spatial), weight and bias (C,) -> like input

    Raises:
        ValueError: if num_groups does not divide C, a vector has another shape, or there is one value only.
        TypeError: if dtypes differ or are not float32 or float64.

    Example:
        >>> group_norm(np.array([[[1.0], [3.0]]]), 1, eps=0.0).tolist()
        [[[-1.0], [1.0]]]
    """
    _check("group_norm", input, 2, (weight, bias))
    shape = input.shape
    if num_groups < 1 or shape[1] % num_groups:
        raise ValueError(f"group_norm: expected num_groups to divide the channels of {shape}, got {num_groups}")
    if shape[0] * shape[1] // num_groups * prod(shape[2:]) == 1:
        raise ValueError(f"group_norm: expected more than one value per channel, got shape {shape}")
    return _group_norm(input, num_groups, weight, bias, eps)[:2]


@op
def instance_norm(
    input: Array,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Array | None = None,
    bias: Array | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Backward]:
    """Instance norm: each channel of each sample is standardised over its positions.

    Args:
        input: the activations.
        running_mean: running mean over samples, changed in place if `use_input_stats`; may be None then.
        running_var: running unbiased variance, likewise.
        weight: scale per channel, or None for 1.
        bias: shift per channel, or None for 0.
        use_input_stats: standardise with the sample's own statistics, else with the running ones.
        momentum: weight of the batch's mean statistics in the running ones.
        eps: added to the variance.

    Shape:
        input (N, C, *spatial), the vectors (C,) -> like input

    Raises:
        ValueError: if a vector has another shape, if there is one position per channel, or no running
            statistics where they are needed.
        TypeError: if dtypes differ or are not float32 or float64.

    Example:
        >>> instance_norm(np.array([[[1.0, 3.0]]]), eps=0.0).tolist()
        [[[-1.0, 1.0]]]
    """
    if not use_input_stats:
        return _begin("instance_norm", input, running_mean, running_var, weight, bias, False, momentum, eps)()
    _check("instance_norm", input, 2, (running_mean, running_var, weight, bias))
    positions = prod(input.shape[2:])
    if positions == 1:
        raise ValueError(f"instance_norm: expected more than one spatial element, got shape {input.shape}")
    y, three, mean, rstd = _group_norm(input, input.shape[1], weight, bias, eps)
    if input.size and running_mean is not None:
        running_mean += momentum * (mean.mean(axis=0) - running_mean)
    if input.size and running_var is not None:
        unbiased = (rstd**-2.0 - eps) * (positions / (positions - 1))
        running_var += momentum * (unbiased.mean(axis=0) - running_var)

    def backward(dy: Array, needs: Needs) -> Grads:
        dx, dw, db = three(dy, (needs[0], needs[3], needs[4]))
        return dx, None, None, dw, db

    return y, backward
