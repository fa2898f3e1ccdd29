"""`autocast`: layers that gain by it multiply numbers rounded to bfloat16."""

from __future__ import annotations

from contextlib import ContextDecorator
from types import TracebackType

from .mode import MODE

__all__ = ["autocast", "is_autocast_enabled"]


def is_autocast_enabled() -> bool:
    """Whether operations of this thread compute under `autocast` at present."""
    return MODE.bfloat16


class autocast(ContextDecorator):
    """Context manager and decorator under which layers multiply in bfloat16, where that pays.

    Matrix products (`matmul`, `linear`) and dense convolutions of one or two dimensions with at least 16 channels on
    either side round their operands x and w to bfloat16 (8 bits of mantissa, to nearest, ties to even) and compute

        y = sum of round(x) round(w) + bias,

    products and sums in float32. So do their backward passes, with dy for x or w, wherever those run. Everything else
    stays as it is: float32 tensors in memory, float32 master weights, all other layers, float64. A result is off by
    a relative 2.3e-3 or so. bfloat16 has float32's range, so gradients neither overflow nor vanish: no loss scaling.

    Unlike PyTorch's, whose semantics are kept otherwise, it returns float32 rather than bfloat16 tensors. It is
    faster where the processor multiplies bfloat16 (`fastnn.backends.bf16.units()`: AMX, AVX512-BF16); elsewhere
    it computes the same, more slowly than float32. Without AMX, 3×3 convolutions of stride 1 stay in float32, where
    Winograd's algorithm is faster. It nests, and holds for the thread that entered it.

    Args:
        dtype: "bfloat16", the only one.
        enabled: False computes in float32, also inside an outer `autocast`.

    Raises:
        ValueError: if `dtype` is another one.

    Example:
        >>> x, w = fastnn.full((1, 2), 1 + 2**-9), fastnn.ones(1, 2)
        >>> with autocast():
        ...     y = x @ w.T
        >>> y.item(), (x @ w.T).item()
        (2.0, 2.00390625)
    """

    def __init__(self, dtype: str = "bfloat16", enabled: bool = True) -> None:
        if dtype != "bfloat16":
            raise ValueError(f"autocast: expected dtype 'bfloat16', got {dtype!r}")
        self._enabled = bool(enabled)
        self._before: list[bool] = []

    def _recreate_cm(self) -> autocast:
        """A context of its own for every call of a decorated function: threads may call it at the same time."""
        return autocast(enabled=self._enabled)

    def __enter__(self) -> None:
        self._before.append(MODE.bfloat16)
        MODE.bfloat16 = self._enabled

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        MODE.bfloat16 = self._before.pop()
