"""Constraints on weights, imposed by projection after a step."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..autograd import Tensor

__all__ = ["max_norm_"]


def max_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float) -> None:
    """Scale the weights of each output unit, in place, to a Euclidean norm of at most c: `w_i ← w_i min(1, c / ‖w_i‖)`.

    w_i is row i of the first dimension: what leads to output i of a linear layer, or one filter of a convolution.
    Parameters with fewer than two dimensions, such as biases, are left alone.

    Args:
        parameters: a Tensor or several.
        max_norm: c.

    Raises:
        ValueError: if `max_norm` is not positive.

    Source: Srebro, Shraibman 2005; beside dropout, Srivastava et al., JMLR 15 (2014).

    Example:
        >>> w = Tensor(np.array([[3.0, 4.0], [0.3, 0.4]]), requires_grad=True)
        >>> max_norm_(w, 1.0)
        >>> w.data.round(6).tolist()
        [[0.6, 0.8], [0.3, 0.4]]
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm_: expected max_norm > 0, got {max_norm!r}")
    for parameter in [parameters] if isinstance(parameters, Tensor) else parameters:
        weight = parameter.data
        if weight.ndim < 2 or not weight.size:
            continue
        inner = tuple(range(1, weight.ndim))
        norms = np.sqrt(np.sum(np.square(weight, dtype=np.float64), axis=inner, keepdims=True))
        if (norms > max_norm).any():
            weight *= np.minimum(1.0, max_norm / np.maximum(norms, max_norm)).astype(weight.dtype)
            parameter.bump()
