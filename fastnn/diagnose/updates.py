"""How large an optimiser's updates are beside the weights they change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..nn.module import Module
from ..report import Report
from ..train.callbacks import Callback, StepResult
from .layers import name_layers

if TYPE_CHECKING:
    from ..train.trainer import Trainer

__all__ = ["UpdateRatios", "UpdateReport"]


@dataclass(frozen=True)
class UpdateReport(Report):
    """Ratios of updates to weights by step.

    Attributes:
        steps: numbers of the steps measured.
        ratios: for each parameter by name, `‖Δw‖ / ‖w‖` at each of the steps; NaN where w was 0.
    """

    size: ClassVar[tuple[float, float]] = (8.0, 4.6)

    steps: list[int]
    ratios: dict[str, list[float]]

    def draw(self, figure: Any) -> None:
        """A curve for each weight, about 10⁻³ marked."""
        axes = figure.subplots()
        for name, values in self.ratios.items():
            if np.isfinite(values).any() and np.nanmax(values) > 0:
                axes.semilogy(self.steps, values, linewidth=1.0, label=name)
        axes.axhline(1e-3, color="#555555", linestyle="--", linewidth=1.0)
        axes.set(title="Length of the update / length of the weight", xlabel="step")
        if axes.lines:
            axes.legend(frameon=False, fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5))

    def draw_last(self, axes: Any) -> None:
        """The ratio of each parameter at the last step, about 10⁻³ marked."""
        last = {name: values[-1] for name, values in self.ratios.items() if values}
        matrices = {name.removesuffix(".weight"): value for name, value in last.items() if name.endswith("weight")}
        shown = {name: value if value > 0 else np.nan for name, value in (matrices or last).items()}
        axes.semilogy(range(len(shown)), list(shown.values()), "o", markersize=4)
        axes.axhline(1e-3, color="#888888", linestyle="--", linewidth=1.0)
        name_layers(axes, list(shown))
        axes.set(title="Length of the update / length of the weight", ylabel="ratio")


class UpdateRatios(Callback):
    """Measures `‖Δw‖ / ‖w‖` of every parameter: about 10⁻³ is usual, much more or less hints at the learning rate.

    As a callback of a `Trainer` it measures every n-th step; elsewhere call `before(model)` and `after()` around
    `optimizer.step()`. A measurement holds a copy of all parameters for the time of one step.

    Args:
        every: n.

    Raises:
        ValueError: if n is less than 1.

    Source: CS231n, "Neural networks part 3: learning and evaluation".

    Example:
        >>> from fastnn import nn, optim
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> layer.weight.data[...] = [[3.0, 4.0]]
        >>> optimizer = optim.SGD(layer.parameters(), lr=0.1)
        >>> layer(fastnn.tensor([[0.0, 1.0]])).sum().backward()
        >>> ratios = UpdateRatios()
        >>> ratios.before(layer)
        >>> optimizer.step()
        >>> {name: round(value, 6) for name, value in ratios.after().items()}
        {'weight': 0.02}
    """

    def __init__(self, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"UpdateRatios: expected every >= 1, got {every}")
        self.every = every
        self.steps: list[int] = []
        self.ratios: dict[str, list[float]] = {}
        self._model: Module | None = None
        self._before: dict[str, npt.NDArray[Any]] = {}

    def before(self, model: Module) -> None:
        """Keep the weights as they are before a step."""
        self._model = model
        self._before = {name: parameter.data.copy() for name, parameter in model.named_parameters()}

    def after(self, step: int | None = None) -> dict[str, float]:
        """Compare with the weights after the step, and note the ratios.

        Args:
            step: the step's number; by default one more than the last.

        Returns:
            The ratio of each parameter.

        Raises:
            RuntimeError: if `before` was not called.
        """
        if self._model is None:
            raise RuntimeError("UpdateRatios.after: call before(model) first")
        found: dict[str, float] = {}
        for name, parameter in self._model.named_parameters():
            old = self._before[name].astype(np.float64)
            length = float(np.linalg.norm(old))
            change = float(np.linalg.norm(parameter.data - old))
            found[name] = change / length if length else float("nan")
        self._model, self._before = None, {}
        self.steps.append(step if step is not None else (self.steps[-1] if self.steps else 0) + 1)
        for name, value in found.items():
            self.ratios.setdefault(name, []).append(value)
        return found

    def report(self) -> UpdateReport:
        """What was measured so far."""
        return UpdateReport(list(self.steps), {name: list(values) for name, values in self.ratios.items()})

    def on_epoch_start(self, trainer: Trainer) -> None:
        if trainer.step % self.every == 0:
            self.before(trainer.model)

    def on_step_end(self, trainer: Trainer, result: StepResult) -> None:
        if self._model is not None:
            self.after(result.step)
        if result.step % self.every == 0:
            self.before(trainer.model)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": list(self.steps), "ratios": {name: list(values) for name, values in self.ratios.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = list(state["steps"])
        self.ratios = {name: list(values) for name, values in state["ratios"].items()}
