"""Computing neighbouring layers in one pass over memory, where there is a fused operation for them.

The result is that of calling one layer after the other. Layers with hooks are called one after the other,
so that the hooks see what lies between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.tensor import Tensor
from .activation import ReLU
from .module import Module
from .norm import BatchNorm1d, BatchNorm2d, BatchNorm3d

_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d)


def run(modules: Sequence[Module], x: Any) -> Any:
    """What `modules` give, each fed with the output of the one before it."""
    i, last = 0, len(modules) - 1
    while i <= last:
        module = modules[i]
        if i < last and type(module) in _NORMS and type(modules[i + 1]) is ReLU:
            x = norm_relu(module, x, relu=modules[i + 1])
            i += 2
        else:
            x = module(x)
            i += 1
    return x


def norm_relu(norm: Module, x: Tensor, residual: Tensor | None = None, relu: Module | None = None) -> Any:
    """`relu(norm(x) + residual)`, in one pass if `norm` is a plain batch norm.

    Args:
        norm: the layer before the sum, usually a batch norm.
        x: its input.
        residual: what is added to its output, of the same shape, or None.
        relu: the ReLU layer, if there is one as such.
    """
    if type(norm) in _NORMS and not norm._hooks and (relu is None or not relu._hooks):
        return norm.forward_relu(x, residual)  # type: ignore[attr-defined]
    y = norm(x)
    if residual is not None:
        y = y + residual
    return y.relu() if relu is None else relu(y)
