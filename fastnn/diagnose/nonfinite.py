"""NaN and infinities, traced to the operation and the layer that made the first of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..autograd import Deferred, observe
from ..nn.module import Module
from ..report import Report

__all__ = ["NonFiniteError", "NonFiniteReport", "NonFiniteTrace", "OperationRange", "trace_nonfinite"]

Array: TypeAlias = npt.NDArray[Any]
Pass: TypeAlias = Literal["forward", "backward"]
_KEPT = 40


@dataclass(frozen=True)
class OperationRange:
    """One operation, in one direction.

    Attributes:
        direction: "forward" or "backward".
        operation: its name, as in `fastnn.autograd.OPS`.
        layer: the dotted name of the innermost layer that called it, "" outside of all layers.
        shape: the shape of its first result with a NaN or an infinity, else of its first result.
        largest_input: the largest magnitude among the finite values that came in.
        largest: the same of what came out; 0 if there were none.
        nan, inf: how many of either came out.
        finite_input: whether all that came in was finite, so that this operation made what was not.
    """

    direction: Pass
    operation: str
    layer: str
    shape: tuple[int, ...]
    largest_input: float
    largest: float
    nan: int
    inf: int
    finite_input: bool

    def __str__(self) -> str:
        kinds = " and ".join(f"{count} {kind}" for count, kind in ((self.nan, "NaN"), (self.inf, "inf")) if count)
        where = f"layer '{self.layer}'" if self.layer else "no layer"
        cause = (
            f"from finite inputs of up to {self.largest_input:.3g}"
            if self.finite_input
            else "from inputs that were not finite before any operation"
        )
        return f"{self.operation} ({self.direction} pass, {where}): {kinds or 'all finite'} in {self.shape}, {cause}"


@dataclass(frozen=True)
class NonFiniteReport(Report):
    """What `trace_nonfinite` found.

    Attributes:
        origin: the first operation that gave something not finite, or None.
        recent: that operation and the last ones before it, or the last ones at all; oldest first.
        operations: the number of operations looked at, forward and backward.
    """

    size: ClassVar[tuple[float, float]] = (9.0, 4.6)

    origin: OperationRange | None
    recent: tuple[OperationRange, ...]
    operations: int

    def draw(self, figure: Any) -> None:
        """The largest magnitude after each of the recent operations; the origin in red."""
        axes = figure.subplots()
        places = np.arange(len(self.recent))
        finite = [max(each.largest, 1e-45) for each in self.recent]
        axes.semilogy(places, finite, ".-")
        for place, each in zip(places, self.recent, strict=True):
            if each is self.origin:
                axes.axvline(place, color="C3", linewidth=1.5)
        axes.set_xticks(places, [f"{each.operation} {each.layer}" for each in self.recent], rotation=90, fontsize=6)
        title = "everything finite" if self.origin is None else str(self.origin)
        axes.set_title(title, fontsize=8)
        axes.set(ylabel="largest finite magnitude")


class NonFiniteError(FloatingPointError):
    """An operation gave NaN or infinity.

    Attributes:
        report: where it came from.
    """

    def __init__(self, report: NonFiniteReport) -> None:
        super().__init__(str(report.origin))
        self.report = report


class NonFiniteTrace:
    """A trace that runs: what `trace_nonfinite` gives.

    Its other methods are what the hooks and the observer of the operations call.
    """

    def __init__(self, allow_inf: bool, raise_exception: bool) -> None:
        self.allow_inf, self.raise_exception = allow_inf, raise_exception
        self.thread = threading.get_ident()
        self.layers: list[str] = []
        self.origin: OperationRange | None = None
        self.recent: deque[OperationRange] = deque(maxlen=_KEPT)
        self.operations = 0

    def report(self) -> NonFiniteReport:
        """What was found so far."""
        return NonFiniteReport(self.origin, tuple(self.recent), self.operations)

    def entered(self, name: str) -> Callable[..., None]:
        """A forward pre-hook that notes that a layer begins."""
        return lambda *_: self.layers.append(name)

    def left(self, *_: Any) -> None:
        """A forward hook: the innermost layer is done."""
        self.layers.pop()

    def observer(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, with a look at what goes in and comes out, forward and backward."""

        def traced(*args: Any, **options: Any) -> Any:
            with np.errstate(all="ignore"):  # what NumPy would warn of is what the trace reports
                y, backward = function(*args, **options)
            if threading.get_ident() != self.thread or self.origin is not None:
                return y, backward
            layer = self.layers[-1] if self.layers else ""
            self.look("forward", name, layer, args, y if isinstance(y, tuple) else (y,))
            if backward is None:
                return y, None

            def watched(dy: Any, needs: tuple[bool, ...]) -> Any:
                grads = backward(dy, needs)
                if self.origin is None:
                    self.look("backward", name, layer, dy if isinstance(dy, tuple) else (dy,), grads)
                return grads

            return y, watched

        return traced

    def look(self, direction: Pass, name: str, layer: str, given: Sequence[Any], results: Sequence[Any]) -> None:
        """Note an operation, and whether it is the one that is sought."""
        self.operations += 1
        inputs, outputs = _floating(given), _floating(results)
        nan = [int(np.count_nonzero(np.isnan(each))) for each in outputs]
        inf = [int(np.count_nonzero(np.isinf(each))) for each in outputs]
        bad = [bool(a or (b and not self.allow_inf)) for a, b in zip(nan, inf, strict=True)]
        shown = outputs[bad.index(True) if any(bad) else 0] if outputs else np.zeros(0)
        entry = OperationRange(
            direction=direction,
            operation=name,
            layer=layer,
            shape=shown.shape,
            largest_input=_largest(inputs),
            largest=_largest(outputs),
            nan=sum(nan),
            inf=sum(inf),
            finite_input=not any(self.wrong(each) for each in inputs),
        )
        self.recent.append(entry)
        if any(bad):
            self.origin = entry
            if self.raise_exception:
                raise NonFiniteError(self.report())

    def wrong(self, values: Array) -> bool:
        """Whether an array holds what is sought."""
        return bool(np.isnan(values).any() if self.allow_inf else not np.isfinite(values).all())


