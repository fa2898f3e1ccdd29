"""Every optimiser on a badly conditioned bowl, and on the same bowl turned: which of them depend on the axes?

Lecture: CS231n, lecture 7, "Fancier optimization": AdaGrad, RMSProp and Adam divide each coordinate's step by the size
of its gradients, which evens out a bowl along the axes; where the lecture comes to Adam's limits, it asks what happens
when the ellipse is turned. A method that treats the plane as a whole then takes the turned path; one with a rate for
each coordinate cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREY, RED, Finding, main, progress

from fastnn import diagnose, optim

CONDITION, ANGLE = 20.0, math.pi / 6
START = np.array([-4.0, 1.0])
SHARE = 1e-3
"""A run is done where the loss is this share of what it was at the start."""

WHOLE: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.09),
    "momentum": lambda p: optim.SGD(p, lr=0.04, momentum=0.8),
    "Nesterov": lambda p: optim.Nesterov(p, lr=0.04, momentum=0.8),
    "Lookahead": lambda p: optim.Lookahead(optim.SGD(p, lr=0.09)),
    "LARS": lambda p: optim.LARS(p, lr=0.1, trust_coefficient=1.0, momentum=0.5),
    "Muon": lambda p: optim.Muon(p, lr=lambda t: 0.4 * 0.96**t, momentum=0.5, weight_decay=0.0),
    "Newton": lambda p: optim.Newton(p, max_iter=1),
    "Newton-CG": lambda p: optim.NewtonCG(p, max_iter=1),
    "BFGS": lambda p: optim.BFGS(p, max_iter=1),
    "L-BFGS": lambda p: optim.LBFGS(p, max_iter=1, line_search_fn="strong_wolfe"),
}
"""Methods that treat the parameters as one vector, each with a rate that suits the bowl."""

QUASI_NEWTON = ("BFGS", "L-BFGS")
"""Their first trial step is 1 / ‖g‖₁ long, the one thing in them that knows of axes."""

BY_COORDINATE: dict[str, Callable[[Any], optim.Optimizer]] = {
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.8),
    "Adadelta": lambda p: optim.Adadelta(p, lr=lambda t: 0.97**t, eps=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1),
    "Adam": lambda p: optim.Adam(p, lr=0.3),
    "AdamW": lambda p: optim.AdamW(p, lr=0.3, weight_decay=0.1),
    "NAdam": lambda p: optim.NAdam(p, lr=0.2),
    "RAdam": lambda p: optim.RAdam(p, lr=0.1, betas=(0.8, 0.9)),
    "Adamax": lambda p: optim.Adamax(p, lr=0.4),
    "Lion": lambda p: optim.Lion(p, lr=lambda t: 0.2 * 0.96**t, betas=(0.5, 0.8)),
    "LAMB": lambda p: optim.LAMB(p, lr=0.1, weight_decay=0.0),
}
"""Methods with a step for each coordinate. Of themselves Adadelta's and Lion's steps do not shrink near a minimum."""

METHODS = WHOLE | BY_COORDINATE


def walk(name: str, function: diagnose.TestFunction, start: np.ndarray, steps: int) -> diagnose.OptimizerPath:
    """One method's path. Muon is for matrices alone."""
    makers = {name: METHODS[name]}
    found = diagnose.optimizer_paths(function, makers, start=tuple(start), steps=steps, matrix=name == "Muon")
    return found.paths[0]


@dataclass(frozen=True)
class RotatedBowl(Finding):
    """Paths on both bowls, those on the turned bowl turned back.

    Attributes:
        straight, turned: (steps + 1, 2), by method.
        steps: steps until the loss is a thousandth of the first on either bowl; -1 for never.
    """

    size = (13.0, 9.0)

    straight: dict[str, np.ndarray]
    turned: dict[str, np.ndarray]
    steps: dict[str, tuple[int, int]]

    def gap(self, name: str) -> float:
        """How far the two paths part."""
        return float(np.abs(self.straight[name] - self.turned[name]).max())

    def claims(self) -> dict[str, bool]:
        exact = max(self.gap(name) for name in WHOLE if name not in QUASI_NEWTON)
        quasi = [self.steps[name] for name in QUASI_NEWTON]
        least = min(BY_COORDINATE, key=self.gap)
        slower = [name for name in BY_COORDINATE if self.steps[name][1] > self.steps[name][0]]
        return {
            f"methods that treat the plane as a whole take the same path, within {exact:.0e}": exact < 1e-8,
            f"BFGS and L-BFGS need {quasi[0]} and {quasi[1]} steps on the two bowls": (
                all(abs(straight - turned) <= 2 for straight, turned in quasi)
            ),
            f"every method with a step per coordinate takes another path, by {self.gap(least):.2f} ({least}) or more": (
                self.gap(least) > 0.1
            ),
            f"{len(slower)} of these {len(BY_COORDINATE)} need more steps on the turned bowl": len(slower) >= 7,
            "all of them arrive on both bowls": min(min(pair) for pair in self.steps.values()) > 0,
        }

    def draw(self, figure: Any) -> None:
        x, y = np.meshgrid(np.linspace(-4.5, 1.5, 121), np.linspace(-1.7, 1.7, 101))
        bowl = 0.5 * (x * x + CONDITION * y * y)
        panels = figure.subplots(4, 5, sharex=True, sharey=True)
        for axes, name in zip(panels.flat, METHODS):
            axes.contour(x, y, bowl, levels=[0.3, 2, 5, 10, 17, 26], colors=GREY, linewidths=0.4)
            axes.plot(*self.straight[name].T, ".-", color=BLUE, markersize=4, linewidth=1.2)
            axes.plot(*self.turned[name].T, ".--", color=RED, markersize=3, linewidth=1.0)
            axes.plot(0, 0, "k*", markersize=8)
            before, after = self.steps[name]
            axes.set_title(f"{name}: {before} → {after} steps", color=RED if self.gap(name) > 1e-6 else "black")
            axes.set(xlim=(-4.5, 1.5), ylim=(-1.7, 1.7))
            axes.grid(False)
        degrees = math.degrees(ANGLE)
        figure.suptitle(
            f"Bowl of condition number {CONDITION:g} (blue), and turned by {degrees:.0f}° (dashed, drawn turned back); "
            f"steps until the loss is {SHARE:g} of its start\ncoloured titles: the path depends on the axes"
        )
        figure.supxlabel("shallow axis")
        figure.supylabel("steep axis")


def measure(quick: bool = False) -> RotatedBowl:
    """Let every method walk down both bowls."""
    cosine, sine = math.cos(ANGLE), math.sin(ANGLE)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    most = 140 if quick else 200
    straight, turned, steps = {}, {}, {}
    for name in progress(METHODS, "optimisers"):
        first = walk(name, diagnose.bowl(CONDITION), START, most)
        second = walk(name, diagnose.bowl(CONDITION, ANGLE), turn @ START, most)
        straight[name], turned[name] = first.points, second.points @ turn
        steps[name] = (_arrival(first.values), _arrival(second.values))
    return RotatedBowl(straight, turned, steps)


def _arrival(values: np.ndarray) -> int:
    """The first step from which on the loss stays below its target; -1 if it ends above."""
    above = np.flatnonzero(values > SHARE * values[0])
    return int(above[-1]) + 1 if above[-1] + 1 < len(values) else -1


if __name__ == "__main__":
    main(measure)
