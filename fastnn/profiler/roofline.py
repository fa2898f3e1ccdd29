"""The roofline: what arithmetic and memory allow at most, and how near operations come to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..bench.machine import Peaks
from ..report import Report
from .report import Profile

__all__ = ["Roofline", "RooflinePoint"]

_NUMBERED = 24
"""Points, the slowest, that are numbered and listed."""
_MARKS, _MARKED = {"forward": "o", "backward": "s"}, {"forward": "●", "backward": "■"}
_COLORS = ("#3b6ea5", "#e08a3c", "#4f9d69", "#b0486b", "#7a5ea8", "#8c6d46", "#3aa3a3", "#777777")


@dataclass(frozen=True)
class RooflinePoint:
    """One pass of one operation.

    Attributes:
        name: the operation's name.
        label: its name and shapes.
        direction: "forward" or "backward".
        seconds: the time of its quickest call.
        flops: floating-point operations of a call.
        bytes: bytes that a call must move.
    """

    name: str
    label: str
    direction: str
    seconds: float
    flops: float
    bytes: float

    @property
    def intensity(self) -> float:
        """Floating-point operations per byte."""
        return self.flops / self.bytes

    @property
    def gflops(self) -> float:
        """Floating-point operations per second, in 10⁹."""
        return self.flops / self.seconds / 1e9


@dataclass(frozen=True)
class Roofline(Report):
    """Operations under the line `min(peak, bandwidth · intensity)`.

    Attributes:
        gflops: the machine's peak, by a large matrix product.
        gb_per_second: its memory bandwidth, by a copy.
        points: passes of operations.

    Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model for multicore
    architectures", Communications of the ACM 52 (4), 2009.
    """

    size: ClassVar[tuple[float, float]] = (10.4, 5.4)

    gflops: float
    gb_per_second: float
    points: list[RooflinePoint]

    @staticmethod
    def of(profile: Profile, machine: Peaks) -> Roofline:
        """The passes of a profile that compute and move something, by their quickest calls."""
        points = [
            RooflinePoint(
                each.name, each.label, direction, part.least, part.flops / part.calls, part.bytes / part.calls
            )
            for each in profile.operations
            for direction, part in (("forward", each.forward), ("backward", each.backward))
            if part.calls and part.flops and part.bytes and part.least
        ]
        return Roofline(machine.gflops, machine.copy_gb_per_second, points)

    def bound(self, intensity: float) -> float:
        """What the machine allows at most, in 10⁹ operations per second, at an intensity."""
        return min(self.gflops, self.gb_per_second * intensity)

    def draw(self, figure: Any) -> None:
        """Points on logarithmic axes, larger where more time goes; operations by colour, the slowest by number."""
        axes = figure.subplots()
        low = min([0.1, *(point.intensity for point in self.points)]) / 1.5
        high = max([100.0, *(point.intensity for point in self.points)]) * 1.5
        ridge = self.gflops / self.gb_per_second
        axes.loglog([low, ridge, high], [self.bound(x) for x in (low, ridge, high)], color="#333333", linewidth=1.4)
        slowest = sorted(self.points, key=lambda point: point.seconds, reverse=True)
        longest = slowest[0].seconds if slowest else 1.0
        names = list(dict.fromkeys(point.name for point in slowest))
        for point in slowest:
            axes.scatter(
                point.intensity,
                point.gflops,
                s=18 + 130 * point.seconds / longest,
                marker=_MARKS[point.direction],
                color=_COLORS[names.index(point.name) % len(_COLORS)],
                alpha=0.75,
                linewidths=0,
            )
        lines = ["● forward  ■ backward", ""]
        for number, point in enumerate(slowest[:_NUMBERED], 1):
            place = (point.intensity, point.gflops)
            axes.annotate(str(number), place, (5, -8), textcoords="offset points", fontsize=6, color="#333333")
            lines.append(f"{number:2} {_MARKED[point.direction]} {point.seconds * 1e3:6.2f} ms  {point.label}")
        axes.text(1.02, 1.0, "\n".join(lines), transform=axes.transAxes, fontsize=6, va="top", family="monospace")
        for number, name in enumerate(names[: len(_COLORS)]):
            axes.scatter([], [], color=_COLORS[number], label=name)
        if names:
            axes.legend(frameon=False, fontsize=7, loc="lower right")
        axes.set(xlabel="floating-point operations per byte", ylabel="GFLOP/s", xlim=(low, high))
        axes.set_title(f"{self.gflops:.0f} GFLOP/s, {self.gb_per_second:.0f} GB/s", fontsize=9)
        axes.grid(True, which="major", linewidth=0.4, alpha=0.5)
