"""Losses that compare each element with its own target: binary, regression and divergence losses.

Semantics are PyTorch's; see `loss` for what the functions have in common.
"""

import numpy as np

from ._typing import Array
from .activation import sigmoid_fwd
from .loss_reduction import Reduction, Upstream, reduce_loss, spread_gradient


def bce_fwd(x: Array, target: Array, weight: Array | None = None, reduction: Reduction = "mean") -> Array:
    """Binary cross-entropy of probabilities: ``-w (t ln x + (1 - t) ln(1 - x))``, logarithms clipped at -100.

    Args:
        x: probabilities.
        target: targets t in [0, 1].
        weight: weight of each loss, broadcast against x, or None.
        reduction: ``'none'``, ``'mean'`` (over all elements) or ``'sum'``.

    Shape:
        x (*), target (*) -> () or (*)

    Returns:
        The loss.

    Raises:
        ValueError: if the reduction is unknown.
    """
    with np.errstate(divide="ignore"):
        loss = -(target * np.maximum(np.log(x), -100) + (1 - target) * np.maximum(np.log1p(-x), -100))
    return reduce_loss(loss if weight is None else loss * weight, reduction)


def bce_bwd(dy: Upstream, x: Array, target: Array, weight: Array | None = None, reduction: Reduction = "mean") -> Array:
    """Gradient of `bce_fwd`: ``dy w (x - t) / (x (1 - x))``, the divisor being at least 1e-12."""
    each = spread_gradient(dy, x.shape, reduction) * (x - target) / np.maximum(x * (1 - x), 1e-12)
    return (each if weight is None else each * weight).astype(x.dtype)


def bce_with_logits_fwd(
    x: Array,
    target: Array,
    weight: Array | None = None,
    reduction: Reduction = "mean",
    pos_weight: Array | None = None,
) -> Array:
    """Binary cross-entropy of logits: ``w (-p t ln σ(x) - (1 - t) ln σ(-x))``, σ the sigmoid.

    With ``-ln σ(x) = ln(1 + exp(-x))`` it never takes the logarithm of a number that rounded to 0.

    Args:
        x: logits.
        target: targets t in [0, 1].
        weight: weight w of each loss, broadcast against x, or None.
        reduction: ``'none'``, ``'mean'`` (over all elements) or ``'sum'``.
        pos_weight: weight p of the positive part, broadcast against x, or None.

    Shape:
        x (*), target (*) -> () or (*)

    Returns:
        The loss.

    Raises:
        ValueError: if the reduction is unknown.

    Example:
        >>> bce_with_logits_fwd(np.array([1e4]), np.array([0.0])).item()
        10000.0
    """
    positive = target if pos_weight is None else target * pos_weight
    loss = positive * np.logaddexp(0, -x) + (1 - target) * np.logaddexp(0, x)
    return reduce_loss(loss if weight is None else loss * weight, reduction)


def bce_with_logits_bwd(
    dy: Upstream,
    x: Array,
    target: Array,
    weight: Array | None = None,
    reduction: Reduction = "mean",
    pos_weight: Array | None = None,
) -> Array:
    """Gradient of `bce_with_logits_fwd`.

    ``dy w ((1 - t) σ(x) - p t σ(-x))``; without p that is ``σ(x) - t``.
    """
    positive = target if pos_weight is None else target * pos_weight
    each = spread_gradient(dy, x.shape, reduction) * ((1 - target) * sigmoid_fwd(x) - positive * sigmoid_fwd(-x))
    return (each if weight is None else each * weight).astype(x.dtype)


