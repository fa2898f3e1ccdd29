"""The one timer of all benchmarks of kernels."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["Timing", "Work", "measure"]

Work: TypeAlias = Callable[[], Any]

_SAMPLE = 200e-6
"""Seconds that a sample takes at least: quick works are called several times in one."""
_LEAST_ROUNDS = 5
_MOST_ROUNDS = 400
_PATIENCE = 25
"""Rounds without a better minimum of any work after which the rest of the time is not spent."""
_GAIN = 0.995
_DISTURBED = 1.5
"""Median over minimum of a work above which something else must have been running."""
_EXTENSION = 3
"""How many times as long a disturbed row may take."""
_SETTLE = 0.1
"""Seconds for which threads of another library may still spin after its last call (OpenBLAS: 2^26 ticks)."""


@dataclass(frozen=True)
class Timing:
    """How long one call of a work took.

    Attributes:
        times: seconds per call, one entry per sample.
        calls: number of calls that a sample averages over.
    """

    times: tuple[float, ...]
    calls: int

    @property
    def minimum(self) -> float:
        """The shortest: what the work takes when nothing disturbs it."""
        return min(self.times)

    @property
    def median(self) -> float:
        """The middle one: what it takes on this machine as busy as it is."""
        return statistics.median(self.times)

    def to_dict(self) -> dict[str, float | int]:
        """As plain values."""
        return {"min": self.minimum, "median": self.median, "samples": len(self.times), "calls": self.calls}


@dataclass
class _Sampler:
    """Takes samples of one work."""

    work: Work
    clock: Callable[[], float]
    calls: int = 1

    def __post_init__(self) -> None:
        self.times: list[float] = []
        self.best = math.inf

    def calibrate(self) -> float:
        """Call the work once more, and choose how many calls make a sample; seconds of that call."""
        seconds = self._run()
        self.calls = max(1, math.ceil(_SAMPLE / max(seconds, 1e-9)))
        return seconds

    def sample(self) -> bool:
        """Take a sample; whether it was clearly the best so far."""
        seconds = self._run() / self.calls
        self.times.append(seconds)
        better = seconds < self.best * _GAIN
        self.best = min(self.best, seconds)
        return better

    def timing(self) -> Timing:
        return Timing(tuple(self.times), self.calls)

    def _run(self) -> float:
        work = self.work
        start = self.clock()
        for _ in range(self.calls):
            work()
        return self.clock() - start


def measure(
    works: Mapping[str, Work],
    seconds: float,
    *,
    alone: Collection[str] = (),
    clock: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], None] = time.sleep,
) -> dict[str, Timing]:
    """Time works against each other.

    They take turns, so that whatever else the machine does meets all of them alike, and each round starts with
    another one. Each is called twice beforehand: once to warm up, once to see how many calls make a sample that the
    clock resolves. Rounds end when the time is spent (three times as late while the machine is busy), or earlier when
    no minimum has improved for a while. The garbage collector rests meanwhile.

    Args:
        works: what to call, by name.
        seconds: time to spend on samples, for each work.
        alone: names of works to be timed after all others and not in turns with them, for their library leaves
            threads spinning; they may also be so slow that the call to warm up is their only sample.
        clock: the time in seconds.
        pause: waits for seconds.

    Returns:
        The timing of each work.

    Raises:
        ValueError: if there is nothing to time, or no time.
    """
    if not works:
        raise ValueError("measure: expected at least one work, got none")
    if not seconds > 0:
        raise ValueError(f"measure: expected positive seconds, got {seconds!r}")
    collecting = gc.isenabled()
    gc.disable()
    try:
        turns = {name: _Sampler(work, clock) for name, work in works.items() if name not in alone}
        timings = {name: sampler.timing() for name, sampler in _in_turns(turns, seconds).items()}
        for name in works:
            if name in alone:
                timings[name] = _by_itself(_Sampler(works[name], clock), seconds)
                pause(_SETTLE)
    finally:
        if collecting:
            gc.enable()
    return {name: timings[name] for name in works}


def _in_turns(samplers: dict[str, _Sampler], seconds: float) -> dict[str, _Sampler]:
    """Fill the samplers, round by round."""
    for sampler in samplers.values():
        sampler.work()
        sampler.calibrate()
    order = list(samplers.values())
    spent, rounds, idle = 0.0, 0, 0
    while order and rounds < _MOST_ROUNDS and (rounds < _LEAST_ROUNDS or spent < _allowed(order, seconds)):
        better = [sampler.sample() for sampler in order]
        spent += sum(sampler.times[-1] * sampler.calls for sampler in order)
        order.append(order.pop(0))
        rounds += 1
        idle = 0 if any(better) else idle + 1
        if idle >= _PATIENCE:
            break
    return samplers


def _allowed(samplers: list[_Sampler], seconds: float) -> float:
    """Seconds that the rounds may take altogether: more when the machine is busy, for minima are then rare."""
    disturbed = any(statistics.median(sampler.times) > _DISTURBED * sampler.best for sampler in samplers)
    return seconds * len(samplers) * (_EXTENSION if disturbed else 1)


def _by_itself(sampler: _Sampler, seconds: float) -> Timing:
    """The timing of one work, perhaps a slow one."""
    start = sampler.clock()
    sampler.work()
    first = sampler.clock() - start
    if first >= seconds:
        return Timing((first,), 1)
    spent = sampler.calibrate()
    while spent < seconds and len(sampler.times) < _MOST_ROUNDS:
        sampler.sample()
        spent += sampler.times[-1] * sampler.calls
    return sampler.timing() if sampler.times else Timing((spent,), 1)
