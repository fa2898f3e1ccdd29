"""At a saddle the gradient nearly vanishes: SGD waits, momentum waits less, methods that scale their steps hardly do.

Lecture: CS231n, lecture 7, "Local minima and saddle points": at a saddle the gradient is zero, around it so small that
progress is very slow; momentum rolls through. The methods and rates are those of `rotated_bowl.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, Finding, main, progress
from rotated_bowl import BY_COORDINATE, METHODS, WHOLE, walk

from fastnn import diagnose

SECOND_ORDER = ("Newton", "Newton-CG", "BFGS", "L-BFGS")
DRAWN = {"SGD": BLUE, "momentum": ORANGE, "Adam": RED, "RMSprop": PURPLE, "Muon": GREEN, "Newton": SKY}
START = np.array([1.0, 1e-3])
"""A thousandth beside the ridge, from where the fall is straight to the saddle."""
LEFT = -0.2
"""Of the least loss, -1/4, so much counts as having left."""


def turned_saddle(angle: float) -> diagnose.TestFunction:
    """`diagnose.saddle` with its axes turned."""
    plain, c, s = diagnose.saddle(), math.cos(angle), math.sin(angle)
    return diagnose.TestFunction(
        "turned saddle", lambda x, y: plain.function(c * x + s * y, c * y - s * x), plain.start, (), plain.bounds
    )


@dataclass(frozen=True)
class Saddle(Finding):
    """Paths from beside the ridge, and steps until they have left.

    Attributes:
        paths: (steps + 1, 2), by method.
        steps: until the loss is near its least, by method; -1 for never.
        turned: the same where the saddle's axes are at 45° to the coordinates.
        ridge: how far beside the ridge first-order methods get that start exactly on it.
    """

    size = (12.0, 5.4)

    paths: dict[str, np.ndarray]
    steps: dict[str, int]
    turned: dict[str, int]
    ridge: float

    def claims(self) -> dict[str, bool]:
        sgd, momentum = self.steps["SGD"], self.steps["momentum"]
        scaled = [self.steps[name] for name in BY_COORDINATE]
        later = [name for name in BY_COORDINATE if self.turned[name] > self.steps[name]]
        newton = [self.steps[name] for name in SECOND_ORDER]
        return {
            f"SGD needs {sgd} steps to leave, with momentum {momentum}": 0 < momentum < 0.7 * sgd,
            f"methods with a step per coordinate need {min(scaled)} to {max(scaled)}": (
                min(scaled) > 0 and np.median(scaled) < 0.3 * sgd
            ),
            f"{len(later)} of these {len(BY_COORDINATE)} need more at the turned saddle": len(later)
            == len(BY_COORDINATE),
            f"second-order methods need {min(newton)} to {max(newton)}": min(newton) > 0 and max(newton) < 0.3 * sgd,
            f"exactly on the ridge all first-order methods stay on it (to {self.ridge:g})": self.ridge == 0.0,
        }

    def draw(self, figure: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
        x, y = np.meshgrid(np.linspace(-0.5, 1.2, 101), np.linspace(-0.7, 1.2, 101))
        function = diagnose.saddle()
        left.contour(x, y, function(x, y), levels=15, colors=GREY, linewidths=0.5, linestyles="solid")
        for name, colour in DRAWN.items():
            label = f"{name}: {self.steps[name]} step{'s' * (self.steps[name] != 1)}"
            path = self.paths[name][: self.steps[name] + 1]
            left.plot(*path.T, ".-", color=colour, markersize=5, linewidth=1.1, label=label)
        left.plot(0, 0, "kx", markersize=9, markeredgewidth=2)
        left.plot(0, 1, "k*", markersize=10)
        left.set(xlim=(-0.5, 1.2), ylim=(-0.7, 1.2), xlabel="x", ylabel="y")
        left.set_title(f"Past the saddle (×) until the loss is below {LEFT:g}")
        left.grid(False)
        left.legend(loc="lower center", ncols=2, frameon=True)
        names = sorted(METHODS, key=lambda name: self.steps[name])
        places = np.arange(len(names))
        right.barh(places, [self.steps[name] for name in names], 0.6, color=[self.colour(name) for name in names])
        for kind, member in (("the plane as a whole", "SGD"), ("second order", "Newton"), ("by coordinate", "Adam")):
            right.barh(0, 0, color=self.colour(member), label=kind)
        right.plot([self.turned[name] for name in names], places, "k|", markersize=9, label="saddle turned by 45°")
        right.set_yticks(places, names)
        right.grid(axis="y", visible=False)
        right.set(xlabel=f"steps until the loss is below {LEFT:g}", xscale="log")
        right.set_title("Steps to leave, by method")
        right.legend(loc="lower right", bbox_to_anchor=(1.0, 0.02))

    @staticmethod
    def colour(name: str) -> str:
        return SKY if name in SECOND_ORDER else BLUE if name in WHOLE else RED


def measure(quick: bool = False) -> Saddle:
    """Let every method start beside the ridge, and the first-order ones on it."""
    plain, diagonal = diagnose.saddle(), turned_saddle(math.pi / 4)
    cosine = math.sqrt(0.5)
    turn = np.array([[cosine, -cosine], [cosine, cosine]])
    most = 160 if quick else 400
    paths, steps, turned = {}, {}, {}
    for name in progress(METHODS, "optimisers"):
        found = walk(name, plain, START, most)
        paths[name], steps[name] = found.points, _first(found.values)
        turned[name] = _first(walk(name, diagonal, turn @ START, most).values)
    ridge = 0.0
    for name in METHODS:
        if name not in SECOND_ORDER:
            found = walk(name, plain, np.array([1.0, 0.0]), 30)
            ridge = max(ridge, float(np.abs(found.points[:, 1]).max()))
    return Saddle(paths, steps, turned, ridge)


def _first(values: np.ndarray) -> int:
    below = np.flatnonzero(values < LEFT)
    return int(below[0]) if len(below) else -1


if __name__ == "__main__":
    main(measure)
