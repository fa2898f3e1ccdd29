"""Einstein summation."""

from __future__ import annotations

import string
from collections.abc import Sequence

import numpy as np

from ..autograd import Array, Backward, Grads, Needs, Tensor, op
from ..autograd.dtype import result_type
from .broadcast import unbroadcast

__all__ = ["einsum"]


def _terms(equation: str, operands: Sequence[Array]) -> tuple[list[str], str]:
    """The subscripts of the operands and of the result, `...` written out in letters and the result made explicit."""
    sides = equation.replace(" ", "").split("->")
    inputs = sides[0].split(",")
    if len(sides) > 2 or len(inputs) != len(operands):
        raise ValueError(f"einsum: '{equation}' does not describe {len(operands)} operands")
    free = [letter for letter in string.ascii_letters if letter not in equation]
    spread = 0
    terms = []
    for term, x in zip(inputs, operands, strict=True):
        count = x.ndim - len(term.replace("...", "")) if "..." in term else 0
        letters = term.replace("...", "")
        if count < 0 or len(letters) + count != x.ndim or not (letters == "" or letters.isalpha()):
            raise ValueError(f"einsum: '{term}' in '{equation}' does not fit shape {x.shape}")
        spread = max(spread, count)
        terms.append((term, count))
    dots = free[:spread]
    written = [term.replace("...", "".join(dots[spread - count :])) for term, count in terms]
    if len(sides) == 2:
        result = sides[1].replace("...", "".join(dots))
    else:
        together = "".join(written)
        result = "".join(dots) + "".join(c for c in sorted(set(together)) if together.count(c) == 1 and c not in dots)
    known = set("".join(written))
    if len(set(result)) != len(result) or not set(result) <= known:
        raise ValueError(f"einsum: the result '{result}' of '{equation}' repeats or invents a subscript")
    return written, result


def _summed(equation: str, *operands: Array) -> Array:
    return np.asarray(np.einsum(equation, *operands, optimize=len(operands) > 1))


@op
def _einsum(*operands: Array, equation: str) -> tuple[Array, Backward]:
    """The operation behind `einsum`."""
    terms, result = _terms(equation, operands)
    dtype = result_type(*operands)
    arrays = [x.astype(dtype, copy=False) for x in operands]
    try:
        y = _summed(f"{','.join(terms)}->{result}", *arrays)
    except ValueError:
        raise ValueError(f"einsum: shapes {[x.shape for x in operands]} do not fit '{equation}'") from None
    lengths = dict.fromkeys("".join(terms), 1)
    for term, x in zip(terms, arrays, strict=True):
        for letter, length in zip(term, x.shape, strict=True):
            lengths[letter] = max(lengths[letter], length) if length else 0

    def backward(dy: Array, needs: Needs) -> Grads:
        return [_gradient(dy, i, arrays, terms, result, lengths) if needed else None for i, needed in enumerate(needs)]

    return y, backward


def _gradient(dy: Array, i: int, arrays: list[Array], terms: list[str], result: str, lengths: dict[str, int]) -> Array:
    """The other operands times dy, summed to the subscripts of operand i, put on its diagonal if they repeat."""
    others = [j for j in range(len(arrays)) if j != i]
    sources = ",".join([result, *(terms[j] for j in others)])
    unique = "".join(dict.fromkeys(terms[i]))
    found = "".join(letter for letter in unique if letter in sources)
    partial = _summed(f"{sources}->{found}", dy, *(arrays[j] for j in others))
    places = tuple(slice(None) if letter in found else None for letter in unique)
    full = np.broadcast_to(partial[places], [lengths[letter] for letter in unique])
    if unique == terms[i]:
        return unbroadcast(full, arrays[i].shape)
    dx = np.zeros(arrays[i].shape, dy.dtype)
    diagonal = np.einsum(f"{terms[i]}->{unique}", dx)
    diagonal[...] = unbroadcast(full, diagonal.shape)
    return dx


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """Products of tensors summed over subscripts, by Einstein's convention.

    Args:
        equation: subscripts of the operands, a letter per dimension, separated by commas; after "->" those of the
            result, by default the ones that occur once, in alphabetical order. "..." stands for dimensions that
            broadcast. A letter that occurs twice in an operand picks its diagonal.
        operands: one tensor per group of subscripts, or one sequence of them.

    Shape:
        operands: a dimension per letter; the result has one for each letter after the arrow.

    Returns:
        a Tensor with the dimensions that the result names; products are summed over all others.

    Raises:
        ValueError: if the equation does not fit the operands' number or shapes.

    Example:
        >>> einsum("ij,jk->ik", fastnn.ones(2, 3), fastnn.ones(3, 2)).tolist()
        [[3.0, 3.0], [3.0, 3.0]]
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    return _einsum(*operands, equation=equation)
