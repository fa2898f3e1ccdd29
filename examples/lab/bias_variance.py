"""Underfitting and overfitting as bias and variance: polynomials of growing degree through noisy points.

Lecture: the course diaries on optimisation, "Bias-variance tradeoff": the expected loss is bias² + variance + noise; a
model that is too simple has a large bias, one that is too flexible a large variance, and what lowers one raises the
other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from figure import BLACK, BLUE, GREY, ORANGE, PURPLE, RED, Finding, main

from fastnn import evaluation

POINTS = 20
NOISE = 0.4
FRESH = 200
"""How often each point is drawn anew to measure the loss."""
DEGREES = tuple(range(16))
SHOWN = (1, 5, 15)


@dataclass(frozen=True)
class BiasVarianceTradeoff(Finding):
    """Losses by degree, and some of the curves.

    Attributes:
        parts: the decomposition of the squared error on fresh data, for each degree.
        training: the mean squared error on the points fitted, for each degree.
        grid, truth: where curves are drawn, and the curve that the points come from.
        curves: fitted to several sets of points, for each degree of SHOWN: (sets, grid).
        points: one set of points, (2, POINTS).
    """

    size = (13.0, 6.6)

    parts: list[evaluation.BiasVariance]
    training: np.ndarray
    grid: np.ndarray
    truth: np.ndarray
    curves: dict[str, np.ndarray]
    points: np.ndarray

    def of(self, name: str) -> np.ndarray:
        """One part of the loss by degree."""
        return np.array([getattr(each, name) for each in self.parts])

    def claims(self) -> dict[str, bool]:
        bias, variance, loss = self.of("bias"), self.of("variance"), self.of("loss")
        expected = NOISE**2 * (np.array(DEGREES) + 1) / POINTS
        best = int(loss.argmin())
        apart = float(np.abs(bias + variance + self.of("noise") - loss).max())
        off = float(np.abs(variance / expected - 1).max())
        return {
            f"bias² + variance + noise is the loss, to {apart:.0e}": apart < 1e-9,
            f"bias² falls from {bias[0]:.3f} (degree 0) to {bias[-1]:.4f} (degree {DEGREES[-1]})": (
                bias[-1] < 0.02 * bias[0]
            ),
            f"variance rises with every degree, from {variance[0]:.3f} to {variance[-1]:.3f}, within {off:.0%} of "
            f"σ² (degree + 1) / points": bool((np.diff(variance) > 0).all()) and off < 0.15,
            f"the loss is least at degree {best}, {loss[best]:.3f}; the training loss falls on to "
            f"{self.training[-1]:.3f} at degree {DEGREES[-1]}, where the loss is {loss[-1]:.3f}": (
                0 < best < DEGREES[-1] and bool((np.diff(self.training) < 0).all()) and loss[-1] > 1.1 * loss[best]
            ),
        }

    def draw(self, figure: Any) -> None:
        above, below = figure.subfigures(2, 1)
        panels = above.subplots(1, len(SHOWN), sharey=True)
        for axes, (name, curves) in zip(panels, self.curves.items()):
            axes.plot(self.grid, curves.T, color=BLUE, alpha=0.18, linewidth=0.8)
            axes.plot(self.grid, self.truth, color=BLACK, linewidth=1.4, label="truth")
            axes.plot(self.grid, curves.mean(axis=0), color=RED, linestyle="--", label="mean of the curves")
            axes.plot(*self.points, ".", color=GREY, markersize=4, label="one set of points")
            axes.set(ylim=(-2.9, 2.2), title=f"degree {name}: {len(curves)} sets of points, a curve each")
        panels[0].legend(loc="lower left")
        left, right = below.subplots(1, 2)
        bottom = np.zeros(len(DEGREES))
        for name, colour in (("noise", GREY), ("bias", ORANGE), ("variance", BLUE)):
            label = "bias²" if name == "bias" else name
            left.bar(DEGREES, self.of(name), bottom=bottom, color=colour, width=0.75, label=label)
            bottom = bottom + self.of(name)
        left.set(xlabel="degree", ylabel="mean squared error", title="What the loss on fresh data consists of")
        right.plot(DEGREES, self.of("loss"), "o-", color=PURPLE, markersize=4, label="fresh data")
        right.plot(DEGREES, self.training, "o-", color=ORANGE, markersize=4, label="the points fitted")
        right.axhline(NOISE**2, color=GREY, linestyle="--", linewidth=1.2, label="noise")
        best = int(self.of("loss").argmin())
        right.plot(best, self.of("loss")[best], "k*", markersize=12, label=f"least: degree {best}")
        right.set(xlabel="degree", ylabel="mean squared error", title="Underfitting, and overfitting")
        for axes in (left, right):
            axes.set_xticks(DEGREES)
            axes.legend()


def truth(x: np.ndarray) -> np.ndarray:
    """What the points scatter around."""
    return 0.9 * np.sin(np.pi * x) + 0.6 * np.cos(2 * np.pi * x) - 0.4 * x


def measure(quick: bool = False) -> BiasVarianceTradeoff:
    """Least squares through many sets of points that differ in their noise alone; it is quick as it is."""
    rng = np.random.default_rng(0)
    x, sets = np.linspace(-1, 1, POINTS), 1000
    clean = truth(x)
    noisy = clean + rng.normal(0, NOISE, (sets, POINTS))
    fresh = np.tile(clean, FRESH) + rng.normal(0, NOISE, FRESH * POINTS)
    grid = np.linspace(-1, 1, 200)
    parts, training, curves = [], [], {}
    for degree in DEGREES:
        basis = np.polynomial.legendre.legvander(x, degree)
        weights = np.linalg.lstsq(basis, noisy.T, rcond=None)[0]
        fitted = (basis @ weights).T
        predicted = np.tile(fitted, (1, FRESH))
        parts.append(evaluation.bias_variance(predicted, fresh, clean=np.tile(clean, FRESH)))
        training.append(((fitted - noisy) ** 2).mean())
        if degree in SHOWN:
            curves[str(degree)] = (np.polynomial.legendre.legvander(grid, degree) @ weights[:, :60]).T
    return BiasVarianceTradeoff(parts, np.array(training), grid, truth(grid), curves, np.stack([x, noisy[0]]))


if __name__ == "__main__":
    main(measure)
