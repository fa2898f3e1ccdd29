"""Switches that choose between algorithms which compute the same thing.

`fastnn.backends.conv.algorithm` is "auto" (the selection rule of csrc/ops/conv.inc.h) or "winograd", "direct" or
"im2col": that algorithm wherever it can compute the shape, for comparisons of bits, error and speed.

`fastnn.backends.bf16.unit` is what multiplies numbers rounded to bfloat16 under `fastnn.autocast`.
"""

from __future__ import annotations

from . import _C

__all__ = ["bf16", "conv"]


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


class BFloat16Backend:
    """How products of bfloat16 are formed under `fastnn.autocast`: rounding and float32 sums are the same in all.

    "amx": tile registers (AMX-BF16). "avx512": the dot product vdpbf16ps (AVX512-BF16). "rounding": operands are
    rounded in a pass of their own and the float32 kernels multiply them, on any processor, slower than float32.
    """

    __slots__ = ()

    def units(self) -> list[str]:
        """The units that this processor has at the instruction-set level in use, plainest first."""
        return list(_C.bf16_units()[0])

    @property
    def unit(self) -> str:
        """Name of the unit in use. Setting "auto" chooses the fastest, and so does `cpu.set_level`."""
        return _C.bf16_unit()

    @unit.setter
    def unit(self, name: str) -> None:
        names, best = _C.bf16_units()
        wanted = best if name == "auto" else name
        if wanted not in names:
            raise ValueError(f"backends.bf16.unit: expected one of {['auto', *names]} on this processor, got {name!r}")
        _C.set_bf16_unit(names.index(wanted))


conv = ConvBackend()
bf16 = BFloat16Backend()
