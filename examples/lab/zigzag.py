"""Gradient descent zig-zags on a badly conditioned bowl, and momentum cancels the zig-zag.

Lecture: CS231n, lecture 7, "Problems with SGD": the loss changes fast in one direction and slowly in another; SGD
jitters along the steep one and crawls along the shallow one. "SGD + momentum": opposite steps cancel in the velocity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLUE, GREY, ORANGE, Finding, main

from fastnn import diagnose, optim

CONDITION = 20.0
SHARE = 1e-3
"""A run ends where the loss is this share of what it was at the start."""


@dataclass(frozen=True)
class Zigzag(Finding):
    """Paths on one bowl, and steps needed on bowls of many condition numbers.

    Attributes:
        paths: of SGD and of SGD with momentum, at the same learning rate.
        conditions: κ of the other bowls.
        steps: steps until the loss is a thousandth, by method; each with the best rate (and momentum) for its κ.
    """

    size = (11.0, 4.2)

    paths: diagnose.OptimizerPaths
    conditions: np.ndarray
    steps: dict[str, np.ndarray]

    def slope(self, name: str) -> float:
        """p of steps ~ κᵖ, fitted to the larger half of the bowls."""
        half = len(self.conditions) // 2
        return float(np.polyfit(np.log(self.conditions[half:]), np.log(self.steps[name][half:]), 1)[0])

    def turns(self, number: int) -> int:
        """How often the step along the steep axis changes its sign in the first 20 steps of a path."""
        moves = np.sign(np.diff(self.paths.paths[number].points[:21, 1]))
        return int((moves[1:] != moves[:-1]).sum())

    def claims(self) -> dict[str, bool]:
        sgd, momentum = (path.values for path in self.paths.paths)
        plain, heavy = self.slope("SGD"), self.slope("momentum")
        return {
            f"SGD turns round along the steep axis {self.turns(0)} times in 19": self.turns(0) == 19,
            f"with momentum 0.6 it is {self.turns(1)} times": self.turns(1) <= 12,
            f"after 40 steps the loss is {sgd[40]:.2g} without and {momentum[40]:.2g} with momentum": (
                momentum[40] < 0.2 * sgd[40]
            ),
            f"SGD needs κ^{plain:.2f} steps": abs(plain - 1) < 0.1,
            f"momentum needs κ^{heavy:.2f} steps": abs(heavy - 0.5) < 0.15,
        }

    def draw(self, figure: Any) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1.35, 1])
        x = np.linspace(*self.paths.bounds[:2], self.paths.grid.shape[1])
        y = np.linspace(*self.paths.bounds[2:], self.paths.grid.shape[0])
        left.contour(x, y, self.paths.grid, levels=[0.2, 1, 3, 6, 10, 15, 22, 30, 40, 55], colors=GREY, linewidths=0.5)
        for path, colour in zip(self.paths.paths, (BLUE, ORANGE)):
            label = f"{path.name}: loss {path.values[40]:.0e}"
            left.plot(*path.points[:41].T, ".-", color=colour, markersize=4, linewidth=1.1, label=label)
        left.plot(0, 0, "k*", markersize=10)
        left.set(xlim=(-4.6, 2.0), ylim=(-1.6, 1.6), xlabel="shallow axis", ylabel="steep axis")
        left.set_title(f"40 steps at one learning rate, condition number {CONDITION:g}")
        left.grid(False)
        left.legend(loc="lower right", frameon=True)
        for (name, steps), colour in zip(self.steps.items(), (BLUE, ORANGE)):
            label = f"{name}: κ to the power {self.slope(name):.2f}"
            right.loglog(self.conditions, steps, "o-", color=colour, markersize=4, label=label)
        right.set(xlabel="condition number κ", ylabel=f"steps until the loss is {SHARE:g} of its start")
        right.set_title("Best learning rate for each bowl")
        right.legend()


def measure(quick: bool = False) -> Zigzag:
    """Walk down the bowls."""
    rate = 1.9 / CONDITION
    paths = diagnose.optimizer_paths(
        diagnose.bowl(CONDITION),
        {
            "SGD": lambda p: optim.SGD(p, lr=rate),
            "SGD with momentum 0.6": lambda p: optim.SGD(p, lr=rate, momentum=0.6),
        },
        steps=60,
    )
    conditions = np.geomspace(3, 100 if quick else 1000, 5 if quick else 9)
    steps: dict[str, list[int]] = {"SGD": [], "momentum": []}
    for condition in conditions:
        root = math.sqrt(condition)
        found = diagnose.optimizer_paths(
            diagnose.bowl(condition),
            {
                "SGD": lambda p, k=condition: optim.SGD(p, lr=2 / (1 + k)),
                "momentum": lambda p, r=root: optim.SGD(p, lr=4 / (1 + r) ** 2, momentum=((r - 1) / (r + 1)) ** 2),
            },
            start=(-4.0, 4.0),
            steps=int(4 * condition) + 20,
        )
        for path in found.paths:
            above = np.flatnonzero(path.values > SHARE * path.values[0])
            steps[path.name].append(int(above[-1]) + 1)
    return Zigzag(paths, conditions, {name: np.array(values) for name, values in steps.items()})


if __name__ == "__main__":
    main(measure)
