"""The one place where rows of an array are collected into a batch."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastnn import _C

Scalar = TypeVar("Scalar", bound=np.generic)


def gather_rows(array: npt.NDArray[Scalar], indices: npt.ArrayLike) -> npt.NDArray[Scalar]:
    """Copy chosen rows: ``out[i] = array[indices[i]]``.

    Args:
        array: at least one dimension; a memory map is read only where rows are wanted.
        indices: integers (n,) in [0, len(array)), repeats allowed, negative ones refused.

    Shape:
        array (N, ...), indices (n,) -> (n, ...), a new array.

    Raises:
        TypeError: if the indices are not integers.
        ValueError: if they are not one-dimensional.
        IndexError: if one of them is out of range.
    """
    rows = checked_indices("batch", indices, len(array))
    if array.dtype.kind not in "biufc" or not array.dtype.isnative or not array.flags.c_contiguous:
        return array[rows]
    out: npt.NDArray[Scalar] = _C.empty((len(rows), *array.shape[1:]), array.dtype)
    _C.gather_rows(array, np.ascontiguousarray(rows), out)
    return out


def checked_indices(owner: str, indices: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    """Return `indices` as int64 (n,), having made sure that each is in [0, count).

    Args:
        owner: the name that begins the message.
        indices: what was given.
        count: the number of rows there are.

    Raises:
        TypeError: if they are not integers.
        ValueError: if they are not one-dimensional.
        IndexError: if one of them is out of range.
    """
    rows: npt.NDArray[Any] = np.asarray(indices)
    if rows.dtype.kind not in "iu" and rows.size:
        raise TypeError(f"{owner}: expected integer indices, got {rows.dtype}")
    if rows.ndim != 1:
        raise ValueError(f"{owner}: expected one-dimensional indices, got shape {rows.shape}")
    if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= count):
        raise IndexError(f"{owner}: expected indices in [0, {count}), got {int(rows.min())} to {int(rows.max())}")
    return rows.astype(np.int64, copy=False)
