"""How a Tensor prints: as PyTorch prints it."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

import numpy as np

from .dtype import Array, bool_, get_default_dtype, int64

if TYPE_CHECKING:
    from .tensor import Tensor

PRECISION, THRESHOLD, EDGE_ITEMS, LINE_WIDTH = 4, 1000, 3, 80


def _formatter(values: Array) -> builtins.dict[str, object]:
    """NumPy's `formatter` argument for floats: integers as '1.', else four digits, exponents if they differ."""
    finite = np.abs(values[np.isfinite(values)].astype(np.float64))
    nonzero = finite[finite != 0]
    if np.array_equal(finite, np.ceil(finite)) and finite.max(initial=0) < 1e8:
        form = "{:.0f}."
    elif nonzero.size and (nonzero.max() / nonzero.min() > 1000 or nonzero.max() > 1e8 or nonzero.min() < 1e-4):
        form = f"{{:.{PRECISION}e}}"
    else:
        form = f"{{:.{PRECISION}f}}"

    def text(value: float) -> str:
        return form.format(value) if np.isfinite(value) else str(float(value))

    width = max((len(text(value)) for value in values[np.isfinite(values)].ravel()), default=0)
    return {"float_kind": lambda value: text(value).rjust(width)}


def _shown(data: Array) -> Array:
    """The elements that are printed: all of a small array, the corners of a large one."""
    if data.size <= THRESHOLD:
        return data
    for axis in range(data.ndim):
        if data.shape[axis] > 2 * EDGE_ITEMS:
            picked = [*range(EDGE_ITEMS), *range(data.shape[axis] - EDGE_ITEMS, data.shape[axis])]
            data = data.take(picked, axis=axis)
    return data


def tensor_text(tensor: Tensor) -> str:
    """The `repr` of a Tensor."""
    data = tensor.data
    prefix = "tensor("
    notes = []
    if data.size == 0:
        body = "[]"
        if data.ndim != 1:
            notes.append(f"size={data.shape}")
    else:
        body = np.array2string(
            data,
            max_line_width=LINE_WIDTH,
            separator=", ",
            prefix=prefix,
            threshold=THRESHOLD,
            edgeitems=EDGE_ITEMS,
            formatter=_formatter(_shown(data)) if data.dtype.kind == "f" else None,  # type: ignore[arg-type]
        )
    if data.dtype not in (get_default_dtype(), int64, bool_) or data.size == 0:
        notes.append(f"dtype={data.dtype.name}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn={tensor.grad_fn!r}")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return prefix + ", ".join([body, *notes]) + ")"
