"""The weights of a network, parameter by parameter: their spread, their norms and those of their gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..nn.module import Module
from ..report import Report
from .histogram import RunningHistogram
from .layers import name_layers

__all__ = ["ParameterStatistics", "WeightReport", "weight_statistics"]


@dataclass(frozen=True)
class ParameterStatistics:
    """One parameter.

    Attributes:
        name: its dotted name.
        shape: its shape.
        nonfinite: how many of its values are NaN or infinite; the rest of the fields leaves them out.
        mean, std, minimum, maximum: of its values; NaN if there are none.
        norm: `‖w‖`, the root of the sum of squares.
        zeros: the share of values that are exactly 0.
        gradient_norm: `‖∂L/∂w‖` of the gradient that it has; None if it has none.
        edges, counts: a histogram, n + 1 edges and n counts.
    """

    name: str
    shape: tuple[int, ...]
    nonfinite: int
    mean: float
    std: float
    minimum: float
    maximum: float
    norm: float
    zeros: float
    gradient_norm: float | None
    edges: list[float]
    counts: list[int]


@dataclass(frozen=True)
class WeightReport(Report):
    """What `weight_statistics` found.

    Attributes:
        parameters: in the order of the model.
    """

    size: ClassVar[tuple[float, float]] = (8.0, 4.6)

    parameters: tuple[ParameterStatistics, ...]

    def draw(self, figure: Any) -> None:
        """Norms of weights and of gradients by parameter."""
        self.draw_norms(figure.subplots())

    def draw_norms(self, axes: Any) -> None:
        """The same on axes; biases and the like, which have one dimension, are left out."""
        shown = [each for each in self.parameters if len(each.shape) > 1]
        places = np.arange(len(shown))
        axes.semilogy(places, [each.norm or np.nan for each in shown], ".-", label="weight")
        if any(each.gradient_norm for each in shown):
            axes.semilogy(places, [each.gradient_norm or np.nan for each in shown], "s--", ms=3, label="gradient")
            axes.legend(frameon=False)
        name_layers(axes, [each.name.removesuffix(".weight") for each in shown])
        axes.set(title="Norms of weights and gradients", ylabel="norm")


def weight_statistics(model: Module) -> WeightReport:
    """Describe the values of every parameter of a model, and the gradients that they have.

    Args:
        model: the model; call `backward` before if gradients are wanted.

    Example:
        >>> from fastnn import nn
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> layer.weight.data[...] = [[3.0, 4.0]]
        >>> [(each.name, each.norm, each.gradient_norm) for each in weight_statistics(layer).parameters]
        [('weight', 5.0, None)]
    """
    found = []
    for name, parameter in model.named_parameters():
        values = RunningHistogram()
        values.add(parameter.data)
        edges, counts = values.bins()
        some = values.count > 0
        gradient = parameter.grad
        found.append(
            ParameterStatistics(
                name=name,
                shape=tuple(parameter.shape),
                nonfinite=values.nonfinite,
                mean=values.mean if some else np.nan,
                std=values.std,
                minimum=values.minimum if some else np.nan,
                maximum=values.maximum if some else np.nan,
                norm=float(np.sqrt(values.count * (values.std**2 + values.mean**2))) if some else np.nan,
                zeros=values.zeros / values.count if some else np.nan,
                gradient_norm=None if gradient is None else float(np.linalg.norm(gradient.data.astype(np.float64))),
                edges=edges,
                counts=counts,
            )
        )
    return WeightReport(tuple(found))
