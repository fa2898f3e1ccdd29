"""Activations and gradients layer by layer: their distribution, and how much of a layer is saturated or dead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .. import nn
from ..autograd import Tensor, enable_grad, grad
from ..nn.mode import evaluation_mode
from ..nn.module import Module
from ..report import Report
from .histogram import RunningHistogram

__all__ = ["LayerMonitor", "LayerReport", "LayerStatistics", "layer_statistics"]

_STEEPEST: dict[type[Module], float] = {
    nn.ReLU: 1.0, nn.ReLU6: 1.0, nn.LeakyReLU: 1.0, nn.PReLU: 1.0, nn.ELU: 1.0, nn.CELU: 1.0, nn.SELU: 1.0507,
    nn.GELU: 1.129, nn.SiLU: 1.0998, nn.Mish: 1.0885, nn.Softplus: 1.0, nn.Sigmoid: 0.25, nn.LogSigmoid: 1.0,
    nn.Hardsigmoid: 1 / 6, nn.Hardswish: 1.5, nn.Tanh: 1.0, nn.Hardtanh: 1.0, nn.Softsign: 1.0,
}  # fmt: skip
"""The elementwise activations and the largest slope each has."""
_NAMES = 48


@dataclass(frozen=True)
class LayerStatistics:
    """The values, or the gradients, at the output of one layer.

    Attributes:
        name: the layer's dotted name, "" for the model itself.
        kind: its class.
        count: how many values were finite, over all batches.
        nonfinite: how many were NaN or infinite; the rest of the fields leaves them out.
        mean, std, minimum, maximum: of the values; NaN if there were none.
        zeros: the share of values that are exactly 0.
        saturated: for an elementwise activation, the share of values at which its slope is below `tolerance` of its
            steepest; for a ReLU that is where it is 0. None for other layers, and for gradients.
        dead: the share of units (channels, features) that are saturated for every sample at every position: no
            gradient passes through them. None likewise.
        units: the number of units: the length of dimension 1, or 1.
        edges, counts: a histogram, n + 1 edges and n counts.
    """

    name: str
    kind: str
    count: int
    nonfinite: int
    mean: float
    std: float
    minimum: float
    maximum: float
    zeros: float
    saturated: float | None
    dead: float | None
    units: int
    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class LayerReport(Report):
    """What `layer_statistics` found; layers in the order in which they first ran.

    Attributes:
        activations: the outputs.
        gradients: the gradients of the loss with respect to the outputs; empty if there was no backward pass.
    """

    size: ClassVar[tuple[float, float]] = (12.0, 7.0)

    activations: tuple[LayerStatistics, ...]
    gradients: tuple[LayerStatistics, ...]

    def __str__(self) -> str:
        lines = [f"{'layer':24} {'kind':16} {'mean':>11} {'std':>11} {'saturated':>9} {'dead':>6} {'grad std':>11}"]
        spread = {each.name: each.std for each in self.gradients}
        for each in self.activations:
            shares = [f"{share:.1%}" if share is not None else "" for share in (each.saturated, each.dead)]
            gradient = f"{spread[each.name]:11.3g}" if each.name in spread else ""
            lines.append(
                f"{each.name or '(itself)':24} {each.kind:16} {each.mean:11.3g} {each.std:11.3g} "
                f"{shares[0]:>9} {shares[1]:>6} {gradient}".rstrip()
            )
        return "\n".join(lines)

    def draw(self, figure: Any) -> None:
        """Distributions above, spread by depth and the saturated and dead shares below."""
        above, below = figure.subplots(2, 2)
        self.draw_distributions(above[0])
        self.draw_distributions(above[1], gradients=True)
        self.draw_spread(below[0])
        self.draw_flat(below[1])

    def draw_distributions(self, axes: Any, gradients: bool = False) -> None:
        """A histogram on its side for each layer, all of one width, scaled by the layer's largest magnitude."""
        rows = self.gradients if gradients else self.activations
        for place, each in enumerate(rows):
            if each.counts:
                scale = max(abs(each.minimum), abs(each.maximum)) or 1.0
                edges, counts = np.array(each.edges) / scale, np.sqrt(np.array(each.counts))
                heights = place + 0.8 * counts / counts.max()
                colour = "C1" if gradients else "C0"
                axes.stairs(heights, edges, baseline=place, orientation="horizontal", fill=True, color=colour)
        name_layers(axes, [each.name for each in rows])
        axes.set(title="Gradients" if gradients else "Activations", ylabel="value / largest magnitude")

    def draw_spread(self, axes: Any) -> None:
        """The standard deviation of activations and gradients by depth."""
        depth = {each.name: place for place, each in enumerate(self.activations)}
        for rows, label, colour in ((self.activations, "activations", "C0"), (self.gradients, "gradients", "C1")):
            if rows:
                layers = [depth[each.name] for each in rows]
                axes.semilogy(layers, [each.std or np.nan for each in rows], ".-", label=label, color=colour)
        axes.set(title="Standard deviation by depth", xlabel="layer", ylabel="standard deviation")
        axes.legend(frameon=False)

    def draw_flat(self, axes: Any) -> None:
        """The share of saturated values, and of dead units, of each elementwise activation."""
        flat = [each for each in self.activations if each.saturated is not None]
        places = np.arange(len(flat))
        axes.bar(places - 0.2, [100 * (each.saturated or 0) for each in flat], 0.4, label="saturated")
        axes.bar(places + 0.2, [100 * (each.dead or 0) for each in flat], 0.4, label="dead units")
        name_layers(axes, [each.name for each in flat])
        axes.set(title="Saturated values and dead units, per cent", ylabel="%", ylim=(0, 100))
        axes.legend(frameon=False)


