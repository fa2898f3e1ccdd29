"""The loss around a point in weight space: along random directions, and on the way between two models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn.module import Module
from ..report import Report
from ..train.evaluation import evaluate

__all__ = ["LossLandscape", "LossPath", "interpolate_loss", "loss_landscape"]

Array: TypeAlias = npt.NDArray[Any]
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Normalise: TypeAlias = Literal["filter", "layer", "none"]


@dataclass(frozen=True)
class LossLandscape(Report):
    """The loss at `w + a d₁` or `w + a d₁ + b d₂`.

    Attributes:
        a: steps along the first direction.
        b: steps along the second, or None.
        loss: the loss at each; (A,) or (A, B).
        centre: the loss at w.
        normalise: how the directions were scaled.
    """

    size: ClassVar[tuple[float, float]] = (6.4, 5.0)

    a: list[float]
    b: list[float] | None
    loss: npt.NDArray[np.float64]
    centre: float
    normalise: Normalise

    def draw(self, figure: Any) -> None:
        """A curve, or contour lines; logarithmic where the loss spans more than two powers of ten."""
        axes = figure.subplots()
        known = np.isfinite(self.loss)
        finite = np.where(known, self.loss, np.nan)
        lowest = self.loss.min(initial=np.inf, where=known)
        wide = bool(0 < 100 * lowest < self.loss.max(initial=-np.inf, where=known))
        if self.b is None:
            (axes.semilogy if wide else axes.plot)(self.a, finite)
            axes.set(xlabel="step along the direction", ylabel="loss")
        else:
            shown = np.log10(finite) if wide else finite
            lines = axes.contour(self.a, self.b, shown.T, levels=20)
            figure.colorbar(lines, label="log₁₀ loss" if wide else "loss")
            axes.plot(0, 0, "k+")
            axes.set(xlabel="first direction", ylabel="second direction")


@dataclass(frozen=True)
class LossPath(Report):
    """The loss at `(1 - t) w₀ + t w₁`.

    Attributes:
        t: the places.
        loss: the loss at each.
        barrier: the largest excess over the straight line between the losses at 0 and 1, or 0.
    """

    t: list[float]
    loss: list[float]
    barrier: float

    def draw(self, figure: Any) -> None:
        """The loss on the way."""
        axes = figure.subplots()
        axes.plot(self.t, self.loss)
        axes.set(xlabel="share of the second model", ylabel="loss", title=f"barrier {self.barrier:.3g}")


def loss_landscape(
    model: Module,
    batches: Iterable[tuple[Tensor, ...]],
    loss: Loss,
    *,
    dimensions: Literal[1, 2] = 1,
    span: float = 1.0,
    points: int = 21,
    normalise: Normalise = "filter",
    seed: int = 0,
) -> LossLandscape:
    """The loss on a slice through weight space along one or two random directions, in evaluation mode.

    A direction d is Gaussian. Its scale would mean little, since a network with rectifiers and normalisation computes
    the same with other scales of its weights; hence each part of d is given the length of the same part of w:

        'filter'   dᵢ ← dᵢ ‖wᵢ‖ / ‖dᵢ‖ for each filter or neuron i, dimension 0 of a weight
        'layer'    the same for each weight as a whole
        'none'     d as it is drawn

    Biases and scales of norms (one-dimensional parameters) stay as they are in the first two. The second direction
    is not made orthogonal to the first; in so many dimensions it nearly is.

    Args:
        model: the model; its parameters are afterwards as before, bit by bit.
        batches: yields (x, y); gone through once and kept.
        loss: maps (output, y) to a mean over the batch.
        dimensions: 1 or 2.
        span: steps go from -span to span.
        points: how many, an odd number includes w itself.
        normalise: see above.
        seed: of the directions.

    Raises:
        ValueError: if an argument is impossible or there are no batches.

    Source: Li, Xu, Taylor, Studer, Goldstein, "Visualizing the loss landscape of neural nets", NeurIPS 2018.

    Example:
        >>> from fastnn import nn
        >>> batches = [(fastnn.randn(32, 4), fastnn.zeros(32, dtype=fastnn.int64))]
        >>> slice = loss_landscape(nn.Linear(4, 3), batches, nn.CrossEntropyLoss(), points=5)
        >>> len(slice.loss), bool(slice.loss[2] == slice.centre)
        (5, True)
    """
    if dimensions not in (1, 2) or points < 2 or not span > 0:
        raise ValueError(
            "loss_landscape: expected dimensions 1 or 2, points >= 2 and span > 0, "
            f"got {dimensions!r}, {points!r} and {span!r}"
        )
    if normalise not in get_args(Normalise):
        raise ValueError(f"loss_landscape: expected normalise to be one of {get_args(Normalise)}, got {normalise!r}")
    kept = list(batches)
    rng = np.random.default_rng(seed)
    directions = [_direction(model, normalise, rng) for _ in range(dimensions)]
    steps = np.linspace(-span, span, points)
    steps[points // 2] = 0.0 if points % 2 else steps[points // 2]
    with _movable(model) as move:
        centre = _loss(model, kept, loss)
        values = np.empty((points,) * dimensions)
        for place in np.ndindex(values.shape):
            move([(float(steps[i]), direction) for i, direction in zip(place, directions, strict=True)])
            values[place] = _loss(model, kept, loss)
    axis = steps.tolist()
    return LossLandscape(axis, axis if dimensions == 2 else None, values, centre, normalise)


def interpolate_loss(
    model: Module,
    start: Mapping[str, Any],
    end: Mapping[str, Any],
    batches: Iterable[tuple[Tensor, ...]],
    loss: Loss,
    *,
    points: int = 21,
) -> LossPath:
    """The loss on the straight line between two states of a model, from `start` to `end`, in evaluation mode.

    All floating values are interpolated, running statistics of batch norms included; others come from `end`.

    Args:
        model: gives the network; its state is afterwards as before.
        start, end: state dicts.
        batches, loss: as in `loss_landscape`.
        points: how many, at equal distances, both ends included.

    Raises:
        ValueError: if a state does not suit the model, `points` < 2 or there are no batches.

    Source: Goodfellow, Vinyals, Saxe, "Qualitatively characterizing neural network optimization problems", ICLR 2015.
    """
    if points < 2:
        raise ValueError(f"interpolate_loss: expected points >= 2, got {points!r}")
    kept = list(batches)
    ends = [{name: np.array(value) for name, value in state.items()} for state in (start, end)]
    before = {name: value.data.copy() for name, value in model.state_dict().items()}
    places = np.linspace(0, 1, points)
    try:
        for state in ends:
            model.load_state_dict(state)
        values = []
        for t in places:
            model.load_state_dict({name: _between(ends[0][name], last, float(t)) for name, last in ends[1].items()})
            values.append(_loss(model, kept, loss))
    finally:
        model.load_state_dict(before)
    line = (1 - places) * values[0] + places * values[-1]
    return LossPath(places.tolist(), values, float(np.max(np.array(values) - line, initial=0.0)))


def _between(first: Array, last: Array, t: float) -> Array:
    return ((1 - t) * first + t * last).astype(last.dtype) if last.dtype.kind == "f" else last


def _loss(model: Module, batches: Sequence[tuple[Tensor, ...]], loss: Loss) -> float:
    with np.errstate(all="ignore"):
        value = float(evaluate(model, batches, loss, {})["loss"])
    if math.isnan(value) and not batches:
        raise ValueError("loss_landscape: expected at least one batch, got none")
    return value


def _direction(model: Module, normalise: Normalise, rng: np.random.Generator) -> list[Array]:
    """A random direction, one array per parameter."""
    direction = []
    for parameter in model.parameters():
        w = parameter.data
        d = rng.standard_normal(w.shape)
        if normalise != "none" and w.ndim <= 1:
            d[...] = 0
        elif normalise != "none":
            axes = tuple(range(1, w.ndim)) if normalise == "filter" else None
            lengths = np.sqrt(np.square(d).sum(axis=axes, keepdims=True))
            wanted = np.sqrt(np.square(w.astype(np.float64)).sum(axis=axes, keepdims=True))
            d *= wanted / np.where(lengths, lengths, 1)
        direction.append(d)
    return direction


@contextmanager
def _movable(model: Module) -> Iterator[Callable[[Sequence[tuple[float, Sequence[Array]]]], None]]:
    """Gives `move(steps)`, which sets the parameters to w + Σ step · direction; at the end they are w again."""
    parameters = list(model.parameters())
    origin = [parameter.data.copy() for parameter in parameters]

    def move(steps: Sequence[tuple[float, Sequence[Array]]]) -> None:
        for i, parameter in enumerate(parameters):
            moved = origin[i].astype(np.float64)
            for step, direction in steps:
                moved += step * direction[i]
            parameter.data[...] = moved
            parameter.bump()

    try:
        yield move
    finally:
        move([])
