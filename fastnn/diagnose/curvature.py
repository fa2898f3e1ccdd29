"""How sharp the minimum is that a network has found: second derivatives, and the worst loss nearby."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn.mode import evaluation_mode
from ..nn.module import Module
from ..report import Report

__all__ = ["HessianSpectrum", "Sharpness", "hessian_spectrum", "sharpness"]

Vector: TypeAlias = npt.NDArray[np.float64]
Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class HessianSpectrum(Report):
    """What `hessian_spectrum` found.

    Attributes:
        eigenvalues: the largest ones, largest first.
        trace: the sum of all eigenvalues, estimated; NaN without probes.
        trace_error: the standard error of that estimate; NaN with fewer than two probes.
        parameters: the number of eigenvalues there are.
    """

    eigenvalues: list[float]
    trace: float
    trace_error: float
    parameters: int

    def draw(self, figure: Any) -> None:
        """The largest eigenvalues as bars, their mean over all as a line."""
        axes = figure.subplots()
        axes.bar(range(1, len(self.eigenvalues) + 1), self.eigenvalues)
        axes.axhline(self.trace / self.parameters, color="C3", linewidth=1.0, label="mean of all eigenvalues")
        axes.set(xlabel="rank", ylabel="eigenvalue of the Hessian", title=f"trace {self.trace:.4g}")
        axes.legend(frameon=False)


@dataclass(frozen=True)
class Sharpness(Report):
    """What `sharpness` found.

    Attributes:
        loss: at the weights w.
        worst: the largest loss found in the box `|vᵢ - wᵢ| ≤ ε (|wᵢ| + 1)`.
        sharpness: `100 (worst - loss) / (1 + loss)`.
        epsilon: ε.
        ascent: `L(w + ρ g / ‖g‖) - L(w)`, the rise along the gradient g at distance ρ.
        rho: ρ.
        profile: losses along the line from w to the worst place, at equal distances, both ends included.
    """

    size: ClassVar[tuple[float, float]] = (5.4, 4.0)

    loss: float
    worst: float
    sharpness: float
    epsilon: float
    ascent: float
    rho: float
    profile: list[float]

    def draw(self, figure: Any) -> None:
        """The loss on the way to the worst place of the box."""
        axes = figure.subplots()
        axes.plot(np.linspace(0, 1, len(self.profile)), self.profile, ".-")
        title = f"sharpness {self.sharpness:.3g} within ε = {self.epsilon:g}"
        axes.set(xlabel="share of the way to the worst place", ylabel="loss", title=title)


class _Objective:
    """Loss and gradient of a model on fixed data as functions of one float64 vector, in evaluation mode.

    It works on a copy of the model in float64: second derivatives are differences of gradients, for which float32
    leaves too few digits.
    """

    def __init__(self, owner: str, model: Module, batches: Iterable[tuple[Tensor, ...]], loss: Loss) -> None:
        self.model = copy.deepcopy(model).double()
        self.batches = [tuple(_wide(each) for each in batch) for batch in batches]
        self.loss = loss
        self.rows = sum(len(batch[0].data) for batch in self.batches)
        if not self.rows:
            raise ValueError(f"{owner}: expected at least one batch, got none")
        self.parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        if not self.parameters:
            raise ValueError(f"{owner}: the model has no parameters that require a gradient")
        self.origin: Vector = np.concatenate([parameter.data.ravel() for parameter in self.parameters])

    def __call__(self, w: Vector) -> tuple[float, Vector]:
        """The loss and its gradient at w."""
        place = 0
        for parameter in self.parameters:
            part = w[place : place + parameter.data.size]
            parameter.data[...] = part.reshape(parameter.shape)
            parameter.bump()
            parameter.grad = None
            place += parameter.data.size
        total = 0.0
        with evaluation_mode(self.model, gradients=True):
            for x, y in self.batches:
                value = self.loss(self.model(x), y) * (len(x.data) / self.rows)
                value.backward()
                total += float(value.item())
        grads = [np.zeros(p.data.size) if p.grad is None else p.grad.data.ravel() for p in self.parameters]
        return total, np.concatenate(grads)

    def hessian_times(self, v: Vector) -> Vector:
        """H v at the origin, by a central difference of gradients."""
        v = np.asarray(v, np.float64).ravel()
        length = float(np.linalg.norm(v))
        if not length:
            return np.zeros_like(v)
        step = 1e-5 * (1 + float(np.linalg.norm(self.origin))) / length
        product: Vector = (self(self.origin + step * v)[1] - self(self.origin - step * v)[1]) / (2 * step)
        return product


def _wide(tensor: Tensor) -> Tensor:
    return Tensor(tensor.data.astype(np.float64)) if tensor.data.dtype.kind == "f" else tensor


def hessian_spectrum(
    model: Module,
    batches: Iterable[tuple[Tensor, ...]],
    loss: Loss,
    *,
    count: int = 1,
    probes: int = 0,
    seed: int = 0,
) -> HessianSpectrum:
    """The largest eigenvalues of the loss's Hessian, and its trace.

    Eigenvalues come from Lanczos iterations (SciPy's `eigsh`) on products H v, each of which is a difference of two
    gradients; the trace is the mean of `zᵀ H z` over vectors z of random signs (Hutchinson). The model computes in
    evaluation mode, on a copy in float64; it is not changed.

    Args:
        model: the model.
        batches: yields (x, y); the loss is its mean over all rows.
        loss: maps (output, y) to a mean over the batch.
        count: how many eigenvalues, fewer than the number of parameters.
        probes: vectors z for the trace; 0 leaves it out.
        seed: of the start and of the vectors.

    Raises:
        ImportError: without SciPy.
        ValueError: if `count` or `probes` is impossible, there are no batches or nothing to differentiate by.

    Source: Hutchinson, "A stochastic estimator of the trace of the influence matrix", 1989; eigenvalues as a measure of
    sharpness: Keskar et al., ICLR 2017; Yao et al., "PyHessian", 2020.
    """
    try:
        from scipy.sparse.linalg import LinearOperator, eigsh
    except ImportError:
        raise ImportError("hessian_spectrum needs SciPy: pip install fastnn[scipy]") from None
    objective = _Objective("hessian_spectrum", model, batches, loss)
    size = objective.origin.size
    if not 1 <= count < size or probes < 0:
        raise ValueError(f"hessian_spectrum: expected 1 <= count < {size} and probes >= 0, got {count} and {probes}")
    rng = np.random.default_rng(seed)
    operator = LinearOperator((size, size), matvec=objective.hessian_times, dtype=np.float64)
    start = rng.standard_normal(size)
    values = eigsh(operator, k=count, which="LA", v0=start, return_eigenvectors=False, tol=1e-8)
    draws = []
    for _ in range(probes):
        z = rng.choice([-1.0, 1.0], size)
        draws.append(float(z @ objective.hessian_times(z)))
    error = float(np.std(draws, ddof=1) / np.sqrt(probes)) if probes > 1 else np.nan
    trace = float(np.mean(draws)) if draws else np.nan
    return HessianSpectrum(sorted(values.tolist(), reverse=True), trace, error, size)


def sharpness(
    model: Module,
    batches: Iterable[tuple[Tensor, ...]],
    loss: Loss,
    *,
    epsilon: float = 1e-3,
    rho: float = 0.05,
    iterations: int = 10,
) -> Sharpness:
    """How much the loss can rise near the weights of a model: large after training with large batches.

    The worst place in the box `|vᵢ - wᵢ| ≤ ε (|wᵢ| + 1)` is sought from w as its authors do, by a few iterations of
    L-BFGS-B (SciPy's), started by a step along the gradient's signs; what is found is a lower bound. `ascent` is the
    one-step measure of sharpness-aware minimisation. The model computes in evaluation mode, on a copy in float64;
    it is not changed.

    Args:
        model: the model.
        batches: yields (x, y); the loss is its mean over all rows.
        loss: maps (output, y) to a mean over the batch.
        epsilon: ε > 0; 1e-3 and 5e-4 in the paper.
        rho: ρ > 0.
        iterations: of L-BFGS-B.

    Raises:
        ImportError: without SciPy.
        ValueError: if an argument is impossible, there are no batches or nothing to differentiate by.

    Source: Keskar, Mudigere, Nocedal, Smelyanskiy, Tang, "On large-batch training for deep learning: generalization gap
    and sharp minima", ICLR 2017; `ascent`: Foret et al., "Sharpness-aware minimization", ICLR 2021.
    """
    if not epsilon > 0 or not rho > 0 or iterations < 1:
        raise ValueError(
            f"sharpness: expected epsilon > 0, rho > 0 and iterations >= 1, got {epsilon}, {rho} and {iterations}"
        )
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ImportError("sharpness needs SciPy: pip install fastnn[scipy]") from None
    objective = _Objective("sharpness", model, batches, loss)
    w = objective.origin
    value, gradient = objective(w)
    width = epsilon * (np.abs(w) + 1)
    low, high = w - width, w + width

    def negative(v: Vector) -> tuple[float, Vector]:
        rise, slope = objective(v)
        return -rise, -slope

    # From w itself the box is left at once along most coordinates; the corner that the gradient points to is the
    # maximum for as long as the loss is linear in it.
    corner = np.where(gradient > 0, high, np.where(gradient < 0, low, w))
    options = {"maxiter": iterations}
    places = [w, corner]
    for begin in (w, corner):
        found = minimize(negative, begin, jac=True, method="L-BFGS-B", bounds=np.stack([low, high], 1), options=options)
        places.append(np.clip(found.x, low, high))
    rises = [objective(place)[0] for place in places]
    best = int(np.argmax(rises))
    profile = [objective(w + t * (places[best] - w))[0] for t in np.linspace(0, 1, 11)]
    length = float(np.linalg.norm(gradient))
    ascent = objective(w + rho * gradient / length)[0] - value if length else 0.0
    worst = rises[best]
    return Sharpness(value, worst, 100 * (worst - value) / (1 + value), epsilon, ascent, rho, profile)
