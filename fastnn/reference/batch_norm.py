"""Batch norm in training and evaluation, alone and fused with the residual addition and ReLU that follow."""

import numpy as np

from ._typing import Array
from .standardise import all_but_channel, per_channel, scale_shift, standardise, standardise_bwd


def batch_norm_train_fwd(
    x: Array, w: Array | None = None, b: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Batch norm in training: each channel is standardised with its mean and biased variance over the batch.

    Args:
        x: input.
        w: scale per channel, or None for 1.
        b: shift per channel, or None for 0.
        eps: added to the variance.

    Shape:
        x (N, C, *spatial), w (C,), b (C,) -> y like x, mean (C,), rstd (C,)

    Returns:
        ``(y, mean, rstd)`` with ``rstd = 1 / √(σ² + eps)``; the last two are what `batch_norm_train_bwd`
        needs.

    Raises:
        ValueError: if there is only one value per channel: its variance says nothing.

    Example:
        >>> y, mean, rstd = batch_norm_train_fwd(np.array([[1.0], [3.0]]), eps=0.0)
        >>> y.tolist(), mean.tolist(), rstd.tolist()
        ([[-1.0], [1.0]], [2.0], [1.0])
    """
    if x.size <= x.shape[1]:
        raise ValueError(f"batch_norm_train_fwd: expected more than one value per channel, got shape {x.shape}")
    xhat, mean, rstd = standardise(x, all_but_channel(x), eps)
    return scale_shift(xhat, w, b), mean.reshape(-1), rstd.reshape(-1)


def batch_norm_update(running_mean: Array, running_var: Array, x: Array, momentum: float = 0.1) -> tuple[Array, Array]:
    """The running statistics after a training batch: ``running + momentum (batch - running)``.

    The batch variance counts here in its unbiased form, over M - 1 of M values, although the biased one
    normalises.

    Args:
        running_mean: running mean so far.
        running_var: running variance so far.
        x: input of the batch.
        momentum: weight of the batch; ``1 / (batches seen)`` makes a plain average (PyTorch's
            ``momentum=None``).

    Shape:
        running_mean (C,), running_var (C,), x (N, C, *spatial) -> (C,), (C,)

    Returns:
        ``(running_mean, running_var)``, new arrays.

    Example:
        >>> m, v = batch_norm_update(np.zeros(1), np.ones(1), np.array([[1.0], [3.0]]), momentum=0.5)
        >>> m.tolist(), v.tolist()
        ([1.0], [1.5])
    """
    axes = all_but_channel(x)
    mean, var = x.mean(axis=axes), x.var(axis=axes, ddof=1)
    return (
        (1 - momentum) * running_mean + momentum * mean,
        (1 - momentum) * running_var + momentum * var,
    )


def batch_norm_train_bwd(
    dy: Array, x: Array, mean: Array, rstd: Array, w: Array | None = None
) -> tuple[Array, Array, Array]:
    """Gradient of `batch_norm_train_fwd`; the batch statistics are functions of x too.

    ``dw = Σ dy x̂``, ``db = Σ dy`` per channel; ``dx`` as in `standardise`.

    Args:
        dy: gradient of the output.
        x: input of the forward pass.
        mean: mean from the forward pass.
        rstd: reciprocal deviation from the forward pass.
        w: scale of the forward pass.

    Shape:
        dy, x (N, C, *spatial), mean, rstd, w (C,) -> dx like x, dw (C,), db (C,)

    Returns:
        ``(dx, dw, db)``.
    """
    axes = all_but_channel(x)
    rstd_c = per_channel(rstd, x.ndim)
    xhat = (x - per_channel(mean, x.ndim)) * rstd_c
    dx = standardise_bwd(scale_shift(dy, w, None), xhat, rstd_c, axes)
    return dx, (dy * xhat).sum(axis=axes), dy.sum(axis=axes)


def batch_norm_eval_fwd(
    x: Array,
    running_mean: Array,
    running_var: Array,
    w: Array | None = None,
    b: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Batch norm in evaluation: the running statistics are constants, so the layer is one scale and shift.

    Args:
        x: input.
        running_mean: running mean.
        running_var: running variance.
        w: scale per channel, or None.
        b: shift per channel, or None.
        eps: added to the variance.

    Shape:
        x (N, C, *spatial), the rest (C,) -> like x

    Returns:
        The output.

    Example:
        >>> batch_norm_eval_fwd(np.array([[3.0]]), np.array([1.0]), np.array([4.0]), eps=0.0).tolist()
        [[1.0]]
    """
    xhat = (x - per_channel(running_mean, x.ndim)) / np.sqrt(per_channel(running_var, x.ndim) + eps)
    return scale_shift(xhat, w, b)


def batch_norm_eval_bwd(
    dy: Array, x: Array, running_mean: Array, running_var: Array, w: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Gradient of `batch_norm_eval_fwd`: ``dx = w dy / √(running_var + eps)``, no term for the statistics.

    Args:
        dy: gradient of the output.
        x: input of the forward pass.
        running_mean: running mean.
        running_var: running variance.
        w: scale per channel, or None.
        eps: added to the variance.

    Shape:
        dy, x (N, C, *spatial), the rest (C,) -> dx like x, dw (C,), db (C,)

    Returns:
        ``(dx, dw, db)``.
    """
    axes = all_but_channel(x)
    rstd = 1 / np.sqrt(per_channel(running_var, x.ndim) + eps)
    xhat = (x - per_channel(running_mean, x.ndim)) * rstd
    return scale_shift(dy, w, None) * rstd, (dy * xhat).sum(axis=axes), dy.sum(axis=axes)


def batch_norm_relu_train_fwd(
    x: Array,
    w: Array | None = None,
    b: Array | None = None,
    residual: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """The end of a residual block in one operation: ``y = max(0, batch_norm(x) + residual)``.

    Args:
        x: input.
        w: scale per channel, or None.
        b: shift per channel, or None.
        residual: added before the ReLU, or None.
        eps: added to the variance.

    Shape:
        x, residual (N, C, *spatial), w, b (C,) -> y like x, mean (C,), rstd (C,)

    Returns:
        ``(y, mean, rstd)``.

    Raises:
        ValueError: as `batch_norm_train_fwd`.
    """
    y, mean, rstd = batch_norm_train_fwd(x, w, b, eps)
    return np.maximum(y if residual is None else y + residual, 0), mean, rstd


def batch_norm_relu_train_bwd(
    dy: Array, y: Array, x: Array, mean: Array, rstd: Array, w: Array | None = None
) -> tuple[Array, Array, Array, Array]:
    """Gradient of `batch_norm_relu_train_fwd`.

    The ReLU lets ``dy`` through where the output is positive; that is also the gradient of the residual.

    Args:
        dy: gradient of the output.
        y: output of the forward pass.
        x: input of the forward pass.
        mean: mean from the forward pass.
        rstd: reciprocal deviation from the forward pass.
        w: scale of the forward pass.

    Shape:
        dy, y, x (N, C, *spatial), mean, rstd, w (C,) -> dx and dresidual like x, dw (C,), db (C,)

    Returns:
        ``(dx, dw, db, dresidual)``.
    """
    dresidual = np.where(y > 0, dy, 0)
    return *batch_norm_train_bwd(dresidual, x, mean, rstd, w), dresidual


def batch_norm_relu_eval_fwd(
    x: Array,
    running_mean: Array,
    running_var: Array,
    w: Array | None = None,
    b: Array | None = None,
    residual: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """``max(0, batch_norm(x) + residual)`` with the running statistics.

    Shapes as `batch_norm_relu_train_fwd`.
    """
    y = batch_norm_eval_fwd(x, running_mean, running_var, w, b, eps)
    return np.maximum(y if residual is None else y + residual, 0)


def batch_norm_relu_eval_bwd(
    dy: Array,
    y: Array,
    x: Array,
    running_mean: Array,
    running_var: Array,
    w: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array, Array]:
    """Gradient of `batch_norm_relu_eval_fwd`: ``(dx, dw, db, dresidual)``."""
    dresidual = np.where(y > 0, dy, 0)
    return *batch_norm_eval_bwd(dresidual, x, running_mean, running_var, w, eps), dresidual
