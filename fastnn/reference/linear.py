"""Matrix products and the fully connected layer."""

from math import prod

import numpy as np

from ._typing import Array
from .elementwise import unbroadcast


def _transposed(a: Array, flag: bool) -> Array:
    return np.swapaxes(a, -1, -2) if flag else a


def matmul_fwd(a: Array, b: Array, trans_a: bool = False, trans_b: bool = False) -> Array:
    """Matrix product ``y = op(a) op(b)``, where ``op`` transposes the last two axes if its flag is set.

    Leading axes are a batch and broadcast.

    Args:
        a: left operand.
        b: right operand.
        trans_a: use ``a`` transposed.
        trans_b: use ``b`` transposed.

    Shape:
        op(a) (*batch, M, K), op(b) (*batch, K, N) -> (*batch, M, N)

    Returns:
        The product.

    Raises:
        ValueError: if an operand has fewer than two axes or the inner sizes differ.

    Example:
        >>> matmul_fwd(np.ones((3, 2)), np.ones((3, 4)), trans_a=True).shape
        (2, 4)
    """
    left, right = _transposed(a, trans_a), _transposed(b, trans_b)
    if a.ndim < 2 or b.ndim < 2 or left.shape[-1] != right.shape[-2]:
        raise ValueError(f"matmul_fwd: expected (..., M, K) and (..., K, N), got {left.shape} and {right.shape}")
    return np.asarray(left @ right)


def matmul_bwd(dy: Array, a: Array, b: Array, trans_a: bool = False, trans_b: bool = False) -> tuple[Array, Array]:
    """Gradient of `matmul_fwd`.

    With ``A = op(a)`` and ``B = op(b)``: ``dA = dy Bᵀ`` and ``dB = Aᵀ dy``; each is transposed back if its
    operand was, and summed over the batch axes along which it was broadcast.

    Args:
        dy: gradient of the product.
        a: left operand of the forward pass.
        b: right operand of the forward pass.
        trans_a: as in the forward pass.
        trans_b: as in the forward pass.

    Shape:
        dy (*batch, M, N) -> da like a, db like b

    Returns:
        ``(da, db)``.
    """
    left, right = _transposed(a, trans_a), _transposed(b, trans_b)
    da = _transposed(dy @ np.swapaxes(right, -1, -2), trans_a)
    db = _transposed(np.swapaxes(left, -1, -2) @ dy, trans_b)
    return unbroadcast(da, a.shape), unbroadcast(db, b.shape)


def linear_fwd(x: Array, w: Array, b: Array | None = None) -> Array:
    """Fully connected layer ``y = x wᵀ + b``.

    Args:
        x: input.
        w: weight.
        b: bias, or None.

    Shape:
        x (*, in), w (out, in), b (out,) -> (*, out)

    Returns:
        The output.

    Raises:
        ValueError: if the input features of ``x`` and ``w`` differ.

    Example:
        >>> linear_fwd(np.ones((2, 3)), np.ones((1, 3)), np.array([0.5])).tolist()
        [[3.5], [3.5]]
    """
    if w.ndim != 2 or x.shape[-1:] != w.shape[1:]:
        raise ValueError(f"linear_fwd: expected x (*, in) and w (out, in), got {x.shape} and {w.shape}")
    y = np.asarray(x @ w.T)
    return y if b is None else y + b


def linear_bwd(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Gradient of `linear_fwd`: ``dx = dy w``, ``dw = dyᵀ x``, ``db = Σ dy`` over all rows.

    Args:
        dy: gradient of the output.
        x: input of the forward pass.
        w: weight of the forward pass.

    Shape:
        dy (*, out), x (*, in), w (out, in) -> dx (*, in), dw (out, in), db (out,)

    Returns:
        ``(dx, dw, db)``.
    """
    rows = prod(x.shape[:-1])
    dy_rows, x_rows = dy.reshape(rows, w.shape[0]), x.reshape(rows, w.shape[1])
    return np.asarray(dy @ w), np.asarray(dy_rows.T @ x_rows), dy_rows.sum(axis=0)
