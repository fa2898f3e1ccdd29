"""How much an operation has to do: floating-point operations, and bytes moved if every array is moved once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..autograd.saved import captured

__all__ = ["backward_bytes", "flops", "forward_bytes", "reductions"]


def reductions(name: str, arrays: Sequence[Any]) -> int:
    """How many multiply-adds an output of a product or a convolution sums, 0 for other operations.

    Args:
        name: the operation's.
        arrays: its arguments.
    """
    if len(arrays) < 2 or not isinstance(arrays[1], np.ndarray):
        return 0
    if name.startswith("conv") and arrays[1].ndim >= 3:
        return prod(arrays[1].shape[1:])
    if name.startswith("linear"):
        return int(arrays[1].shape[1])
    return int(arrays[0].shape[-1]) if name == "matmul" and arrays[0].ndim else 0


def flops(reduced: int, outputs: int, largest: int, products: int = 1) -> float:
    """Floating-point operations of one pass.

    A product or convolution: two for each multiply-add, computed directly, `2 outputs reduced`, forward and for each
    of its two gradients. Any other operation counts one for each element of the largest array.

    Args:
        reduced: what `reductions` gave.
        outputs: elements of the output.
        largest: elements of the largest array.
        products: how many products the pass computes.
    """
    return 2.0 * outputs * reduced * products if reduced else float(largest)


def forward_bytes(arguments: Iterable[Any], outputs: Sequence[npt.NDArray[Any]]) -> int:
    """Bytes of the arguments and the outputs; 0 if the outputs are views of arguments."""
    arrays = [each for each in arguments if isinstance(each, np.ndarray)]
    if outputs and all(any(np.may_share_memory(y, x) for x in arrays) for y in outputs):
        return 0
    return sum(each.nbytes for each in _distinct([*arrays, *outputs]))


def backward_bytes(dy: Any, closure: Any, gradients: Iterable[Any]) -> int:
    """Bytes of what arrives, what was saved for the pass and what it returns; 0 if it returns views of what arrives."""
    arrived = [each for each in (dy if isinstance(dy, tuple) else (dy,)) if isinstance(each, np.ndarray)]
    made = [each for each in gradients if isinstance(each, np.ndarray)]
    if all(any(np.may_share_memory(g, each) for each in arrived) for g in made):
        return 0
    saved = captured(closure.__closure__ or ())
    return sum(each.nbytes for each in _distinct([*arrived, *saved, *made]))


def _distinct(arrays: Iterable[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """The arrays without repetition of the same one or of another view that begins where it does."""
    return list({(each.__array_interface__["data"][0], each.nbytes): each for each in arrays}.values())
