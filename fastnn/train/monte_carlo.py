"""Predictions with dropout left on: their mean and their spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn import Module
from ..nn.mode import stochastic_mode
from .evaluation import Batches
from .plots import softmax

__all__ = ["MonteCarlo", "predict_monte_carlo"]


@dataclass(frozen=True)
class MonteCarlo:
    """What n passes with random masks gave.

    Attributes:
        mean: mean over the passes, (N, C).
        spread: standard deviation over the passes, (N, C), with n - 1 in the denominator.
        samples: n.
    """

    mean: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    samples: int


def predict_monte_carlo(
    model: Module, inputs: Tensor | Batches, samples: int = 30, *, probabilities: bool = False
) -> MonteCarlo:
    """The outputs of a network over n passes in which dropout, DropConnect, stochastic depth and noise stay random.

        mean = 1/n Σ yᵢ;  spread² = 1/(n-1) Σ (yᵢ - mean)²

    Everything else, batch norms above all, is in evaluation mode. Masks come from the generators of the layers. Mean
    and spread are updated pass by pass, so that memory does not grow with n.

    Args:
        model: the network.
        inputs: one batch of inputs, or a loader that yields (x, ...) and does the same each time.
        samples: n, >= 2.
        probabilities: take the softmax of every pass first.

    Shape:
        inputs (N, ...) -> (N, C)

    Raises:
        ValueError: if `samples` < 2, or the loader is empty.

    Source: Srivastava et al. 2014, section 7.5; Gal, Ghahramani 2016, arXiv:1506.02142.
    """
    if samples < 2:
        raise ValueError(f"predict_monte_carlo: expected samples >= 2, got {samples}")
    batches: Any = ((inputs,),) if isinstance(inputs, Tensor) else inputs
    means, spreads = [], []
    with stochastic_mode(model):
        for batch in batches:
            mean = square = np.zeros(())
            for count in range(1, samples + 1):
                y = model(batch[0]).data.astype(np.float64)
                y = softmax(y) if probabilities else y
                before = y - mean
                mean = mean + before / count
                square = square + before * (y - mean)
            means.append(mean)
            spreads.append(np.sqrt(square / (samples - 1)))
    if not means:
        raise ValueError("predict_monte_carlo: expected at least one batch, got an empty loader")
    return MonteCarlo(np.concatenate(means), np.concatenate(spreads), samples)
