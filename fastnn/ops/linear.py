"""Matrix products: `matmul` and its kin, and the affine map `linear`."""

from __future__ import annotations

import math

import numpy as np

from .. import _C
from ..autograd import Array, Backward, Grads, Needs, op
from ..autograd.dtype import promote_types
from ..autograd.mode import MODE

__all__ = ["bmm", "dot", "linear", "matmul", "mm"]


def _matrix(a: Array) -> tuple[Array, bool]:
    """A stack of matrices as the kernels read it: C-contiguous, or its transpose is (then the flag is set)."""
    if a.flags.c_contiguous:
        return a, False
    turned = a.swapaxes(-1, -2)
    if turned.flags.c_contiguous:
        return turned, True
    return np.ascontiguousarray(a), False


def _product(a: Array, b: Array, bf16: bool) -> Array:
    """`a @ b` for float matrices or stacks of them, (..., m, k) and (..., k, n), by the kernel."""
    if a.ndim == 2 and b.ndim == 2:
        y: Array = _C.empty((a.shape[0], b.shape[1]), a.dtype)
        a, a_turned = _matrix(a)
        b, b_turned = _matrix(b)
        _C.matmul(a, a_turned, b, b_turned, y, None, bf16)
        return y
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    count = math.prod(batch)
    a, a_turned = _stack(a, batch, m, k)
    b, b_turned = _stack(b, batch, k, n)
    y = _C.empty((count, m, n), a.dtype)
    _C.matmul(a, a_turned, b, b_turned, y, None, bf16)
    return y.reshape(*batch, m, n)


def _stack(a: Array, batch: tuple[int, ...], rows: int, cols: int) -> tuple[Array, bool]:
    """`a` as one stack of matrices: of one matrix if the same serves the whole batch, else of all of them."""
    if math.prod(a.shape[:-2]) == 1:
        return _matrix(a.reshape(1, rows, cols))
    if a.shape[:-2] != batch:
        a = np.broadcast_to(a, (*batch, rows, cols))
    return _matrix(a.reshape(math.prod(batch), rows, cols))


def _sum_to(grad: Array, shape: tuple[int, ...]) -> Array:
    """The gradient of a stack that was broadcast: summed over the dimensions it was repeated along."""
    if grad.shape == shape:
        return grad
    extra = grad.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + i for i, size in enumerate(shape) if size == 1 and grad.shape[extra + i] != 1
    )
    total: Array = grad.sum(axis=axes, keepdims=True)
    return total.reshape(shape)


@op
def matmul(input: Array, other: Array) -> tuple[Array, Backward | None]:
    """Matrix product `y = input @ other`, with NumPy's and PyTorch's rules for one dimension and for stacks.

    Shape:
        (m, k) @ (k, n) -> (m, n); (..., m, k) @ (..., k, n) -> (..., m, n), leading dimensions broadcast;
        a one-dimensional operand is a row on the left, a column on the right, and that dimension is dropped.

    Raises:
        ValueError: if an operand has no dimension, or the inner sizes differ.
    """
    if input.ndim == 0 or other.ndim == 0:
        raise ValueError(f"matmul: expected operands of at least one dimension, got {input.shape} and {other.shape}")
    a = input[None, :] if input.ndim == 1 else input
    b = other[:, None] if other.ndim == 1 else other
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"matmul: expected inner sizes to agree, got shapes {input.shape} and {other.shape} "
            f"({a.shape[-1]} against {b.shape[-2]})"
        )
    dtype = promote_types(a.dtype, b.dtype)
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    bf16 = MODE.bfloat16
    try:
        y = _product(a, b, bf16) if dtype.char in "fd" else np.matmul(a, b)
    except ValueError as error:
        if a.shape[:-2] != b.shape[:-2]:
            message = f"matmul: stacks of shapes {input.shape} and {other.shape} do not broadcast"
            raise ValueError(message) from error
        raise
    if input.ndim == 1:
        y = y.reshape(*y.shape[:-2], y.shape[-1])
    if other.ndim == 1:
        y = y.reshape(y.shape[:-1])
    shape, other_shape = input.shape, other.shape

    def backward(dy: Array, needs: Needs) -> Grads:
        rows, cols = a.shape[-2], b.shape[-1]
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        g = dy.astype(dtype, copy=False).reshape(*batch, rows, cols)
        da = _sum_to(_product(g, b.swapaxes(-1, -2), bf16), a.shape).reshape(shape) if needs[0] else None
        db = _sum_to(_product(a.swapaxes(-1, -2), g, bf16), b.shape).reshape(other_shape) if needs[1] else None
        return da, db

    return y, backward


