"""Running a network without training it: evaluation on a loader, and predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor, no_grad
from ..inference import Compiled
from ..nn import Module
from ..nn.mode import evaluation_mode
from .metrics import Accuracy, Mean, Metric

__all__ = ["Batches", "Loss", "evaluate", "predict"]

Batches = Iterable[tuple[Tensor, ...]]
Loss = Callable[[Tensor, Tensor], Tensor]


def _evaluating(model: Module | Compiled) -> AbstractContextManager[None]:
    """What a network is called under for its results only; a compiled one sees to its mode itself."""
    return no_grad() if isinstance(model, Compiled) else evaluation_mode(model)


def evaluate(
    model: Module | Compiled, loader: Batches, loss: Loss, metrics: Mapping[str, Metric] | None = None
) -> dict[str, Any]:
    """Mean loss and metrics over all batches of a loader, in evaluation mode and without gradients.

    Args:
        model: the network, or what `inference.compile` made of it, which pays from about ten batches on; its
            parameters, buffers and modes are afterwards as before.
        loader: yields (x, y).
        loss: maps (output, y) to a mean over the batch; batches are weighted by their size.
        metrics: by name; emptied first. By default `{"accuracy": Accuracy()}`.

    Shape:
        x (N, ...), output (N, C), y (N,).

    Returns:
        "loss", and each metric under its name; NaN where the loader is empty.

    Example:
        >>> from fastnn import data, models, nn
        >>> loader = data.DataLoader(data.Digits(train=False), batch_size=100)
        >>> sorted(evaluate(models.create("digits", 10, 1, 8), loader, nn.CrossEntropyLoss()))
        ['accuracy', 'loss']
    """
    gathered = {"accuracy": Accuracy()} if metrics is None else metrics
    for metric in gathered.values():
        metric.reset()
    mean = Mean()
    with _evaluating(model):
        for x, y in loader:
            output = model(x)
            mean.add(loss(output, y).item(), len(y.data))
            for metric in gathered.values():
                metric.update(output.data, y.data)
    return {"loss": mean.value, **{name: metric.compute() for name, metric in gathered.items()}}


def predict(model: Module | Compiled, inputs: Tensor | Batches) -> npt.NDArray[Any]:
    """The outputs of a network, in evaluation mode and without gradients.

    Args:
        model: the network, or what `inference.compile` made of it.
        inputs: one batch of inputs, or a loader that yields (x, ...), of which only x is looked at.

    Shape:
        inputs (N, ...) -> (N, C)

    Returns:
        The outputs of all batches, one after the other.

    Raises:
        ValueError: if the loader is empty.
    """
    batches = ((inputs,),) if isinstance(inputs, Tensor) else inputs
    with _evaluating(model):
        outputs = [model(batch[0]).data for batch in batches]
    if not outputs:
        raise ValueError("predict: expected at least one batch, got an empty loader")
    return np.concatenate(outputs)
