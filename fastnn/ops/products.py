"""Products made of elementwise multiplication and the matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..autograd import Tensor
from .elementwise import add, div, mul
from .linear import matmul
from .rearrange import diagonal
from .reduce import sum as total
from .shape import _axis, permute, reshape

__all__ = ["addcdiv", "addcmul", "addmm", "mv", "outer", "tensordot", "trace"]


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """`y[i, j] = input[i] vec2[j]`.

    Shape:
        input (n,), vec2 (m,) -> (n, m)

    Raises:
        ValueError: if one is no vector.
    """
    if input.ndim != 1 or vec2.ndim != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {input.shape} and {vec2.shape}")
    return mul(reshape(input, -1, 1), vec2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """Product of a matrix and a vector.

    Shape:
        input (m, n), vec (n,) -> (m,)

    Raises:
        ValueError: if the shapes do not fit.
    """
    if input.ndim != 2 or vec.ndim != 1:
        raise ValueError(f"mv: expected a matrix and a vector, got shapes {input.shape} and {vec.shape}")
    return matmul(input, vec)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta input + alpha (mat1 @ mat2)`.

    Shape:
        input (m, n) or broadcasting to it, mat1 (m, k), mat2 (k, n) -> (m, n)

    Raises:
        ValueError: if the shapes do not fit.
    """
    if mat1.ndim != 2 or mat2.ndim != 2:
        raise ValueError(f"addmm: expected two matrices, got shapes {mat1.shape} and {mat2.shape}")
    product = matmul(mat1, mat2)
    return add(input if beta == 1 else mul(input, beta), product if alpha == 1 else mul(product, alpha))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """`input + value tensor1 * tensor2`, elementwise, shapes broadcasting."""
    product = mul(tensor1, tensor2)
    return add(input, product if value == 1 else mul(product, value))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """`input + value tensor1 / tensor2`, elementwise, shapes broadcasting."""
    quotient = div(tensor1, tensor2)
    return add(input, quotient if value == 1 else mul(quotient, value))


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal: (m, n) -> ().

    Raises:
        ValueError: if `input` is no matrix.
    """
    if input.ndim != 2:
        raise ValueError(f"trace: expected a matrix, got shape {input.shape}")
    return total(diagonal(input))


def tensordot(a: Tensor, b: Tensor, dims: int | Sequence[Sequence[int]] = 2) -> Tensor:
    """Products of two tensors summed over pairs of dimensions.

    Args:
        a: the one.
        b: the other.
        dims: how many, the last ones of `a` with the first ones of `b`; or the dimensions of `a` and those of `b`.

    Shape:
        a (*, k), b (k, **) -> (*, **) for the dimensions summed over, k, one or more.

    Raises:
        ValueError: if the dimensions do not pair up.
    """
    if isinstance(dims, int):
        mine, theirs = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        mine = [_axis("tensordot", dim, a.ndim) for dim in dims[0]]
        theirs = [_axis("tensordot", dim, b.ndim) for dim in dims[1]]
    lengths = [[x.shape[i] for i in axes] for x, axes in ((a, mine), (b, theirs))]
    if lengths[0] != lengths[1]:
        raise ValueError(f"tensordot: dimensions {dims} of shapes {a.shape} and {b.shape} do not pair up")
    left = [i for i in range(a.ndim) if i not in mine]
    right = [i for i in range(b.ndim) if i not in theirs]
    rows, columns = [a.shape[i] for i in left], [b.shape[i] for i in right]
    size = prod(lengths[0])
    first = reshape(permute(a, left + mine), prod(rows), size)
    second = reshape(permute(b, theirs + right), size, prod(columns))
    return reshape(matmul(first, second), rows + columns)
