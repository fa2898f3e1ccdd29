"""Normalisation layers: batch (defined in `batch_norm`), layer, group and instance norm.

What they share, with its formulas, is in `standardise`; they differ in which values form a group.

Sources: Ioffe, Szegedy 2015 (batch); Ba, Kiros, Hinton 2016 (layer); Wu, He 2018 (group); Ulyanov, Vedaldi,
Lempitsky 2016 (instance).
"""

from math import prod

from ._typing import Array
from .batch_norm import batch_norm_eval_bwd as batch_norm_eval_bwd
from .batch_norm import batch_norm_eval_fwd as batch_norm_eval_fwd
from .batch_norm import batch_norm_relu_eval_bwd as batch_norm_relu_eval_bwd
from .batch_norm import batch_norm_relu_eval_fwd as batch_norm_relu_eval_fwd
from .batch_norm import batch_norm_relu_train_bwd as batch_norm_relu_train_bwd
from .batch_norm import batch_norm_relu_train_fwd as batch_norm_relu_train_fwd
from .batch_norm import batch_norm_train_bwd as batch_norm_train_bwd
from .batch_norm import batch_norm_train_fwd as batch_norm_train_fwd
from .batch_norm import batch_norm_update as batch_norm_update
from .elementwise import unbroadcast
from .standardise import all_but_channel, scale_shift, standardise, standardise_bwd


def layer_norm_fwd(
    x: Array,
    normalized_shape: tuple[int, ...],
    w: Array | None = None,
    b: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """Layer norm: each sample is standardised over its last axes; scale and shift are per element.

    Args:
        x: input.
        normalized_shape: the last axes of ``x``.
        w: scale, or None.
        b: shift, or None.
        eps: added to the variance.

    Shape:
        x (*batch, *normalized_shape), w, b (*normalized_shape) -> y like x, mean and rstd (*batch, 1, ...)

    Returns:
        ``(y, mean, rstd)``.

    Raises:
        ValueError: if ``x`` does not end in ``normalized_shape``.

    Example:
        >>> import numpy as np
        >>> layer_norm_fwd(np.array([[1.0, 3.0]]), (2,), eps=0.0)[0].tolist()
        [[-1.0, 1.0]]
    """
    if x.shape[x.ndim - len(normalized_shape) :] != tuple(normalized_shape):
        raise ValueError(f"layer_norm_fwd: expected x to end in {tuple(normalized_shape)}, got shape {x.shape}")
    xhat, mean, rstd = standardise(x, tuple(range(x.ndim - len(normalized_shape), x.ndim)), eps)
    y = xhat if w is None else xhat * w
    return (y if b is None else y + b), mean, rstd


def layer_norm_bwd(
    dy: Array,
    x: Array,
    normalized_shape: tuple[int, ...],
    mean: Array,
    rstd: Array,
    w: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Gradient of `layer_norm_fwd`; ``dw`` and ``db`` sum over the batch axes.

    Args:
        dy: gradient of the output.
        x: input of the forward pass.
        normalized_shape: as in the forward pass.
        mean: from the forward pass.
        rstd: from the forward pass.
        w: scale of the forward pass.

    Shape:
        dy, x (*batch, *normalized_shape) -> dx like x, dw, db (*normalized_shape)

    Returns:
        ``(dx, dw, db)``.
    """
    xhat = (x - mean) * rstd
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    dx = standardise_bwd(dy if w is None else dy * w, xhat, rstd, axes)
    return dx, unbroadcast(dy * xhat, normalized_shape), unbroadcast(dy, normalized_shape)


def _grouped(x: Array, groups: int) -> Array:
    """(N, C, *spatial) -> (N, groups, values), every group's values on one axis."""
    return x.reshape(x.shape[0], groups, x.shape[1] // groups * prod(x.shape[2:]))


def group_norm_fwd(
    x: Array, groups: int, w: Array | None = None, b: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Group norm: each sample's channels are cut into ``groups`` parts, and each part is standardised.

    Args:
        x: input.
        groups: number of parts, a divisor of C. 1 resembles layer norm, C is instance norm.
        w: scale per channel, or None.
        b: shift per channel, or None.
        eps: added to the variance.

    Shape:
        x (N, C, *spatial), w, b (C,) -> y like x, mean and rstd (N, groups)

    Returns:
        ``(y, mean, rstd)``.

    Raises:
        ValueError: if ``groups`` does not divide C.

    Example:
        >>> import numpy as np
        >>> group_norm_fwd(np.array([[[1.0], [3.0]]]), groups=1, eps=0.0)[0].tolist()
        [[[-1.0], [1.0]]]
    """
    if groups < 1 or x.shape[1] % groups:
        raise ValueError(f"group_norm_fwd: groups must divide the {x.shape[1]} channels, got {groups}")
    xhat, mean, rstd = standardise(_grouped(x, groups), (2,), eps)
    return scale_shift(xhat.reshape(x.shape), w, b), mean[..., 0], rstd[..., 0]


def group_norm_bwd(
    dy: Array, x: Array, groups: int, mean: Array, rstd: Array, w: Array | None = None
) -> tuple[Array, Array, Array]:
    """Gradient of `group_norm_fwd`.

    Args:
        dy: gradient of the output.
        x: input of the forward pass.
        groups: as in the forward pass.
        mean: from the forward pass.
        rstd: from the forward pass.
        w: scale of the forward pass.

    Shape:
        dy, x (N, C, *spatial), mean, rstd (N, groups), w (C,) -> dx like x, dw (C,), db (C,)

    Returns:
        ``(dx, dw, db)``.
    """
    xhat = (_grouped(x, groups) - mean[..., None]) * rstd[..., None]
    dxhat = _grouped(scale_shift(dy, w, None), groups)
    dx = standardise_bwd(dxhat, xhat, rstd[..., None], (2,)).reshape(x.shape)
    axes = all_but_channel(x)
    return dx, (dy * xhat.reshape(x.shape)).sum(axis=axes), dy.sum(axis=axes)


def instance_norm_fwd(
    x: Array, w: Array | None = None, b: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Instance norm: each channel of each sample is standardised, as in group norm with groups of one.

    With running statistics in evaluation it is `batch_norm_eval_fwd`.

    Args:
        x: input.
        w: scale per channel, or None.
        b: shift per channel, or None.
        eps: added to the variance.

    Shape:
        x (N, C, *spatial), w, b (C,) -> y like x, mean and rstd (N, C)

    Returns:
        ``(y, mean, rstd)``.
    """
    return group_norm_fwd(x, x.shape[1], w, b, eps)


def instance_norm_bwd(
    dy: Array, x: Array, mean: Array, rstd: Array, w: Array | None = None
) -> tuple[Array, Array, Array]:
    """Gradient of `instance_norm_fwd`.

    ``(dx, dw, db)``, shapes as `group_norm_bwd` with one channel a group.
    """
    return group_norm_bwd(dy, x, x.shape[1], mean, rstd, w)