def _expect_dims(name: str, ndim: int, *operands: tuple[str, Array]) -> None:
    for parameter, operand in operands:
        if operand.ndim != ndim:
            raise ValueError(f"{name}: expected '{parameter}' of {ndim} dimensions, got shape {operand.shape}")


def mm(input: Array, mat2: Array) -> Array:
    """Matrix product (m, k) @ (k, n) -> (m, n), without broadcasting.

    Raises:
        ValueError: if an operand is not a matrix, or the inner sizes differ.
    """
    _expect_dims("mm", 2, ("input", input), ("mat2", mat2))
    return matmul(input, mat2)  # type: ignore[return-value]


def bmm(input: Array, mat2: Array) -> Array:
    """Batch of matrix products (b, m, k) @ (b, k, n) -> (b, m, n).

    Raises:
        ValueError: if an operand has not three dimensions, or batches or inner sizes differ.
    """
    _expect_dims("bmm", 3, ("input", input), ("mat2", mat2))
    if input.shape[0] != mat2.shape[0]:
        raise ValueError(f"bmm: expected batches of one size, got shapes {input.shape} and {mat2.shape}")
    return matmul(input, mat2)  # type: ignore[return-value]


def dot(input: Array, other: Array) -> Array:
    """Inner product of two vectors of one length.

    Shape:
        input (n,), other (n,) -> ()

    Raises:
        ValueError: if an operand is not a vector, or the lengths differ.
    """
    _expect_dims("dot", 1, ("input", input), ("other", other))
    return matmul(input, other)  # type: ignore[return-value]


@op
def linear(input: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Backward | None]:
    """Affine map `y = input weight^T + bias`.

    Args:
        input: features in the last dimension.
        weight: one row per output feature.
        bias: added to every row, or None.

    Shape:
        input (*, in_features), weight (out_features, in_features), bias (out_features) -> (*, out_features).

    Raises:
        ValueError: if the shapes do not belong together.
        TypeError: if the operands are not all float32 or all float64.
    """
    if weight.ndim != 2 or input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: expected input (*, in_features) and weight (out_features, in_features), "
            f"got {input.shape} and {weight.shape}"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"linear: expected bias of shape {weight.shape[:1]}, got {bias.shape}")
    dtype = input.dtype
    for name, operand in (("weight", weight), ("bias", bias)):
        if operand is not None and operand.dtype is not dtype and operand.dtype != dtype:
            raise TypeError(f"linear: expected {name} of the input's dtype {dtype}, got {operand.dtype}")
    outputs, features = weight.shape
    x = np.ascontiguousarray(input).reshape(-1, features) if input.ndim != 2 else input
    x, x_turned = _matrix(x)
    w, w_turned = _matrix(weight)
    rows = x.shape[1] if x_turned else x.shape[0]
    y: Array = _C.empty((rows, outputs), dtype)
    b = None if bias is None else np.ascontiguousarray(bias)
    bf16 = MODE.bfloat16
    _C.matmul(x, x_turned, w, not w_turned, y, b, bf16)
    shape, has_bias = input.shape, bias is not None

    def backward(dy: Array, needs: Needs) -> Grads:
        g = np.ascontiguousarray(dy).reshape(rows, outputs)
        dx = dw = db = None
        if needs[0]:
            dx = _C.empty((rows, features), g.dtype)
            _C.matmul(g, False, w, w_turned, dx, None, bf16)
            dx = dx.reshape(shape)
        if needs[1]:
            dw = _C.empty((outputs, features), g.dtype)
            _C.matmul(g, True, x, x_turned, dw, None, bf16)
        if has_bias and needs[2]:
            db = _C.empty((outputs,), g.dtype)
            if rows:
                _C.sum_columns(g, db)
            else:
                db.fill(0)
        return dx, dw, db

    return y.reshape(*shape[:-1], outputs), backward
