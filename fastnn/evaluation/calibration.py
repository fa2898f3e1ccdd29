"""Whether predictions of 80 % are right four times out of five."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ..report import Report

__all__ = ["Calibration", "calibration", "fit_temperature"]

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Calibration(Report):
    """What `calibration` found; bins without rows are left out.

    Attributes:
        confidence: the mean confidence of each bin.
        accuracy: the share of right predictions in each bin.
        counts: rows in each bin.
        error: the expected calibration error, `Σ_b n_b / N |accuracy_b - confidence_b|`.
        largest_error: the largest of those differences.
        brier: `1/N Σ_i Σ_c (p_ic - [y_i = c])²`.
        nll: `1/N Σ_i -log p_i(y_i)`.
    """

    size: ClassVar[tuple[float, float]] = (5.2, 5.2)

    confidence: list[float]
    accuracy: list[float]
    counts: list[int]
    error: float
    largest_error: float
    brier: float
    nll: float

    def draw(self, figure: Any) -> None:
        """The reliability diagram, points larger where more rows are, and the share of rows below."""
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1.0)
        shares = np.array(self.counts) / max(sum(self.counts), 1)
        above.plot(self.confidence, self.accuracy, linewidth=0.8)
        above.scatter(self.confidence, self.accuracy, s=10 + 120 * shares, clip_on=False, zorder=3)
        above.set(ylabel="accuracy", title=f"Expected calibration error {self.error:.4f}", xlim=(0, 1), ylim=(0, 1.02))
        below.bar(self.confidence, shares, width=0.03)
        below.set(xlabel="confidence", ylabel="share of rows")


def calibration(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    bins: int = 15,
    strategy: Literal["uniform", "quantile"] = "uniform",
) -> Calibration:
    """Compare the confidence of predictions, the largest probability of a row, with how often they are right.

    Args:
        probabilities: rows that add up to 1, such as `Predictor.probabilities` gives.
        labels: the right classes.
        bins: how many; "uniform" ones are `(k/n, (k + 1)/n]`, the first with 0; "quantile" ones hold equally many rows.
        strategy: how bins are cut.

    Shape:
        probabilities (N, C), labels (N,)

    Raises:
        ValueError: if shapes do not fit, rows do not add up to 1, or `bins` < 1.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015;
    Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017; Brier 1950.

    Example:
        >>> found = calibration([[0.8, 0.2]] * 5, [0, 0, 0, 0, 1])
        >>> found.confidence, found.accuracy, round(found.error, 6)
        ([0.8], [0.8], 0.0)
    """
    p, y = _checked("calibration", probabilities, labels)
    if np.abs(p.sum(axis=1) - 1).max() > 1e-3 or p.min() < 0:
        raise ValueError("calibration: expected rows of probabilities >= 0 that add up to 1")
    if bins < 1 or strategy not in ("uniform", "quantile"):
        raise ValueError(f"calibration: expected bins >= 1 and 'uniform' or 'quantile', got {bins!r} and {strategy!r}")
    confidence = p.max(axis=1)
    right = (p.argmax(axis=1) == y).astype(np.float64)
    if strategy == "uniform":
        place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    else:
        place = np.empty(len(p), np.int64)
        place[np.argsort(confidence, kind="stable")] = np.arange(len(p)) * bins // len(p)
    counts = np.bincount(place, minlength=bins)
    filled = counts > 0
    mean = np.bincount(place, confidence, bins)[filled] / counts[filled]
    share = np.bincount(place, right, bins)[filled] / counts[filled]
    gaps = np.abs(share - mean)
    own = p[np.arange(len(p)), y]
    return Calibration(
        confidence=mean.tolist(),
        accuracy=share.tolist(),
        counts=counts[filled].tolist(),
        error=float(np.average(gaps, weights=counts[filled])),
        largest_error=float(gaps.max()),
        brier=float(np.mean(np.square(p).sum(axis=1) - 2 * own + 1)),
        nll=float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean()),
    )


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The temperature T for which `softmax(z / T)` has the lowest cross-entropy on held-out rows.

    Dividing by it changes no prediction, only confidences; a network that is too sure of itself has T > 1.

    Args:
        logits: a network's outputs on rows it was not trained on.
        labels: the right classes.

    Shape:
        logits (N, C), labels (N,)

    Returns:
        T, from 1e-3 to 1e3.

    Raises:
        ImportError: without SciPy.
        ValueError: if shapes do not fit.

    Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks", ICML 2017.
    """
    try:
        from scipy.optimize import minimize_scalar
    except ImportError:
        raise ImportError("fit_temperature needs SciPy: pip install fastnn[scipy]") from None
    z, y = _checked("fit_temperature", logits, labels)
    z = z - z.max(axis=1, keepdims=True)
    own = z[np.arange(len(z)), y]

    def loss(log_inverse: float) -> float:
        """Convex in 1/T, hence with one minimum in its logarithm as well."""
        inverse = np.exp(log_inverse)
        return float(np.mean(np.log(np.exp(inverse * z).sum(axis=1)) - inverse * own))

    limit = float(np.log(1e3))
    found = minimize_scalar(loss, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(-found.x))


def _checked(owner: str, scores: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.int64]]:
    """Scores in float64 and labels, if they fit each other."""
    rows, y = np.asarray(scores, np.float64), np.asarray(labels)
    if rows.ndim != 2 or not len(rows) or y.shape != rows.shape[:1] or y.dtype.kind not in "iu":
        raise ValueError(f"{owner}: expected scores (N, C), N > 0, and labels (N,), got {rows.shape} and {y.shape}")
    if not 0 <= y.min() <= y.max() < rows.shape[1]:
        raise ValueError(f"{owner}: expected labels from 0 to {rows.shape[1] - 1}, got {y.min()} to {y.max()}")
    return rows, y.astype(np.int64)
