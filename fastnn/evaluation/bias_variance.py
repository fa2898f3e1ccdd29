"""What an error consists of: bias, variance over training sets, and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ..data import Dataset, RandomSampler, Subset
from ..report import Report
from ..train.learner import Learner, labels_of
from ..train.predictor import Predictor

__all__ = ["BiasVariance", "bias_variance", "learner_bias_variance"]

Array: TypeAlias = npt.NDArray[Any]
Kind: TypeAlias = Literal["squared", "zero-one", "cross-entropy"]


@dataclass(frozen=True)
class BiasVariance(Report):
    """What `bias_variance` found: `loss = noise + bias + variance`, exactly.

    Attributes:
        kind: the loss that was decomposed.
        loss: its mean over models and rows.
        bias: that of the main prediction ("squared": the squared bias).
        variance: what the spread of the models adds; for "zero-one" it is `unbiased - biased` variance, which may be
            negative: where the main prediction is wrong, models that disagree with it can only gain.
        noise: what no prediction can avoid; 0 unless the noise-free targets are known.
        models: how many.
        row_bias, row_variance: the same row by row.
    """

    kind: Kind
    loss: float
    bias: float
    variance: float
    noise: float
    models: int
    row_bias: npt.NDArray[np.float64]
    row_variance: npt.NDArray[np.float64]

    def draw(self, figure: Any) -> None:
        """Three bars."""
        axes = figure.subplots()
        axes.bar(["bias", "variance", "noise"], [self.bias, self.variance, self.noise])
        axes.set(ylabel="share of the loss", title=f"{self.kind} loss {self.loss:.4g}, {self.models} models")


def bias_variance(
    predictions: npt.ArrayLike, targets: npt.ArrayLike, loss: Kind = "squared", *, clean: npt.ArrayLike | None = None
) -> BiasVariance:
    """Decompose the loss of models that were trained on different training sets.

    With the mean over models written E and the main prediction ȳ:

        'squared'         E (y - ŷ)²      = (y - ȳ)² + E (ŷ - ȳ)²                 ȳ = E ŷ
        'zero-one'        P(ŷ ≠ y)        = [ȳ ≠ y] + { P(ŷ ≠ ȳ) if ȳ = y         ȳ = the commonest class,
                                                      { -P(ŷ = y) if ȳ ≠ y            the first of equal ones
        'cross-entropy'   E (-log p(y))   = -log p̄(y) + E KL(p̄ ‖ p)               p̄ ∝ exp(E log p)

    Args:
        predictions: of T models for N rows: values, classes, or probabilities.
        targets: values or classes.
        loss: see above.
        clean: for 'squared', the targets without noise, where they are known: the bias is then measured against
            them, and `E (y - ȳ)²` splits into bias and noise up to a mixed term, which is counted as noise.

    Shape:
        predictions (T, N) or, for 'cross-entropy', (T, N, C); targets (N,).

    Raises:
        ValueError: if shapes do not fit, the loss is unknown, or `clean` is given for another loss.

    Source: squared: Geman, Bienenstock, Doursat, "Neural networks and the bias/variance dilemma", 1992; zero-one:
    Domingos, "A unified bias-variance decomposition", ICML 2000; cross-entropy: Heskes, "Bias/variance decompositions
    for likelihood-based estimators", 1998.

    Example:
        >>> found = bias_variance([[1.0], [3.0]], [0.0])
        >>> found.loss, found.bias, found.variance
        (5.0, 4.0, 1.0)
    """
    if loss not in get_args(Kind):
        raise ValueError(f"bias_variance: expected loss to be one of {get_args(Kind)}, got {loss!r}")
    p, y = np.asarray(predictions), np.asarray(targets)
    if p.ndim != (3 if loss == "cross-entropy" else 2) or not len(p) or y.shape != p.shape[1:2]:
        raise ValueError(
            "bias_variance: expected predictions (T, N), or (T, N, C) for 'cross-entropy', and targets (N,), "
            f"got {p.shape} and {y.shape}"
        )
    if clean is not None and loss != "squared":
        raise ValueError(f"bias_variance: clean targets are for the squared loss, not {loss!r}")
    if loss == "squared":
        total, bias, variance = _squared(p, y)
    elif loss == "zero-one":
        total, bias, variance = _zero_one(p, y)
    else:
        total, bias, variance = _cross_entropy(p, y)
    noise = 0.0
    if clean is not None:
        against = np.square(np.asarray(clean, np.float64) - p.mean(axis=0))
        noise = float(np.mean(bias - against))
        bias = against
    return BiasVariance(
        loss, float(total.mean()), float(bias.mean()), float(variance.mean()), noise, len(p), bias, variance
    )


def _squared(p: Array, y: Array) -> tuple[Array, Array, Array]:
    p = p.astype(np.float64)
    return np.square(p - y).mean(axis=0), np.square(p.mean(axis=0) - y), p.var(axis=0)


def _zero_one(p: Array, y: Array) -> tuple[Array, Array, Array]:
    classes = np.unique(np.concatenate([p.ravel(), y]))
    votes = (p[..., None] == classes).sum(axis=0)
    main = classes[votes.argmax(axis=1)]
    wrong = (p != y).mean(axis=0)
    bias = (main != y).astype(np.float64)
    variance = np.where(main == y, (p != main).mean(axis=0), -(p == y).mean(axis=0))
    return wrong, bias, variance


def _cross_entropy(p: Array, y: Array) -> tuple[Array, Array, Array]:
    logs = np.log(np.maximum(p.astype(np.float64), np.finfo(np.float64).tiny))
    mean = logs.mean(axis=0)
    # The normaliser of the geometric mean: -log Σ exp E log p is the divergence, never negative by Jensen.
    highest = mean.max(axis=1, keepdims=True)
    normaliser = (highest + np.log(np.exp(mean - highest).sum(axis=1, keepdims=True)))[:, 0]
    own = np.take_along_axis(mean, y.astype(np.int64)[:, None], axis=1)[:, 0]
    return -own, normaliser - own, -normaliser


def learner_bias_variance(
    learner: Learner,
    dataset: Dataset,
    test: Dataset,
    *,
    models: int = 10,
    loss: Literal["zero-one", "cross-entropy"] = "zero-one",
    seed: int = 0,
) -> BiasVariance:
    """Train on bootstrap resamples of a dataset and decompose the loss on test data.

    Resamples overlap, so the variance is that of the bootstrap, not of fresh training sets. The seed of each training
    differs too: the variance holds what initialisation and order of the rows contribute.

    Args:
        learner: what trains.
        dataset: what is resampled, with replacement, to its own size.
        test: what is predicted.
        models: how many trainings.
        loss: see `bias_variance`.
        seed: of resampling and trainings.

    Raises:
        ValueError: if `models` is less than 1 or the loss is unknown.
    """
    if models < 1:
        raise ValueError(f"learner_bias_variance: expected models >= 1, got {models}")
    sampler = RandomSampler(dataset, replacement=True)
    found = []
    for number in range(models):
        model = learner.fit(Subset(dataset, sampler.order(seed, number)), seed + number)
        found.append(Predictor(model).probabilities(learner.batches(test)))
    stacked = np.stack(found)
    return bias_variance(stacked if loss == "cross-entropy" else stacked.argmax(axis=2), labels_of(test), loss)
