"""One object that predicts: a network or several, on the images as they are or on several views of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn import Module, ModuleList
from ..nn.mode import evaluation_mode
from .evaluation import Batches

if TYPE_CHECKING:
    from ..transforms import Views

__all__ = ["Combine", "Predictor"]

Array: TypeAlias = npt.NDArray[Any]
Combine: TypeAlias = Literal["probabilities", "logits", "votes"]
Model: TypeAlias = Callable[[Tensor], Tensor]


class Predictor(Module):
    """Predictions of an ensemble, of test-time views, or both, averaged.

    Every model looks at every view; the outputs z of the M pairs are combined with weights w that add up to 1,
    those of the models times those of the views:

        'probabilities'   p = Σ w softmax(z)
        'logits'          p = softmax(Σ w z), for outputs of any other kind the mean
        'votes'           p = Σ w [class of the largest z], equal ones going to the first

    It is a module, which gives scores whose softmax is p: log p or, for 'logits', the mean Σ w z. So whatever takes
    a network takes a predictor, `evaluate` with its cross-entropy included. Its members compute in evaluation mode
    and without gradients, and are afterwards in the mode they were in.

    Args:
        models: a network, or several; other callables that map a Tensor to a Tensor will do.
        combine: 'probabilities', 'logits' or 'votes'.
        views: what every image is shown as, see `fastnn.transforms.Views`; None for the image alone. Views need
            images, (N, C, H, W).
        weights: the weight of each model, in any scale; None for equal ones.

    Shape:
        (N, ...) -> (N, C)

    Raises:
        ValueError: if there is no model, `combine` is unknown, or the weights do not suit.
        TypeError: if a model cannot be called.

    Source: averaging over models and views: Krizhevsky, Sutskever, Hinton 2012; voting: Breiman, "Bagging
    predictors", 1996.

    Example:
        >>> from fastnn import nn, tensor
        >>> pair = Predictor([nn.Identity(), lambda x: -x], combine="probabilities")
        >>> pair.probabilities(tensor([[3.0, 0.0]])).tolist()
        [[0.5, 0.5]]
    """

    def __init__(
        self,
        models: Model | Sequence[Model],
        *,
        combine: Combine = "probabilities",
        views: Views | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        members: list[Any] = list(models) if isinstance(models, Sequence | ModuleList) else [models]
        if not members:
            raise ValueError("Predictor: expected at least one model, got none")
        for model in members:
            if not callable(model):
                raise TypeError(f"Predictor: expected models to be callable, got {type(model).__name__}")
        if combine not in get_args(Combine):
            raise ValueError(f"Predictor: expected combine to be one of {get_args(Combine)}, got {combine!r}")
        self.models: list[Model] = members
        self.combine, self.views = combine, views
        self.weights = _normalised(weights, len(members))

    def forward(self, input: Tensor) -> Tensor:
        """Scores whose softmax is the combined prediction.

        Args:
            input: a batch of inputs.

        Shape:
            (N, ...) -> (N, C)
        """
        with evaluation_mode(self):
            total = self._combined(input)
        if self.combine != "logits":
            with np.errstate(divide="ignore"):
                total = np.log(total)
        return Tensor(total)

    def probabilities(self, inputs: Tensor | Batches, batch_size: int = 500) -> Array:
        """The combined prediction as probabilities.

        Args:
            inputs: all inputs, or a loader that yields (x, ...), of which only x is looked at.
            batch_size: inputs that are looked at together, if they come as a Tensor.

        Shape:
            inputs (N, ...) -> (N, C), rows adding up to 1

        Raises:
            ValueError: if a loader is empty, or `batch_size` < 1.
        """
        parts = []
        with evaluation_mode(self):
            for batch in _batches(inputs, batch_size):
                total = self._combined(batch)
                parts.append(_softmax(total) if self.combine == "logits" else total)
        if not parts:
            raise ValueError("Predictor: expected at least one batch, got an empty loader")
        return np.concatenate(parts)

    def classes(self, inputs: Tensor | Batches, batch_size: int = 500) -> npt.NDArray[np.int64]:
        """The likeliest class of each input, the first of equal ones; arguments as for `probabilities`.

        Shape:
            inputs (N, ...) -> (N,)
        """
        chosen: npt.NDArray[np.int64] = np.argmax(self.probabilities(inputs, batch_size), axis=1)
        return chosen

    def members(self, input: Tensor) -> Iterator[tuple[float, Array]]:
        """The weight and the outputs of every model on every view: what is combined, or looked at one by one.

        Args:
            input: a batch of inputs.

        Shape:
            (N, ...) -> len(models) times the number of views: weight, (N, C)
        """
        shown: list[Tensor] = [input]
        shares: tuple[float, ...] = (1.0,)
        if self.views is not None:
            if input.ndim != 4:
                raise ValueError(f"Predictor: views need images (N, C, H, W), got shape {tuple(input.shape)}")
            images = self.views(input.data.transpose(0, 2, 3, 1))
            shown = [Tensor(np.ascontiguousarray(view).transpose(0, 3, 1, 2)) for view in images]
            shares = self.views.weights
        with evaluation_mode(self):
            for model, weight in zip(self.models, self.weights, strict=True):
                for view, share in zip(shown, shares, strict=True):
                    yield weight * share, model(view).data

    def _combined(self, input: Tensor) -> Array:
        """p, or the weighted mean of the outputs: added up in float64, in a fixed order."""
        total: Array | None = None
        dtype = np.dtype(np.float32)
        for weight, output in self.members(input):
            dtype = output.dtype
            score = output.astype(np.float64)
            if self.combine == "probabilities":
                score = _softmax(score)
            elif self.combine == "votes":
                score = _one_hot(score)
            total = weight * score if total is None else total + weight * score
        assert total is not None
        return total.astype(dtype)

    def __repr__(self) -> str:
        return f"Predictor({len(self.models)} models, combine={self.combine!r}, views={self.views!r})"


def _normalised(weights: Sequence[float] | None, count: int) -> tuple[float, ...]:
    if weights is None:
        return (1 / count,) * count
    given = [float(weight) for weight in weights]
    total = math.fsum(given)
    if len(given) != count or min(given) < 0 or not 0 < total < math.inf:
        raise ValueError(f"Predictor: expected {count} weights >= 0, one per model and not all 0, got {weights!r}")
    return tuple(weight / total for weight in given)


def _batches(inputs: Tensor | Batches, batch_size: int) -> Iterator[Tensor]:
    if not isinstance(inputs, Tensor):
        yield from (batch[0] for batch in inputs)
        return
    if batch_size < 1:
        raise ValueError(f"Predictor: expected batch_size >= 1, got {batch_size}")
    for start in range(0, max(inputs.shape[0], 1), batch_size):
        yield Tensor(inputs.data[start : start + batch_size])


def _softmax(scores: Array) -> Array:
    """`exp(s) / Σ exp(s)` over the classes, dimension 1."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Array = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


def _one_hot(scores: Array) -> Array:
    """1 at the largest score of each row, the first of equal ones; 0 elsewhere."""
    votes = np.zeros_like(scores)
    np.put_along_axis(votes, np.argmax(scores, axis=1, keepdims=True), 1.0, axis=1)
    return votes
