"""Optimisers on functions of two variables: where they go, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn.parameter import Parameter
from ..optim import Optimizer
from ..report import Report

__all__ = [
    "OptimizerPath", "OptimizerPaths", "TestFunction", "beale", "bowl", "himmelblau", "optimizer_paths", "rosenbrock",
    "saddle",
]  # fmt: skip

MakeOptimizer: TypeAlias = Callable[[list[Parameter]], Optimizer]


@dataclass(frozen=True)
class TestFunction:
    """A function of two variables to try optimisers on.

    Attributes:
        name: what it is called.
        function: maps x and y, Tensors of any one shape, to a Tensor of that shape.
        start: where optimisers usually start.
        minima: its minima; empty if it has none.
        bounds: the part of the plane worth drawing, (x from, x to, y from, y to).
    """

    __test__: ClassVar[bool] = False  # pytest: no test despite the name

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    start: tuple[float, float]
    minima: tuple[tuple[float, float], ...]
    bounds: tuple[float, float, float, float]

    def __call__(self, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The values at points, in float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.function(Tensor(np.asarray(x, np.float64)), Tensor(np.asarray(y, np.float64))).data
        return np.asarray(values, np.float64)


def bowl(condition: float = 20.0, angle: float = 0.0) -> TestFunction:
    """`f = (u² + κ v²) / 2`, (u, v) being (x, y) turned by an angle: a bowl of condition number κ.

    Gradient descent zig-zags along v while it crawls along u; methods with one rate per coordinate cope with that
    as long as the bowl's axes are the coordinates'.

    Args:
        condition: κ > 0.
        angle: in radians.

    Source: CS231n, lecture 7.
    """
    if not condition > 0:
        raise ValueError(f"bowl: expected condition > 0, got {condition!r}")
    c, s = math.cos(angle), math.sin(angle)

    def function(x: Tensor, y: Tensor) -> Tensor:
        u, v = c * x + s * y, c * y - s * x
        return 0.5 * (u * u + condition * (v * v))

    name = f"bowl of condition {condition:g}" + (f", turned by {angle:.2g}" if angle else "")
    return TestFunction(name, function, (-4.0, 1.0), ((0.0, 0.0),), (-5.0, 5.0, -2.5, 2.5))


def saddle() -> TestFunction:
    """`f = (x² - y²) / 2 + y⁴ / 4`: a saddle at 0, minima of -1/4 at (0, ±1).

    Source: CS231n, lecture 7, where the saddle has no minima beside it.
    """
    return TestFunction(
        "saddle",
        lambda x, y: 0.5 * (x * x - y * y) + 0.25 * y * y * y * y,
        (1.0, 1e-3),
        ((0.0, 1.0), (0.0, -1.0)),
        (-1.5, 1.5, -1.5, 1.5),
    )


def rosenbrock() -> TestFunction:
    """`f = (1 - x)² + 100 (y - x²)²`: a bent valley, minimum 0 at (1, 1). Rosenbrock 1960."""
    return TestFunction(
        "Rosenbrock",
        lambda x, y: (1 - x) * (1 - x) + 100 * (y - x * x) * (y - x * x),
        (-1.2, 1.0),
        ((1.0, 1.0),),
        (-2.0, 2.0, -1.0, 3.0),
    )


def beale() -> TestFunction:
    """`f = (1.5 - x + xy)² + (2.25 - x + xy²)² + (2.625 - x + xy³)²`: minimum 0 at (3, 0.5). Beale 1958."""

    def function(x: Tensor, y: Tensor) -> Tensor:
        terms = [1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y * y * y]
        return terms[0] * terms[0] + terms[1] * terms[1] + terms[2] * terms[2]

    return TestFunction("Beale", function, (1.0, 1.0), ((3.0, 0.5),), (-1.0, 4.0, -1.5, 1.5))


def himmelblau() -> TestFunction:
    """`f = (x² + y - 11)² + (x + y² - 7)²`: four minima of 0. Himmelblau 1972."""

    def function(x: Tensor, y: Tensor) -> Tensor:
        a, b = x * x + y - 11, x + y * y - 7
        return a * a + b * b

    minima = ((3.0, 2.0), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126))
    return TestFunction("Himmelblau", function, (0.0, 0.0), minima, (-5.0, 5.0, -5.0, 5.0))


@dataclass(frozen=True)
class OptimizerPath:
    """Where one optimiser went.

    Attributes:
        name: the optimiser's.
        points: (steps + 1, 2), the start first; shorter if it left the finite numbers.
        values: the function there.
    """

    name: str
    points: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class OptimizerPaths(Report):
    """What `optimizer_paths` found.

    Attributes:
        function: the function's name.
        bounds: the part of the plane that is drawn.
        minima: its minima.
        paths: one for each optimiser.
        grid: values of the function over the bounds, (rows of y, columns of x), for contour lines.
    """

    size: ClassVar[tuple[float, float]] = (11.0, 4.6)

    function: str
    bounds: tuple[float, float, float, float]
    minima: tuple[tuple[float, float], ...]
    paths: tuple[OptimizerPath, ...]
    grid: npt.NDArray[np.float64]

    def draw(self, figure: Any) -> None:
        """Contour lines and paths to the left, values by step to the right."""
        left, right = figure.subplots(1, 2)
        x = np.linspace(*self.bounds[:2], self.grid.shape[1])
        y = np.linspace(*self.bounds[2:], self.grid.shape[0])
        lowest = float(self.grid.min())
        left.contour(x, y, np.log10(self.grid - lowest + 1e-3), levels=25, colors="#bbbbbb", linewidths=0.6)
        for path in self.paths:
            left.plot(*path.points.T, ".-", markersize=3, linewidth=1.0, label=path.name)
            right.semilogy(np.maximum(path.values - lowest, 1e-16), linewidth=1.2, label=path.name)
        for place in self.minima:
            left.plot(*place, "k*", markersize=9)
        left.set(xlim=self.bounds[:2], ylim=self.bounds[2:], title=self.function)
        right.set(xlabel="step", title="value above the lowest drawn")
        right.legend(frameon=False)


def optimizer_paths(
    function: TestFunction,
    optimizers: Mapping[str, MakeOptimizer],
    *,
    start: Sequence[float] | None = None,
    steps: int = 100,
    matrix: bool = False,
) -> OptimizerPaths:
    """Let optimisers run on a function of two variables, in float64, each from the same place.

    Args:
        function: such as `rosenbrock()`.
        optimizers: by name, functions that make an optimiser of the parameters they are given.
        start: where to start; by default the function's own start.
        steps: calls of `optimizer.step(closure)`; a path that leaves the finite numbers ends before that.
        matrix: whether the optimisers see the point as a matrix of one row, (1, 2), and not as a vector (2,): for
            those of matrices alone, such as `optim.Muon`.

    Raises:
        ValueError: if `steps` is negative or `start` is not a point of the plane.

    Source: CS231n, lecture 7.

    Example:
        >>> from fastnn import optim
        >>> found = optimizer_paths(bowl(1.0), {"SGD": lambda p: optim.SGD(p, lr=0.5)}, start=(4.0, 0.0), steps=2)
        >>> found.paths[0].points[:, 0].tolist()
        [4.0, 2.0, 1.0]
    """
    origin = np.array(function.start if start is None else start, np.float64)
    if steps < 0 or origin.shape != (2,):
        raise ValueError(f"optimizer_paths: expected steps >= 0 and a start (x, y), got {steps} and {start!r}")
    paths = tuple(_path(function, name, make, origin, steps, matrix) for name, make in optimizers.items())
    x, y = np.meshgrid(np.linspace(*function.bounds[:2], 101), np.linspace(*function.bounds[2:], 101))
    return OptimizerPaths(function.name, function.bounds, function.minima, paths, function(x, y))


def _path(
    function: TestFunction, name: str, make: MakeOptimizer, origin: npt.NDArray[np.float64], steps: int, matrix: bool
) -> OptimizerPath:
    point = Parameter(origin.reshape(1, 2).copy() if matrix else origin.copy())
    optimizer = make([point])

    def closure() -> Tensor:
        optimizer.zero_grad()
        place = point[0] if matrix else point
        value = function.function(place[0], place[1])
        value.backward()
        return value

    points = [origin]
    with np.errstate(all="ignore"):
        for _ in range(steps):
            optimizer.step(closure)
            if not np.isfinite(point.data).all():
                break
            points.append(point.data.reshape(2).copy())
    places = np.stack(points)
    return OptimizerPath(name, places, function(places[:, 0], places[:, 1]))