def mse_fwd(x: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """Squared error ``(x - t)²``; the mean is over all elements.

    Example:
        >>> mse_fwd(np.array([1.0, 3.0]), np.array([0.0, 0.0])).item()
        5.0
    """
    return reduce_loss((x - target) ** 2, reduction)


def mse_bwd(dy: Upstream, x: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """Gradient of `mse_fwd`: ``2 dy (x - t)``."""
    return (spread_gradient(dy, x.shape, reduction) * 2 * (x - target)).astype(x.dtype)


def l1_fwd(x: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """Absolute error ``|x - t|``; the mean is over all elements."""
    return reduce_loss(np.abs(x - target), reduction)


def l1_bwd(dy: Upstream, x: Array, target: Array, reduction: Reduction = "mean") -> Array:
    """Gradient of `l1_fwd`: ``dy sign(x - t)``, 0 where they are equal."""
    return (spread_gradient(dy, x.shape, reduction) * np.sign(x - target)).astype(x.dtype)


def smooth_l1_fwd(x: Array, target: Array, reduction: Reduction = "mean", beta: float = 1.0) -> Array:
    """``d² / (2 beta)`` where ``|d| < beta``, else ``|d| - beta / 2``, with ``d = x - t``. Source: Girshick
    2015.

    Args:
        x: prediction.
        target: target.
        reduction: ``'none'``, ``'mean'`` (over all elements) or ``'sum'``.
        beta: where the parabola ends; 0 gives `l1_fwd`.

    Shape:
        x (*), target (*) -> () or (*)

    Returns:
        The loss.

    Raises:
        ValueError: if ``beta`` is negative or the reduction unknown.
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_fwd: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_fwd(x, target, reduction)
    d = np.abs(x - target)
    return reduce_loss(np.where(d < beta, d * d / (2 * beta), d - beta / 2), reduction)


def smooth_l1_bwd(dy: Upstream, x: Array, target: Array, reduction: Reduction = "mean", beta: float = 1.0) -> Array:
    """Gradient of `smooth_l1_fwd`: ``dy d / beta`` where ``|d| < beta``, else ``dy sign(d)``."""
    if beta == 0:
        return l1_bwd(dy, x, target, reduction)
    slope = np.clip((x - target) / beta, -1, 1)
    return (spread_gradient(dy, x.shape, reduction) * slope).astype(x.dtype)


def huber_fwd(x: Array, target: Array, reduction: Reduction = "mean", delta: float = 1.0) -> Array:
    """``d² / 2`` where ``|d| <= delta``, else ``delta (|d| - delta / 2)``, with ``d = x - t``. Source: Huber
    1964.

    Args:
        x: prediction.
        target: target.
        reduction: ``'none'``, ``'mean'`` (over all elements) or ``'sum'``.
        delta: where the parabola ends, above 0.

    Shape:
        x (*), target (*) -> () or (*)

    Returns:
        The loss.

    Raises:
        ValueError: if ``delta`` is not positive or the reduction unknown.
    """
    if delta <= 0:
        raise ValueError(f"huber_fwd: delta must be positive, got {delta}")
    d = np.abs(x - target)
    return reduce_loss(np.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction)


def huber_bwd(dy: Upstream, x: Array, target: Array, reduction: Reduction = "mean", delta: float = 1.0) -> Array:
    """Gradient of `huber_fwd`: ``dy min(max(d, -delta), delta)``."""
    return (spread_gradient(dy, x.shape, reduction) * np.clip(x - target, -delta, delta)).astype(x.dtype)


def kl_div_fwd(x: Array, target: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    """Kullback-Leibler divergence ``t (ln t - x)`` of probabilities t from log-probabilities x; ``0 ln 0 =
    0``.

    Args:
        x: log-probabilities.
        target: probabilities, or log-probabilities with ``log_target``.
        reduction: ``'none'``, ``'sum'``, ``'mean'`` (over all elements), or ``'batchmean'``: the sum divided
            by the size of the first axis, which is the divergence's usual definition.
        log_target: whether ``target`` holds logarithms.

    Shape:
        x (*), target (*) -> () or (*)

    Returns:
        The loss.

    Raises:
        ValueError: if the reduction is unknown.
    """
    if log_target:
        loss = np.exp(target) * (target - x)
    else:
        log_t = np.log(target, out=np.zeros_like(target), where=target > 0)
        loss = np.where(target > 0, target * (log_t - x), 0)
    return reduce_loss(loss, *_batchmean(x, reduction))


def kl_div_bwd(dy: Upstream, x: Array, target: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    """Gradient of `kl_div_fwd`: ``-dy t``."""
    t = np.exp(target) if log_target else target
    return (-spread_gradient(dy, x.shape, *_batchmean(x, reduction)) * t).astype(x.dtype)


def _batchmean(x: Array, reduction: str) -> tuple[str, float | None]:
    return ("mean", float(x.shape[0])) if reduction == "batchmean" else (reduction, None)
