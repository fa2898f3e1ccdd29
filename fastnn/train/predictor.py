"""One object that predicts: a network or several, on the images as they are or on several views of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..nn import Module, ModuleList
from ..nn.mode import evaluation_mode
from .evaluation import Batches

if TYPE_CHECKING:
    from ..transforms import Views

__all__ = ["Combine", "Predictions", "Predictor"]

Array: TypeAlias = npt.NDArray[Any]
Combine: TypeAlias = Literal["probabilities", "logits", "votes"]
Model: TypeAlias = Callable[[Tensor], Tensor]


class Predictions(NamedTuple):
    """What an ensemble predicts, and what each of its models would by itself.

    Attributes:
        probabilities: of the ensemble, (N, C), rows adding up to 1.
        members: of every model alone, over the same views, (M, N, C).
    """

    probabilities: Array
    members: Array


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
        return self.predictions(inputs, batch_size).probabilities

    def predictions(self, inputs: Tensor | Batches, batch_size: int = 500) -> Predictions:
        """The combined prediction and that of every model alone, in one pass; arguments as for `probabilities`.

        Raises:
            ValueError: if a loader is empty, or `batch_size` < 1.
        """
        together, alone = [], []
        with evaluation_mode(self):
            for batch in _batches(inputs, batch_size):
                scores, dtype = self._scores(batch)
                total = _weighted_sum(self.weights, scores).astype(dtype)
                together.append(_softmax(total) if self.combine == "logits" else total)
                scores = scores.astype(dtype)
                alone.append(_softmax(scores, axis=2) if self.combine == "logits" else scores)
        if not together:
            raise ValueError("Predictor: expected at least one batch, got an empty loader")
        return Predictions(np.concatenate(together), np.concatenate(alone, axis=1))

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
        if self.views is not None:
            if input.ndim != 4:
                raise ValueError(f"Predictor: views need images (N, C, H, W), got shape {tuple(input.shape)}")
            images = self.views(input.data.transpose(0, 2, 3, 1))
            shown = [Tensor(np.ascontiguousarray(view).transpose(0, 3, 1, 2)) for view in images]
        with evaluation_mode(self):
            for model, weight in zip(self.models, self.weights, strict=True):
                for view, share in zip(shown, self._shares, strict=True):
                    yield weight * share, model(view).data

    @property
    def _shares(self) -> tuple[float, ...]:
        """The weight of each view."""
        return (1.0,) if self.views is None else self.views.weights

    def _combined(self, input: Tensor) -> Array:
        """p, or the weighted mean of the outputs, in the dtype of the outputs."""
        scores, dtype = self._scores(input)
        return _weighted_sum(self.weights, scores).astype(dtype)

    def _scores(self, input: Tensor) -> tuple[Array, np.dtype[Any]]:
        """What `_combined` is made of, each model's mean over the views, (M, N, C) float64; and the outputs' dtype."""
        rows = []
        for _, output in self.members(input):
            score = output.astype(np.float64)
            if self.combine == "probabilities":
                score = _softmax(score)
            elif self.combine == "votes":
                score = _one_hot(score)
            rows.append(score)
        count = len(self._shares)
        means = [_weighted_sum(self._shares, rows[start : start + count]) for start in range(0, len(rows), count)]
        return np.stack(means), output.dtype

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


def _weighted_sum(weights: Sequence[float], parts: Sequence[Array] | Array) -> Array:
    """`Σ w_i part_i`, added up one by one in their order."""
    total: Array = weights[0] * parts[0]
    for weight, part in zip(weights[1:], parts[1:], strict=True):
        total = total + weight * part
    return total


def _softmax(scores: Array, axis: int = 1) -> Array:
    """`exp(s) / Σ exp(s)` over the classes."""
    shifted = np.exp(scores - scores.max(axis=axis, keepdims=True))
    probabilities: Array = shifted / shifted.sum(axis=axis, keepdims=True)
    return probabilities


def _one_hot(scores: Array) -> Array:
    """1 at the largest score of each row, the first of equal ones; 0 elsewhere."""
    votes = np.zeros_like(scores)
    np.put_along_axis(votes, np.argmax(scores, axis=1, keepdims=True), 1.0, axis=1)
    return votes
