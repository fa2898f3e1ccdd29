"""Switches that choose between algorithms which compute the same thing.

`fastnn.backends.conv.algorithm` is "auto" (the selection rule of csrc/ops/conv.inc.h) or "winograd", "direct" or
"im2col": that algorithm wherever it can compute the shape, for comparisons of bits, error and speed.
"""

from __future__ import annotations

from . import _C

__all__ = ["conv"]


class ConvBackend:
    """How convolutions are computed."""

    __slots__ = ("_algorithm", "code")

    def __init__(self) -> None:
        self.algorithm = "auto"

    @property
    def algorithm(self) -> str:
        """Name of the algorithm in use."""
        return self._algorithm

    @algorithm.setter
    def algorithm(self, name: str) -> None:
        if name not in _C.CONV_ALGORITHMS:
            raise ValueError(f"backends.conv.algorithm: expected one of {list(_C.CONV_ALGORITHMS)}, got {name!r}")
        self._algorithm = name
        self.code: int = _C.CONV_ALGORITHMS[name]


conv = ConvBackend()
