"""Losses that compare a row of scores with a class or a distribution; PyTorch's semantics.

``<loss>_fwd(x, target, ...)`` returns the loss and ``<loss>_bwd(dy, x, target, ...)`` the gradient of ``x``.
With ``reduction='mean'`` or ``'sum'`` the loss and ``dy`` are scalars; with ``'none'`` both have the
unreduced shape. Logits of ±1e4 give finite losses and gradients.

Losses that compare element by element are defined in `loss_elementwise` and can be had from here.
"""

import numpy as np

from ._typing import Array
from .activation import log_softmax_fwd, softmax_fwd
from .loss_elementwise import bce_bwd as bce_bwd
from .loss_elementwise import bce_fwd as bce_fwd
from .loss_elementwise import bce_with_logits_bwd as bce_with_logits_bwd
from .loss_elementwise import bce_with_logits_fwd as bce_with_logits_fwd
from .loss_elementwise import huber_bwd as huber_bwd
from .loss_elementwise import huber_fwd as huber_fwd
from .loss_elementwise import kl_div_bwd as kl_div_bwd
from .loss_elementwise import kl_div_fwd as kl_div_fwd
from .loss_elementwise import l1_bwd as l1_bwd
from .loss_elementwise import l1_fwd as l1_fwd
from .loss_elementwise import mse_bwd as mse_bwd
from .loss_elementwise import mse_fwd as mse_fwd
from .loss_elementwise import smooth_l1_bwd as smooth_l1_bwd
from .loss_elementwise import smooth_l1_fwd as smooth_l1_fwd
from .loss_likelihood import gaussian_nll_fwd as gaussian_nll_fwd
from .loss_likelihood import hinge_embedding_fwd as hinge_embedding_fwd
from .loss_likelihood import multilabel_margin_fwd as multilabel_margin_fwd
from .loss_likelihood import poisson_nll_fwd as poisson_nll_fwd
from .loss_reduction import Reduction, Upstream, reduce_loss, spread_gradient


def _class_axis(x: Array) -> int:
    return 0 if x.ndim == 1 else 1


def _per_class(weight: Array, x: Array) -> Array:
    """(C,) -> shaped to broadcast along the class axis of x."""
    return weight.reshape([-1 if axis == _class_axis(x) else 1 for axis in range(x.ndim)])


def _one_hot(op: str, x: Array, target: Array, ignore_index: int) -> Array:
    """1 at the target's class and 0 elsewhere, in the shape of x.

    All 0 where the target is ``ignore_index``.
    """
    axis = _class_axis(x)
    if target.shape != x.shape[:axis] + x.shape[axis + 1 :]:
        raise ValueError(f"{op}: expected a target for every row of x {x.shape}, got shape {target.shape}")
    if np.any(((target < 0) | (target >= x.shape[axis])) & (target != ignore_index)):
        raise ValueError(f"{op}: targets must be in [0, {x.shape[axis]}) or {ignore_index}")
    classes = _per_class(np.arange(x.shape[axis]), x)
    aligned = np.expand_dims(target, axis)
    return ((classes == aligned) & (aligned != ignore_index)).astype(x.dtype)


def _soft_targets(
    x: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array | float]:
    """What cross-entropy weighs the log-probabilities with, and what its mean divides by.

    Both kinds of target become one array ``q`` of the shape of x: the target distribution, mixed with the
    uniform one by label smoothing, times the class weights. The mean divides by the weights of the targets'
    classes for indices, by the number of rows for distributions.
    """
    axis = _class_axis(x)
    by_class = _per_class(np.ones(x.shape[axis], x.dtype) if weight is None else weight.astype(x.dtype), x)
    if np.issubdtype(target.dtype, np.floating):
        if target.shape != x.shape:
            raise ValueError(f"cross_entropy: soft targets must have the shape of x {x.shape}, got {target.shape}")
        hot, kept = target.astype(x.dtype), np.ones((), x.dtype)
        count: Array | float = x.size / x.shape[axis]
    else:
        hot = _one_hot("cross_entropy", x, target, ignore_index)
        kept = np.expand_dims(target != ignore_index, axis).astype(x.dtype)
        count = np.asarray((hot * by_class).sum())
    mixed = (1 - label_smoothing) * hot + label_smoothing / x.shape[axis] * kept
    return mixed * by_class, count


