"""Gradients of elementwise operations: broadcasting, and the places where a derivative has to be chosen.

The forwards are NumPy's own. What needs defining is how a gradient shrinks back to the shape of a broadcast
operand, and what the derivative is where there is none: at ties, at bounds, at zero. The choices are
PyTorch's.
"""

from collections.abc import Sequence

import numpy as np

from ._typing import Array


def unbroadcast(dy: Array, shape: Sequence[int]) -> Array:
    """Sums a gradient over the axes along which an operand was broadcast.

    Broadcasting copies; the gradient of a copied value is the sum of the gradients of its copies.

    Args:
        dy: gradient of the broadcast result.
        shape: shape of the operand.

    Shape:
        dy (*broadcast) -> (*shape)

    Returns:
        The gradient of the operand.

    Raises:
        ValueError: if ``shape`` does not broadcast to ``dy.shape``.

    Example:
        >>> unbroadcast(np.ones((2, 3, 4)), (3, 1)).tolist()
        [[8.0], [8.0], [8.0]]
    """
    shape = tuple(shape)
    lead = dy.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, dy.shape[lead:], strict=True)):
        raise ValueError(f"unbroadcast: shape {shape} does not broadcast to the gradient's shape {dy.shape}")
    stretched = tuple(lead + i for i, n in enumerate(shape) if n == 1 and dy.shape[lead + i] != 1)
    return dy.sum(axis=(*range(lead), *stretched)).reshape(shape)


def add_bwd(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradient of ``y = a + b``: ``dy`` for both, summed back to their shapes."""
    return unbroadcast(dy, a.shape), unbroadcast(dy, b.shape)


def sub_bwd(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradient of ``y = a - b``: ``dy`` and ``-dy``."""
    return unbroadcast(dy, a.shape), unbroadcast(-dy, b.shape)


def mul_bwd(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradient of ``y = a * b``: ``dy * b`` and ``dy * a``."""
    return unbroadcast(dy * b, a.shape), unbroadcast(dy * a, b.shape)


def div_bwd(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradient of ``y = a / b``: ``dy / b`` and ``-dy * a / b^2``."""
    return unbroadcast(dy / b, a.shape), unbroadcast(-dy * (a / b) / b, b.shape)


def pow_bwd(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradient of ``y = a ^ b``: ``dy * b * a^(b-1)`` and ``dy * a^b * ln a``.

    Two limits are set by hand, as in PyTorch: for ``b = 0`` the gradient of ``a`` is 0, and for ``a = 0``
    with ``b >= 0`` the gradient of ``b`` is 0.

    Args:
        dy: gradient of the result.
        a: base.
        b: exponent.

    Shape:
        dy is the broadcast of a and b.

    Returns:
        ``(da, db)``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        da = np.where(b == 0, 0, dy * b * a ** (b - 1))
        db = np.where((a == 0) & (b >= 0), 0, dy * a**b * np.log(a))
    return unbroadcast(da, a.shape), unbroadcast(db, b.shape)


def maximum_bwd(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradient of ``y = max(a, b)``: to the larger one, half to each at a tie."""
    share = ((a > b) + 0.5 * (a == b)).astype(dy.dtype)
    return unbroadcast(dy * share, a.shape), unbroadcast(dy * (1 - share), b.shape)


def minimum_bwd(dy: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradient of ``y = min(a, b)``: to the smaller one, half to each at a tie."""
    return maximum_bwd(dy, -a, -b)


def clip_bwd(dy: Array, x: Array, low: float | None = None, high: float | None = None) -> Array:
    """Gradient of ``y = min(max(x, low), high)``.

    ``dy`` where ``low <= x <= high``, bounds included, else 0.
    """
    inside = np.ones(x.shape, bool)
    if low is not None:
        inside &= x >= low
    if high is not None:
        inside &= x <= high
    return np.where(inside, dy, 0)


def abs_bwd(dy: Array, x: Array) -> Array:
    """Gradient of ``y = |x|``: ``dy * sign(x)``, 0 at 0."""
    return dy * np.sign(x)


def where_bwd(dy: Array, condition: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Gradient of ``y = a where condition else b``: ``dy`` goes to the operand that was chosen."""
    return unbroadcast(np.where(condition, dy, 0), a.shape), unbroadcast(np.where(condition, 0, dy), b.shape)
