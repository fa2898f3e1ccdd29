"""The gradient noise scale: from which batch size on larger batches are wasted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor, grad
from ..nn.module import Module
from ..report import Report

__all__ = ["NoiseScale", "gradient_noise_scale"]


@dataclass(frozen=True)
class NoiseScale(Report):
    """What `gradient_noise_scale` found.

    Attributes:
        batch_size: rows in each batch, b.
        batches: how many there were, k.
        squared_norm: an unbiased estimate of |G|², G being the true gradient; it may be negative.
        variance: an unbiased estimate of tr Σ, the summed variances of one row's gradient.
        noise_scale: `tr Σ / |G|²`, rows; infinite if the estimate of |G|² is not positive.
        norms: the length of each batch's gradient.
    """

    batch_size: int
    batches: int
    squared_norm: float
    variance: float
    noise_scale: float
    norms: list[float]

    def draw(self, figure: Any) -> None:
        """The share of the best possible progress per step, and per row, that a batch size gives."""
        axes = figure.subplots()
        scale = float(np.clip(self.noise_scale, 1e-3, 1e6 * self.batch_size))
        sizes = np.geomspace(min(1.0, scale), max(100 * scale, 1e3), 200)
        axes.semilogx(sizes, 1 / (1 + scale / sizes), label="progress of a step")
        axes.semilogx(sizes, 1 / (1 + sizes / scale), label="progress per row")
        axes.axvline(scale, color="#555555", linestyle="--", linewidth=1.0)
        axes.set(xlabel="batch size", ylabel="share of the best", title=f"noise scale {self.noise_scale:.4g}")
        axes.legend(frameon=False)


def gradient_noise_scale(
    model: Module, batches: Iterable[tuple[Tensor, ...]], loss: Callable[[Tensor, Tensor], Tensor]
) -> NoiseScale:
    """Estimate the simple noise scale `B = tr Σ / |G|²` from the gradients gᵢ of k batches of b independent rows.

    A gradient of b rows has mean G and the expected squared length `|G|² + tr Σ / b`. Taking the batches one by one and
    all together gives two such equations, whose solution is unbiased:

        |G|² = (k |ḡ|² - mean |gᵢ|²) / (k - 1)        tr Σ = b k (mean |gᵢ|² - |ḡ|²) / (k - 1)

    Well below B rows, a batch twice as large makes a step twice as good; well above it changes little.

    Args:
        model: the model, in the mode it is in; parameters and their gradients are not changed.
        batches: yields (x, y), at least two batches of one size; a smaller last one is left out.
        loss: maps (output, y) to a mean over the batch.

    Raises:
        ValueError: if there are fewer than two batches, or sizes differ otherwise.

    Source: McCandlish, Kaplan, Amodei et al., "An empirical model of large-batch training", 2018, appendix A.

    Example:
        >>> from fastnn import nn
        >>> batches = [(fastnn.randn(16, 4), fastnn.randn(16, 1)) for _ in range(8)]
        >>> noise = gradient_noise_scale(nn.Linear(4, 1), batches, nn.MSELoss())
        >>> noise.batch_size, noise.batches, noise.variance > 0
        (16, 8, True)
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    total: npt.NDArray[np.float64] | None = None
    squares: list[float] = []
    size, ended = 0, False
    for x, y in batches:
        rows = len(x.data)
        size = size or rows
        if ended or rows > size:
            raise ValueError(f"gradient_noise_scale: expected batches of one size, got {size} rows and {rows}")
        if rows < size:
            ended = True
            continue
        found = grad(loss(model(x), y), parameters, allow_unused=True)
        parts = [np.zeros(p.data.size) if g is None else g.data.ravel() for p, g in zip(parameters, found, strict=True)]
        gradient = np.concatenate(parts).astype(np.float64)
        squares.append(float(gradient @ gradient))
        total = gradient if total is None else total + gradient
    k = len(squares)
    if total is None or k < 2:
        raise ValueError(f"gradient_noise_scale: expected at least two batches of one size, got {k}")
    together, mean = float(total @ total) / k**2, float(np.mean(squares))
    squared_norm = (k * together - mean) / (k - 1)
    variance = size * k * (mean - together) / (k - 1)
    scale = variance / squared_norm if squared_norm > 0 else np.inf
    return NoiseScale(size, k, squared_norm, variance, scale, np.sqrt(squares).tolist())
