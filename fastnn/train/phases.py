"""Where the time of training steps goes: waiting for data, forward, backward, optimiser."""

from __future__ import annotations

import time
from collections.abc import Mapping

__all__ = ["PHASES", "PhaseClock"]

PHASES = ("data", "forward", "backward", "optimizer")
"""The parts of a training step whose time is recorded."""


class PhaseClock:
    """Counts seconds by phase; looking at it costs a tenth of a microsecond.

    Example:
        >>> clock = PhaseClock()
        >>> clock.begin()
        >>> clock.count("data")
        >>> sorted(clock.record()), clock.record()["data_seconds"] >= 0
        (['backward_seconds', 'data_seconds', 'forward_seconds', 'optimizer_seconds'], True)
    """

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self._last = 0.0

    def begin(self) -> None:
        """What comes now belongs to the phase that is counted next."""
        self._last = time.perf_counter()

    def count(self, phase: str) -> None:
        """What came since `begin` or the last `count` belongs to this phase."""
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now

    def record(self) -> dict[str, float]:
        """The seconds as the record of an epoch has them, "data_seconds" and so on."""
        return {f"{phase}_seconds": self.seconds[phase] for phase in PHASES}

    def load(self, seconds: Mapping[str, float]) -> None:
        """Go on from seconds by phase; of phases that are missing nothing was counted yet."""
        self.seconds.update({phase: float(seconds[phase]) for phase in PHASES if phase in seconds})