def _floating(values: Sequence[Any]) -> list[Array]:
    """The floating arrays and numbers among values, those in lists and tuples included."""
    found: list[Array] = []
    for each in values:
        if isinstance(each, float) or (isinstance(each, np.ndarray) and each.dtype.kind == "f"):
            found.append(np.asarray(each))
        elif isinstance(each, Deferred):
            found.extend(_floating((each.dense(),)))
        elif isinstance(each, list | tuple):
            found.extend(_floating(each))
    return found


def _largest(arrays: Sequence[Array]) -> float:
    """The largest magnitude among the finite values; 0 if there are none."""
    return max((float(np.abs(each).max(initial=0.0, where=np.isfinite(each))) for each in arrays), default=0.0)


@contextmanager
def trace_nonfinite(
    model: Module | None = None, *, allow_inf: bool = False, raise_exception: bool = True
) -> Iterator[NonFiniteTrace]:
    """Look at every operation, forward and backward, for the first that gives NaN or infinity.

    The backward pass is watched for operations that ran forward inside the `with`; it may come after it. All
    values are read once more, which makes training several times slower: a tool for looking, not for every day.
    Operations of other threads are left out.

    Args:
        model: gives layers their names; None traces operations alone.
        allow_inf: look for NaN only, for models that use infinities on purpose, such as masks.
        raise_exception: raise `NonFiniteError` at once, instead of going on and telling in the report.

    Returns:
        A context that gives the `NonFiniteTrace`, whose `report()` says what was found.

    Raises:
        NonFiniteError: if an operation gave NaN or infinity and `raise_exception` is set.

    Example:
        >>> x = fastnn.tensor([0.0, 1.0], requires_grad=True)
        >>> with trace_nonfinite(raise_exception=False) as trace:
        ...     (x * x).sqrt().sum().backward()
        >>> print(trace.report().origin)
        sqrt (backward pass, no layer): 1 inf in (2,), from finite inputs of up to 1
    """
    trace = NonFiniteTrace(allow_inf, raise_exception)
    with ExitStack() as stack:
        for name, module in model.named_modules() if model is not None else ():
            stack.enter_context(module.register_forward_pre_hook(trace.entered(name), prepend=True))
            stack.enter_context(module.register_forward_hook(trace.left))
        stack.enter_context(observe(trace.observer))
        yield trace
