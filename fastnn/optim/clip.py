"""Gradient clipping, by norm, by value and in proportion to the weights.

PyTorch has the first two in `torch.nn.utils`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from .. import _C
from ..autograd import Tensor
from ..autograd.dtype import Array
from .checks import in_range

__all__ = ["Gradients", "adaptive_clip_grad_", "clip_grad_norm_", "clip_grad_value_"]


class Gradients:
    """The distinct gradients of some parameters as tables of spans, one for each dtype.

    A gradient whose memory has gaps is worked on in a copy, which `write_back` brings home.
    """

    def __init__(self, function: str, parameters: Tensor | Iterable[Tensor]) -> None:
        tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        found: dict[int, Tensor] = {}
        for parameter in tensors:
            if not isinstance(parameter, Tensor):
                raise TypeError(f"{function}: expected Tensors, got {type(parameter).__name__}")
            if parameter.grad is not None:
                found[id(parameter.grad)] = parameter.grad
        self.tensors = list(found.values())
        self.arrays = [t.data if _C.is_dense(t.data) else t.data.copy() for t in self.tensors]
        by_dtype: dict[np.dtype[np.generic], list[Array]] = {}
        for array in self.arrays:
            by_dtype.setdefault(array.dtype, []).append(array)
        self.spans = [_C.Spans(arrays, [[]] * len(arrays), [None] * len(arrays)) for arrays in by_dtype.values()]

    def write_back(self) -> None:
        """Note that the gradients have changed."""
        for tensor, array in zip(self.tensors, self.arrays):
            if tensor.data is not array:
                tensor.data[...] = array
            tensor.bump()


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale the gradients of `parameters` in place so that their common norm is at most `max_norm`.

        n = (Σ |g|ᵖ)^(1/p) over all elements of all gradients;  g ← g · min(1, max_norm / (n + 1e-6))

    The sum is made of blocks whose size does not depend on the number of threads, added in order. Parameters
    without a gradient are passed over; a gradient that several share counts once.

    Args:
        parameters: a Tensor or several.
        max_norm: the largest norm allowed.
        norm_type: p; `math.inf` for the largest magnitude.
        error_if_nonfinite: raise if the norm is infinite or NaN, and leave the gradients as they are. Otherwise
            they are multiplied by what comes out.

    Returns:
        The norm before clipping, a Tensor without dimensions.

    Raises:
        ValueError: if `max_norm` or `norm_type` is negative.
        RuntimeError: if the norm is not finite and `error_if_nonfinite`.

    Source: Pascanu, Mikolov, Bengio 2013.

    Example:
        >>> w = Tensor(np.zeros(2), requires_grad=True)
        >>> w.grad = Tensor(np.array([3.0, 4.0]))
        >>> clip_grad_norm_([w], 1.0).item(), np.round(w.grad.data, 4).tolist()
        (5.0, [0.6, 0.8])
    """
    in_range("clip_grad_norm_", "max_norm", max_norm, 0.0, math.inf)
    if not norm_type > 0:
        raise ValueError(f"clip_grad_norm_: expected norm_type > 0, got {norm_type!r}")
    gradients = Gradients("clip_grad_norm_", parameters)
    norm = _norm(gradients, float(norm_type))
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm_: the norm of the gradients is {norm}; they were not clipped")
    factor = max_norm / (norm + 1e-6)
    if not factor >= 1.0:
        for spans in gradients.spans:
            _C.optim_scale(spans, factor)
        gradients.write_back()
    dtype = gradients.arrays[0].dtype if gradients.arrays else np.dtype(np.float32)
    return Tensor(np.asarray(norm, dtype))


def _norm(gradients: Gradients, p: float) -> float:
    """The p-norm over all gradients; p = 2, the one in use, in C."""
    if p == 2.0:
        return math.sqrt(sum(_C.optim_sum_squares(spans) for spans in gradients.spans))
    arrays = [array for array in gradients.arrays if array.size]
    if math.isinf(p):
        return float(np.max([np.abs(array).max() for array in arrays])) if arrays else 0.0
    total = sum(float(np.sum(np.abs(array, dtype=np.float64) ** p)) for array in arrays)
    return float(total ** (1.0 / p))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Bring every element of the gradients of `parameters` into [-clip_value, clip_value], in place.

    Args:
        parameters: a Tensor or several; those without a gradient are passed over.
        clip_value: the largest magnitude allowed. NaN stays NaN.

    Raises:
        ValueError: if `clip_value` is negative.

    Example:
        >>> w = Tensor(np.zeros(2), requires_grad=True)
        >>> w.grad = Tensor(np.array([3.0, -0.25]))
        >>> clip_grad_value_(w, 0.5)
        >>> w.grad.data.tolist()
        [0.5, -0.25]
    """
    in_range("clip_grad_value_", "clip_value", clip_value, 0.0, math.inf)
    gradients = Gradients("clip_grad_value_", parameters)
    for spans in gradients.spans:
        _C.optim_clamp(spans, clip_value)
    gradients.write_back()


def adaptive_clip_grad_(parameters: Tensor | Iterable[Tensor], clip_factor: float = 0.01, eps: float = 1e-3) -> None:
    """Adaptive gradient clipping: the gradient of each unit to a share of the norm of its weights, in place.

        g_i ← g_i · min(1, λ max(‖w_i‖, ε) / ‖g_i‖)

    A unit is a row of the first dimension; a parameter with fewer than two dimensions is one unit as a whole.

    Args:
        parameters: a Tensor or several; those without a gradient are passed over.
        clip_factor: λ.
        eps: ε, so that weights that start at 0 can move.

    Raises:
        ValueError: if a number is negative.

    Source: Brock, De, Smith, Simonyan 2021, arXiv:2102.06171.

    Example:
        >>> w = Tensor(np.array([[3.0, 4.0]]), requires_grad=True)
        >>> w.grad = Tensor(np.array([[6.0, 8.0]]))
        >>> adaptive_clip_grad_(w, 0.1)
        >>> w.grad.data.round(6).tolist()
        [[0.3, 0.4]]
    """
    in_range("adaptive_clip_grad_", "clip_factor", clip_factor, 0.0, math.inf)
    in_range("adaptive_clip_grad_", "eps", eps, 0.0, math.inf)
    for parameter in [parameters] if isinstance(parameters, Tensor) else parameters:
        if parameter.grad is None:
            continue
        gradient = parameter.grad.data
        most = clip_factor * np.maximum(_unit_norms(parameter.data), eps)
        norms = _unit_norms(gradient)
        if (norms > most).any():
            gradient *= (most / np.maximum(norms, np.maximum(most, 1e-300))).astype(gradient.dtype)
            parameter.grad.bump()


def _unit_norms(array: Array) -> Array:
    """The Euclidean norm of each row of the first dimension, or of all of a vector, with ones as dimensions."""
    inner = tuple(range(1, array.ndim)) if array.ndim > 1 else None
    norms: Array = np.sqrt(np.sum(np.square(array, dtype=np.float64), axis=inner, keepdims=True))
    return norms
