"""Losses of predicted distributions, of distances, and of several classes at once."""

import math

import numpy as np

from ._typing import Array
from .loss_reduction import reduce_loss


def hinge_embedding_fwd(x: Array, target: Array, margin: float = 1.0, reduction: str = "mean") -> Array:
    """``x`` for targets of 1, ``max(0, margin - x)`` for targets of -1. Source: Hadsell, Chopra, LeCun 2006.

    Shape:
        x (*), target (*) -> () or (*)
    """
    return reduce_loss(np.where(target == 1, x, np.maximum(0, margin - x)), reduction)


def stirling(t: Array) -> Array:
    """Stirling's approximation ``t ln t - t + ln(2 pi t) / 2`` of ``ln t!`` where t is above 1, else 0.

    Example:
        >>> (stirling(np.array([1.0, 5.0])) - [0, math.log(120)]).round(2).tolist()
        [0.0, -0.02]
    """
    n = np.maximum(t, 1)
    return np.where(t > 1, n * np.log(n) - n + 0.5 * np.log(2 * math.pi * n), 0)


def poisson_nll_fwd(
    x: Array, target: Array, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> Array:
    """Negative log-likelihood of counts under Poisson's law, without or with (``full``) the term of the counts alone.

    Args:
        x: logarithm of the rate, or the rate.
        target: counts.
        log_input: whether ``x`` is a logarithm.
        full: add `stirling` of the counts.
        eps: added to the rate before its logarithm is taken.
        reduction: ``'none'``, ``'mean'`` (over all elements) or ``'sum'``.

    Shape:
        x (*), target (*) -> () or (*)

    Returns:
        The loss.
    """
    loss = np.exp(x) - target * x if log_input else x - target * np.log(x + eps)
    return reduce_loss(loss + stirling(target) if full else loss, reduction)


def gaussian_nll_fwd(
    x: Array, target: Array, var: Array, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Array:
    """Negative log-likelihood under a normal law, ``(ln v + (x - t)^2 / v) / 2`` with ``v = max(var, eps)``.

    Args:
        x: predicted mean.
        target: observed values.
        var: predicted variance; without its last axis if it is the same along it.
        full: add ``ln(2 pi) / 2``.
        eps: least variance.
        reduction: ``'none'``, ``'mean'`` (over all elements) or ``'sum'``.

    Shape:
        x (*), target (*), var (*) or broadcasting to it -> () or (*)

    Returns:
        The loss. Source: Nix, Weigend 1994.
    """
    if np.ndim(var) and np.shape(var) == x.shape[:-1]:
        var = np.expand_dims(var, -1)
    v = np.maximum(var, eps)
    loss = 0.5 * (np.log(v) + (x - target) ** 2 / v)
    return reduce_loss(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def multilabel_margin_fwd(x: Array, target: Array, reduction: str = "mean") -> Array:
    """Hinge loss between right and wrong classes, ``1/C sum_{i right, j wrong} max(0, 1 - (x_i - x_j))``.

    Args:
        x: scores.
        target: right classes of each row, ended by -1.
        reduction: ``'none'``, ``'mean'`` (over the rows) or ``'sum'``.

    Shape:
        x (N, C), target (N, C) -> () or (N,)

    Returns:
        The loss.
    """
    losses = []
    for scores, listed in zip(x, target, strict=True):
        right = listed[: np.argmax(listed < 0)] if listed.min() < 0 else listed
        wrong = np.delete(scores, right)
        losses.append(np.maximum(0, 1 - (scores[right][:, None] - wrong)).sum() / len(scores))
    return reduce_loss(np.array(losses, x.dtype), reduction)
