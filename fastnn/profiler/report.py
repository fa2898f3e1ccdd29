"""What `profile` found: entries of operations, as a table, JSON and a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..bench.machine import Peaks, peaks
from ..bench.table import Column, Table, milliseconds, share
from ..report import Report

if TYPE_CHECKING:
    from .roofline import Roofline

__all__ = ["OperationProfile", "PassProfile", "Profile"]

_BARS = 16
_LEAST_SHARE = 0.005
"""Part of the time below which a table sums operations up."""


@dataclass
class PassProfile:
    """One pass, forward or backward, of an operation.

    Attributes:
        calls: how often it ran.
        seconds: how long that took together.
        least: how long the quickest call took; 0 without calls.
        flops: floating-point operations of all calls; see `fastnn.profiler.work.flops`.
        bytes: bytes of the arrays that it read and wrote, each counted once a call.
    """

    calls: int = 0
    seconds: float = 0.0
    least: float = 0.0
    flops: float = 0.0
    bytes: int = 0

    def count(self, seconds: float, flops: float, moved: int) -> None:
        """Add a call."""
        self.add(PassProfile(1, seconds, seconds, flops, moved))

    def add(self, other: PassProfile) -> None:
        """Add the calls of another entry."""
        if other.calls:
            self.least = min(self.least, other.least) if self.calls else other.least
        self.calls += other.calls
        self.seconds += other.seconds
        self.flops += other.flops
        self.bytes += other.bytes

    def bound(self, machine: Peaks) -> float:
        """The seconds below which the roofline does not let the calls come: `max(flops / peak, bytes / bandwidth)`."""
        return max(self.flops / (machine.gflops * 1e9), self.bytes / (machine.copy_gb_per_second * 1e9))


@dataclass
class OperationProfile:
    """An operation, or a stretch of a program that has a name.

    Attributes:
        name: the operation's.
        shapes: shapes of its arguments and of its output; empty if calls of all shapes are counted together.
        forward: its forward pass.
        backward: its backward pass.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...] = ()
    forward: PassProfile = field(default_factory=PassProfile)
    backward: PassProfile = field(default_factory=PassProfile)

    @property
    def calls(self) -> int:
        """Calls of the forward pass."""
        return self.forward.calls

    @property
    def seconds(self) -> float:
        """Time of both passes."""
        return self.forward.seconds + self.backward.seconds

    @property
    def label(self) -> str:
        """Name and shapes, vectors left out, such as "linear 32x64 10x64 -> 32x10"."""
        if not self.shapes:
            return self.name
        *given, made = ("x".join(map(str, shape)) for shape in self.shapes)
        matrices = [text for text, shape in zip(given, self.shapes) if len(shape) > 1]
        return " ".join([self.name, *(matrices or given), "->", made or "()"])

    def add(self, other: OperationProfile) -> None:
        """Add the calls of another entry."""
        self.forward.add(other.forward)
        self.backward.add(other.backward)

    def roofline_share(self, machine: Peaks) -> float | None:
        """The roofline's bound over the time taken; None for what counts no work.

        Winograd's convolutions need fewer operations than are counted, and arrays that stay in a cache no memory:
        both can lift it above 1.
        """
        bound = self.forward.bound(machine) + self.backward.bound(machine)
        return bound / self.seconds if bound and self.seconds else None


@dataclass(frozen=True)
class Profile(Report):
    """The measurements of a `profile`.

    Attributes:
        elapsed: seconds spent inside it.
        operations: those that ran, the slowest first.
    """

    size: ClassVar[tuple[float, float]] = (8.0, 4.8)

    elapsed: float
    operations: list[OperationProfile]

    @property
    def elsewhere(self) -> float:
        """Seconds that belong to no operation: Python, sums of gradients, whatever else the program does.

        Less than 0 where operations ran in several threads at once.
        """
        return self.elapsed - sum(each.seconds for each in self.operations)

    def table(self, machine: Peaks | None = None, rows: int | None = None) -> str:
        """The operations as text, those together that take less than half a percent of the time.

        Args:
            machine: the peaks that shares refer to; by default this machine's are measured, which takes about two
                seconds the first time.
            rows: at most so many operations.
        """
        machine = machine or peaks()
        shown = [each for each in self.operations if each.seconds >= _LEAST_SHARE * self.elapsed][:rows]
        rest = OperationProfile(f"{len(self.operations) - len(shown)} others")
        for each in self.operations[len(shown) :]:
            rest.add(each)
        width = max([len(each.label) for each in shown] + [14])
        heads = ("calls", "forward", "backward", "total ms", "of time", "GFLOP/s", "GB/s", "of roof")
        table = Table([Column("operation", width, text=True), *(Column(head, max(7, len(head))) for head in heads)])
        lines = [table.head(), table.rule()]
        lines += [table.line(self._cells(each, machine)) for each in [*shown, *([rest] if rest.seconds else [])]]
        blank = [""] * 3
        for name, seconds in (("elsewhere", self.elsewhere), ("together", self.elapsed)):
            cells = [name, *blank, milliseconds(seconds), share(seconds / self.elapsed if self.elapsed else None)]
            lines.append(table.line([*cells, *blank]))
        lines.append(f"roof: {machine.gflops:.0f} GFLOP/s, {machine.copy_gb_per_second:.1f} GB/s")
        return "\n".join(lines)

    def _cells(self, each: OperationProfile, machine: Peaks) -> list[str]:
        def rate(amount: float) -> str:
            return f"{amount / each.seconds / 1e9:,.1f}" if amount and each.seconds else "-"

        return [
            each.label,
            str(each.calls or "-"),
            milliseconds(each.forward.seconds if each.forward.calls else None),
            milliseconds(each.backward.seconds if each.backward.calls else None),
            milliseconds(each.seconds),
            share(each.seconds / self.elapsed),
            rate(each.forward.flops + each.backward.flops),
            rate(each.forward.bytes + each.backward.bytes),
            share(each.roofline_share(machine)),
        ]

    def roofline(self, machine: Peaks | None = None) -> Roofline:
        """Each pass of each operation as a point under the machine's roofline, by its quickest call.

        Args:
            machine: the peaks; by default this machine's are measured.
        """
        from .roofline import Roofline

        return Roofline.of(self, machine or peaks())

    def draw(self, figure: Any) -> None:
        """A bar for each of the slowest operations, forward and backward."""
        axes = figure.subplots()
        shown = self.operations[:_BARS][::-1]
        names = [each.label for each in shown]
        forward = [each.forward.seconds * 1e3 for each in shown]
        axes.barh(names, forward, color="#3b6ea5", label="forward")
        backward = [each.backward.seconds * 1e3 for each in shown]
        axes.barh(names, backward, left=forward, color="#e08a3c", label="backward")
        axes.set(title=f"{self.elapsed * 1e3:.1f} ms, {self.elsewhere * 1e3:.1f} ms elsewhere", xlabel="ms")
        axes.tick_params(axis="y", labelsize=7)
        axes.legend(frameon=False, loc="lower right")