def name_layers(axes: Any, names: Sequence[str]) -> None:
    """The names of layers, or parameters, along the axis; of very many only every second, third and so on."""
    every = -(-len(names) // _NAMES) or 1
    shown = list(names[::every])
    turned: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(
        range(0, len(names), every), shown, fontsize=7, **(turned if max(map(len, shown), default=0) > 3 else {})
    )


class _Sums:
    """What is gathered of one layer."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.values = RunningHistogram()
        self.flat: int | None = None
        self.seen = 0
        self.alive: npt.NDArray[np.bool_] | None = None
        self.units = 0

    def add(self, values: npt.NDArray[Any], flat: npt.NDArray[np.bool_] | None = None) -> None:
        """Add the outputs of one call, and where they are saturated."""
        self.values.add(values)
        self.units = values.shape[1] if values.ndim > 1 else 1
        if flat is None:
            return
        self.flat = (self.flat or 0) + int(np.count_nonzero(flat))
        self.seen += flat.size
        other = tuple(axis for axis in range(flat.ndim) if axis != 1)
        alive = np.atleast_1d((~flat).any(axis=other) if flat.ndim > 1 else (~flat).any())
        self.alive = alive if self.alive is None or self.alive.shape != alive.shape else self.alive | alive

    def result(self, name: str) -> LayerStatistics:
        values = self.values
        some = values.count > 0
        edges, counts = values.bins()
        return LayerStatistics(
            name=name,
            kind=self.kind,
            count=values.count,
            nonfinite=values.nonfinite,
            mean=values.mean if some else np.nan,
            std=values.std,
            minimum=values.minimum if some else np.nan,
            maximum=values.maximum if some else np.nan,
            zeros=values.zeros / values.count if some else np.nan,
            saturated=None if self.flat is None or not self.seen else self.flat / self.seen,
            dead=None if self.alive is None else float(np.mean(~self.alive)),
            units=self.units,
            edges=edges,
            counts=counts,
        )


class LayerMonitor:
    """Gathers activations and gradients of a model while it is used, for the time of a `with`.

    Layers are those without layers below them, or with parameters of their own. What functions such as `F.relu` do
    between layers has no name and is not seen; a batch norm and the ReLU after it run one after the other
    instead of fused. Nothing of the model is changed.

    Args:
        model: the model.
        tolerance: an activation is saturated where its slope is below this share of its steepest.

    Raises:
        ValueError: if `tolerance` is not between 0 and 1.

    Source:
        Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010;
        CS231n, lecture 6.

    Example:
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> with LayerMonitor(model) as monitor:
        ...     model(fastnn.randn(16, 4)).sum().backward()
        >>> [each.kind for each in monitor.report().gradients]
        ['Linear', 'ReLU', 'Linear']
    """

    def __init__(self, model: Module, tolerance: float = 0.05) -> None:
        if not 0 <= tolerance < 1:
            raise ValueError(f"LayerMonitor: expected tolerance from 0 to 1, got {tolerance!r}")
        self.model, self.tolerance = model, tolerance
        self._activations: dict[str, _Sums] = {}
        self._gradients: dict[str, _Sums] = {}
        self._stack = ExitStack()

    def __enter__(self) -> LayerMonitor:
        for name, module in self.model.named_modules():
            if not list(module.children()) or any(True for _ in module.parameters(recurse=False)):
                enter = self._stack.enter_context
                enter(module.register_forward_hook(self._forward_hook(name)))
                enter(module.register_full_backward_pre_hook(self._backward_hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def report(self) -> LayerReport:
        """What was gathered so far."""
        order = list(self._activations)
        return LayerReport(
            tuple(sums.result(name) for name, sums in self._activations.items()),
            tuple(self._gradients[name].result(name) for name in order if name in self._gradients),
        )

    def _forward_hook(self, name: str) -> Callable[[Module, tuple[Any, ...], Any], None]:
        def note(module: Module, args: tuple[Any, ...], output: Any) -> None:
            sums = self._activations.setdefault(name, _Sums(type(module).__name__))
            for each in output if isinstance(output, tuple) else (output,):
                if isinstance(each, Tensor) and each.dtype.kind == "f":
                    sums.add(each.data, self._flat(module, args))

        return note

    def _backward_hook(self, name: str) -> Callable[[Module, tuple[Tensor | None, ...]], None]:
        def note(module: Module, gradients: tuple[Tensor | None, ...]) -> None:
            for each in gradients:
                if each is not None:
                    self._gradients.setdefault(name, _Sums(type(module).__name__)).add(each.data)

        return note

    def _flat(self, module: Module, args: tuple[Any, ...]) -> npt.NDArray[np.bool_] | None:
        """Where an elementwise activation is saturated: its slope, as its own backward pass gives it, is small."""
        steepest = _STEEPEST.get(type(module))
        if steepest is None or not args or not isinstance(args[0], Tensor):
            return None
        leaf = Tensor(args[0].data, requires_grad=True)
        with enable_grad():
            output = module.forward(leaf)
        (slope,) = grad(output, leaf, np.ones(output.shape, output.dtype))
        assert slope is not None
        found: npt.NDArray[np.bool_] = ~(np.abs(slope.data) > self.tolerance * steepest)
        return found


def layer_statistics(
    model: Module,
    batches: Iterable[tuple[Tensor, ...]],
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    *,
    training: bool | None = None,
    tolerance: float = 0.05,
) -> LayerReport:
    """Run a model on batches and describe the outputs of every layer and, given a loss, their gradients.

    Parameters, their gradients, buffers and modes are afterwards as before.

    Args:
        model: the model.
        batches: yields (x, y) or (x, ...), such as a loader, or a list with one batch.
        loss: maps (output, y) to a scalar; None runs forward only.
        training: run in training mode (True), evaluation mode (False) or in the modes the layers are in (None).
        tolerance: see `LayerMonitor`.

    Raises:
        ValueError: if there are no batches.

    Example:
        >>> from fastnn import nn
        >>> x = fastnn.randn(64, 8)
        >>> report = layer_statistics(nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()), [(100 * x,)])
        >>> report.activations[1].saturated > 0.8
        True
    """
    count = 0
    with _as_it_was(model), ExitStack() as stack:
        if training is not None:
            stack.enter_context(evaluation_mode(model, gradients=True))
            model.train(training)
        monitor = stack.enter_context(LayerMonitor(model, tolerance))
        for batch in batches:
            count += 1
            if loss is None:
                model(batch[0])
            else:
                loss(model(batch[0]), batch[1]).backward()
    if not count:
        raise ValueError("layer_statistics: expected at least one batch, got none")
    return monitor.report()


@contextmanager
def _as_it_was(model: Module) -> Iterator[None]:
    """Give buffers their values and parameters their gradients back at the end of a `with`."""
    buffers = [(buffer, buffer.data.copy()) for buffer in model.buffers()]
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        yield
    finally:
        for buffer, values in buffers:
            buffer.data[...] = values
            buffer.bump()
        for parameter, gradient in gradients:
            parameter.grad = gradient
