"""What the pointwise activations share: one entry of the table in C, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from .. import _C
from ..autograd import Array, Backward, Grads, Needs
from ..autograd.pending import CONSUMERS, JOINS, Wait
from .layout import gapless, in_order_of
from .reduction import need_real

__all__ = ["Activated", "Entry", "joins_batch_norm", "pointwise"]

Activated: TypeAlias = tuple[Array, Backward]


class Entry(NamedTuple):
    """An entry of the table with its parameters."""

    name: str
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0


def joins_batch_norm(name: str, entry: Callable[..., Entry]) -> None:
    """Let activation `name` be computed with a batch norm before it; stands above `@op`.

    Args:
        name: the operation's.
        entry: takes the operation's options and says what it computes.
    """

    def contribute(wait: Wait, *args: Any, **options: Any) -> dict[str, Any] | None:
        try:
            return {"activation": entry(*args, **options)}
        except (TypeError, KeyError):
            return None  # the operation says what is wrong

    CONSUMERS[name] = contribute
    JOINS["batch_norm", name] = f"batch_norm_{name}"


def pointwise(name: str, entry: str, input: Array, a: float = 0.0, b: float = 0.0, c: float = 0.0) -> Activated:
    """The activation `entry` of the table with its parameters; saves the input or the output, as the table says."""
    need_real(name, input)
    code = _C.ACTIVATIONS[entry]
    x = gapless(input)
    y: Array = _C.empty_like(x)
    _C.activation_fwd(code, x, y, a, b, c)
    saved = y if entry in _C.ACTIVATIONS_FROM_OUTPUT else x

    def backward(dy: Array, needs: Needs) -> Grads:
        dx: Array = _C.empty_like(saved)
        _C.activation_bwd(code, in_order_of(dy, saved), saved, dx, a, b, c)
        return (dx,)

    return y, backward