def cross_entropy_fwd(
    x: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Cross-entropy of logits: ``loss = -Σ_c q_c log_softmax(x)_c``.

    For class indices ``q_c = w_c ((1 - ε) [c = target] + ε / C)``, and ``mean`` divides by ``Σ w_target``
    over the rows that are not ignored; for distributions ``q_c = w_c ((1 - ε) target_c + ε / C)``, and
    ``mean`` divides by the number of rows. ε is the label smoothing.

    Args:
        x: logits.
        target: class indices (integers) or distributions over the classes (floats).
        weight: class weights w, or None for 1.
        ignore_index: rows with this index count for nothing; indices only.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.
        label_smoothing: ε in [0, 1].

    Shape:
        x (N, C, *) or (C,); target (N, *) or () as indices, like x as distributions; weight (C,)
        -> (), or (N, *) without reduction

    Returns:
        The loss.

    Raises:
        ValueError: if shapes do not match, an index is out of range, or the reduction is unknown.

    Source: label smoothing from Szegedy et al. 2016.

    Example:
        >>> round(cross_entropy_fwd(np.array([[0.0, 0.0]]), np.array([1])).item(), 6)
        0.693147
    """
    q, count = _soft_targets(x, target, weight, ignore_index, label_smoothing)
    logp = log_softmax_fwd(x, _class_axis(x))
    # Where q is 0 the product is 0, even where a masked class has log-probability -inf.
    products = np.multiply(q, logp, out=np.zeros_like(logp), where=q != 0)
    return reduce_loss(-products.sum(axis=_class_axis(x)), reduction, count)


def cross_entropy_bwd(
    dy: Upstream,
    x: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Gradient of `cross_entropy_fwd` with respect to the logits: ``dy (softmax(x) Σ_c q_c - q)``.

    Args:
        dy: gradient of the loss.
        x: logits.
        target: as in the forward pass, like the rest.
        weight: class weights.
        ignore_index: index of ignored rows.
        reduction: reduction.
        label_smoothing: label smoothing.

    Shape:
        dy () or (N, *) -> dx like x

    Returns:
        ``dx``.

    Raises:
        ValueError: as the forward pass.
    """
    axis = _class_axis(x)
    q, count = _soft_targets(x, target, weight, ignore_index, label_smoothing)
    rows = x.shape[:axis] + x.shape[axis + 1 :]
    each = np.expand_dims(spread_gradient(dy, rows, reduction, count), axis)
    return (each * (softmax_fwd(x, axis) * q.sum(axis=axis, keepdims=True) - q)).astype(x.dtype)


def nll_fwd(
    x: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Array:
    """Negative log-likelihood ``-w_target x_target``; ``mean`` divides by ``Σ w_target``.

    Args:
        x: log-probabilities.
        target: class indices.
        weight: class weights, or None for 1.
        ignore_index: rows with this index count for nothing.
        reduction: ``'none'``, ``'mean'`` or ``'sum'``.

    Shape:
        x (N, C, *) or (C,), target (N, *) or (), weight (C,) -> () or (N, *)

    Returns:
        The loss.

    Raises:
        ValueError: if shapes do not match, an index is out of range, or the reduction is unknown.

    Example:
        >>> nll_fwd(np.array([[-1.0, -2.0]]), np.array([1])).item()
        2.0
    """
    q = _one_hot("nll_fwd", x, target, ignore_index)
    q = q if weight is None else q * _per_class(weight, x)
    products = np.multiply(q, x, out=np.zeros_like(x), where=q != 0)
    return reduce_loss(-products.sum(axis=_class_axis(x)), reduction, np.asarray(q.sum()))


def nll_bwd(
    dy: Upstream,
    x: Array,
    target: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Array:
    """Gradient of `nll_fwd`.

    ``-dy w_target`` at the target, 0 elsewhere; arguments and shapes as the forward pass.
    """
    axis = _class_axis(x)
    q = _one_hot("nll_bwd", x, target, ignore_index)
    q = q if weight is None else q * _per_class(weight, x)
    rows = x.shape[:axis] + x.shape[axis + 1 :]
    each = spread_gradient(dy, rows, reduction, np.asarray(q.sum()))
    return (-np.expand_dims(each, axis) * q).astype(x.dtype)


def _hinges(x: Array, target: Array, p: int, margin: float, weight: Array | None) -> tuple[Array, Array, Array]:
    """Where each row's target is, the hinges (0 at the target), and the factor of each row's sum."""
    if p not in (1, 2):
        raise ValueError(f"multi_margin: p must be 1 or 2, got {p}")
    rows, targets = np.atleast_2d(x), np.atleast_1d(target)
    hot = _one_hot("multi_margin", rows, targets, -1) > 0
    if not hot.any(axis=1).all():
        raise ValueError(f"multi_margin: targets must be in [0, {rows.shape[1]})")
    hinges = np.where(hot, 0, np.maximum(margin - rows[hot][:, None] + rows, 0))
    scale = np.ones(len(rows), x.dtype) if weight is None else weight[targets]
    return hot, hinges, scale[:, None] / rows.shape[1]


def multi_margin_fwd(
    x: Array,
    target: Array,
    p: int = 1,
    margin: float = 1.0,
    weight: Array | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Multi-class hinge (SVM) loss ``w_target / C Σ_{j ≠ target} max(0, margin - x_target + x_j)^p``.

    Args:
        x: scores.
        target: class indices.
        p: 1 or 2.
        margin: by how much the right score should lead.
        weight: class weights, or None for 1.
        reduction: ``'none'``, ``'mean'`` (over the rows) or ``'sum'``.

    Shape:
        x (N, C) or (C,), target (N,) or (), weight (C,) -> () or (N,)

    Returns:
        The loss.

    Raises:
        ValueError: if shapes do not match, an index is out of range, p is not 1 or 2, or the reduction is
            unknown.

    Source: Weston, Watkins 1999.

    Example:
        >>> multi_margin_fwd(np.array([[1.0, 3.0]]), np.array([0])).item()
        1.5
    """
    _, hinges, scale = _hinges(x, target, p, margin, weight)
    return reduce_loss((scale * hinges**p).sum(axis=1).reshape(np.shape(target)), reduction)


def multi_margin_bwd(
    dy: Upstream,
    x: Array,
    target: Array,
    p: int = 1,
    margin: float = 1.0,
    weight: Array | None = None,
    reduction: Reduction = "mean",
) -> Array:
    """Gradient of `multi_margin_fwd`: every positive hinge pushes its own score up and the target's down.

    Args:
        dy: gradient of the loss.
        x: scores.
        target: as in the forward pass, like the rest.
        p: exponent.
        margin: margin.
        weight: class weights.
        reduction: reduction.

    Shape:
        dy () or (N,) -> dx like x

    Returns:
        ``dx``.

    Raises:
        ValueError: as the forward pass.
    """
    hot, hinges, scale = _hinges(x, target, p, margin, weight)
    slopes = scale * (np.where(hinges > 0, 1, 0) if p == 1 else 2 * hinges)
    each = spread_gradient(dy, np.shape(target), reduction).reshape(-1, 1)
    return (each * np.where(hot, -slopes.sum(axis=1, keepdims=True), slopes)).reshape(x.shape).astype(x.dtype)
