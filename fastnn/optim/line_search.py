"""Line search with the strong Wolfe conditions.

Along a direction d from x, with φ(t) = f(x + t d), it looks for a step t with

    φ(t) ≤ φ(0) + c₁ t φ'(0)    (enough decrease)    and    |φ'(t)| ≤ c₂ |φ'(0)|    (a flat enough slope)

by extending the step until such points are bracketed and then narrowing the bracket, each time to the minimum of the
cubic through two points and their slopes.

Source: Nocedal, Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6 and equation 3.59; the safeguards are
those of Schmidt's minFunc, which PyTorch has too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..autograd.dtype import Array

__all__ = ["Point", "cubic_minimum", "strong_wolfe"]

MAX_EVALUATIONS = 25


@dataclass(frozen=True)
class Point:
    """A step with the value of the function there, its gradient, and the slope along the direction."""

    t: float
    value: float
    gradient: Array
    slope: float


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic with the values and slopes of two points has its minimum, within [low, high].

    The middle of the interval if it has none.
    """
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0.0:
        return (low + high) / 2.0
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2))
    return min(max(t, low), high)


class _Search:
    """What both phases of a search share."""

    def __init__(
        self, evaluate: Callable[[float], tuple[float, Array]], direction: Array, start: Point, c1: float, c2: float
    ) -> None:
        self.evaluate, self.direction, self.start = evaluate, direction, start
        self.c1, self.c2 = c1, c2
        self.evaluations = 0

    def at(self, t: float) -> Point:
        value, gradient = self.evaluate(t)
        self.evaluations += 1
        return Point(t, value, gradient, float(gradient @ self.direction))

    def too_high(self, point: Point) -> bool:
        return point.value > self.start.value + self.c1 * point.t * self.start.slope

    def flat(self, point: Point) -> bool:
        return abs(point.slope) <= -self.c2 * self.start.slope

    def bracket(self, t: float, most: int) -> tuple[list[Point], bool]:
        """Two points with a good step between them, or one that is good itself, and whether that is so."""
        previous, point = self.start, self.at(t)
        for iteration in range(most):
            if self.too_high(point) or (iteration > 1 and point.value >= previous.value):
                return [previous, point], False
            if self.flat(point):
                return [point], True
            if point.slope >= 0.0:
                return [previous, point], False
            near, far = point.t + 0.01 * (point.t - previous.t), 10.0 * point.t
            previous, point = point, self.at(cubic_minimum(previous, point, near, far))
        return [self.start, point], False

    def zoom(self, pair: list[Point], tolerance: float, most: int) -> Point:
        """The best point of a bracket that is narrowed until the conditions hold or it is too short."""
        low, high = sorted(pair, key=lambda point: point.value)
        extent = float(np.abs(self.direction).max())
        stuck = False
        while self.evaluations <= most:
            left, right = min(low.t, high.t), max(low.t, high.t)
            if (right - left) * extent < tolerance:
                break
            t = cubic_minimum(low, high, left, right)
            margin = 0.1 * (right - left)
            if min(right - t, t - left) < margin:
                # Twice in a row too near an end, or on it: a tenth of the way in makes sure of some progress.
                if stuck or t >= right or t <= left:
                    t = right - margin if abs(t - right) < abs(t - left) else left + margin
                    stuck = False
                else:
                    stuck = True
            else:
                stuck = False
            point = self.at(t)
            if self.too_high(point) or point.value >= low.value:
                low, high = (low, point) if low.value <= point.value else (point, low)
                continue
            if self.flat(point):
                return point
            if point.slope * (high.t - low.t) >= 0.0:
                high = low
            low = point
        return low


def strong_wolfe(
    evaluate: Callable[[float], tuple[float, Array]],
    direction: Array,
    value: float,
    gradient: Array,
    t: float = 1.0,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    most: int = MAX_EVALUATIONS,
) -> tuple[Point, int]:
    """A step along `direction` that fulfils the strong Wolfe conditions.

    Args:
        evaluate: φ as a function of t: value and gradient (n,) at x + t d.
        direction: d, (n,), downhill.
        value: φ(0).
        gradient: (n,) at x.
        t: the step to try first.
        c1: share of the decrease that the slope promises.
        c2: share of the slope that may remain.
        tolerance: least change of a coordinate over the bracket.
        most: evaluations after the first.

    Returns:
        The point found, or the best one if none was, and the number of evaluations.
    """
    search = _Search(evaluate, direction, Point(0.0, value, gradient, float(gradient @ direction)), c1, c2)
    pair, found = search.bracket(t, most)
    return (pair[0] if found else search.zoom(pair, tolerance, most)), search.evaluations
