"""What the pointwise activations share: one entry of the table in C, forwards and backwards."""

from __future__ import annotations

from typing import TypeAlias

from .. import _C
from ..autograd import NOTHING, Array, Backward, Grads, Needs, Reuse, reusing
from .layout import gapless, in_order_of
from .reduction import need_real

__all__ = ["Activated", "pointwise"]

Activated: TypeAlias = tuple[Array, Backward]


def pointwise(name: str, entry: str, input: Array, a: float = 0.0, b: float = 0.0, c: float = 0.0) -> Activated:
    """The activation `entry` of the table with its parameters; saves the input or the output, as the table says."""
    need_real(name, input)
    code = _C.ACTIVATIONS[entry]
    x = gapless(input)
    y: Array = _C.empty_like(x)
    _C.activation_fwd(code, x, y, a, b, c)
    saved = y if entry in _C.ACTIVATIONS_FROM_OUTPUT else x

    @reusing
    def backward(dy: Array, needs: Needs, reuse: Reuse = NOTHING) -> Grads:
        grad = in_order_of(dy, saved)
        dx: Array = grad if reuse.owned else _C.empty_like(saved)
        _C.activation_bwd(code, grad, saved, dx, a, b, c)
        return (dx,)

    return y, backward
