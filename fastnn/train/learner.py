"""A learning algorithm as one object: data, a seed and perhaps sample weights in, a trained model out.

Cross-validation, learning curves, bagging and boosting train many models on parts of a dataset; this is what they
call for each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..data import DataLoader, Dataset
from ..data.loader import BatchTransform
from ..nn import Module, Parameter
from ..nn import functional as F
from ..optim import Optimizer
from ..optim.lr_scheduler import LRScheduler
from ..random import default_generator
from .evaluation import Batches

__all__ = ["Learner", "NetworkLearner", "labels_of"]

Model: TypeAlias = Callable[[Tensor], Tensor]
Weights: TypeAlias = npt.NDArray[np.float64]


class Learner(ABC):
    """Something that learns from a dataset. Subclasses define `fit`."""

    @abstractmethod
    def fit(self, dataset: Dataset, seed: int, weights: Weights | None = None) -> Model:
        """Train a model.

        Args:
            dataset: rows (x, y).
            seed: equal seeds give equal models.
            weights: how much each row counts, in any scale; None for all alike.

        Shape:
            weights (len(dataset),)

        Returns:
            Maps a Tensor of inputs to a Tensor of scores.

        Raises:
            NotImplementedError: if weights are given to a learner that cannot use them.
        """

    def batches(self, dataset: Dataset) -> Batches:
        """The rows of a dataset in order, prepared as the model wants its inputs."""
        return DataLoader(dataset, 500, seed=0)


class NetworkLearner(Learner):
    """Trains a network by a fixed number of epochs of mini-batches.

        loss of a batch = 1/B Σ wᵢ loss(zᵢ, yᵢ),    weights w scaled to mean 1 over the dataset

    Initialisation, order of the rows and dropout come from the seed; the default generator is afterwards in the
    state it was in.

    Args:
        model: makes a network.
        optimizer: makes an optimiser of its parameters.
        epochs: passes over the dataset.
        batch_size: rows in a batch.
        loss: maps (output, y) to the loss of each row; by default the cross-entropy with `reduction="none"`.
        transform: of the training images.
        test_transform: of the images that are predicted; by default none.
        scheduler: makes a schedule of the optimiser, stepped after every batch, given the number of all steps.

    Raises:
        ValueError: if `epochs` or `batch_size` is less than 1.

    Example:
        >>> from fastnn import data, models, optim
        >>> learner = NetworkLearner(
        ...     lambda: models.create("mlp", 10, 1, 8), lambda p: optim.Adam(p, lr=3e-3), epochs=1
        ... )
        >>> model = learner.fit(data.Digits(), seed=0)
        >>> model(fastnn.zeros(2, 1, 8, 8)).shape
        (2, 10)
    """

    def __init__(
        self,
        model: Callable[[], Module],
        optimizer: Callable[[Iterable[Parameter]], Optimizer],
        *,
        epochs: int,
        batch_size: int = 32,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        transform: BatchTransform | None = None,
        test_transform: BatchTransform | None = None,
        scheduler: Callable[[Optimizer, int], LRScheduler] | None = None,
    ) -> None:
        if epochs < 1 or batch_size < 1:
            raise ValueError(f"NetworkLearner: expected epochs and batch_size >= 1, got {epochs} and {batch_size}")
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.epochs, self.batch_size = epochs, batch_size
        self.loss = partial(F.cross_entropy, reduction="none") if loss is None else loss
        self.transform, self.test_transform = transform, test_transform

    def fit(self, dataset: Dataset, seed: int, weights: Weights | None = None) -> Module:
        if weights is not None:
            dataset = _Weighted(dataset, weights)
        before = default_generator.get_state()
        default_generator.manual_seed(seed)
        try:
            loader = DataLoader(dataset, self.batch_size, shuffle=True, transform=self.transform, seed=seed)
            model = self.model()
            self._train(model, loader)
        finally:
            default_generator.set_state(before)
        return model.eval()

    def _train(self, model: Module, loader: DataLoader) -> None:
        optimizer = self.optimizer(model.parameters())
        scheduler = self.scheduler(optimizer, self.epochs * len(loader)) if self.scheduler is not None else None
        model.train()
        for _ in range(self.epochs):
            for x, y, *weight in loader:
                losses = self.loss(model(x), y)
                if weight:
                    losses = losses * weight[0]
                optimizer.zero_grad()
                losses.mean().backward()
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()

    def batches(self, dataset: Dataset) -> Batches:
        return DataLoader(dataset, 500, transform=self.test_transform, seed=0)


class _Weighted(Dataset):
    """A dataset with a further column: the weight of each row, scaled to mean 1."""

    def __init__(self, dataset: Dataset, weights: Weights) -> None:
        given = np.asarray(weights, np.float64)
        if given.shape != (len(dataset),) or not np.isfinite(given).all() or (given < 0).any() or not given.any():
            raise ValueError(
                f"Learner.fit: expected {len(dataset)} finite weights >= 0, not all 0, got shape {given.shape}"
            )
        self.dataset = dataset
        self.weights = (given / given.mean()).astype(np.float32)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return *self.dataset[index], self.weights[index]

    def batch(self, indices: npt.ArrayLike) -> tuple[npt.NDArray[Any], ...]:
        return *self.dataset.batch(indices), self.weights[np.asarray(indices)]


def labels_of(dataset: Dataset) -> npt.NDArray[np.int64]:
    """The class of every row: the dataset's `labels`, or else its second column.

    Shape:
        (len(dataset),)

    Raises:
        ValueError: if they are not integers.
    """
    labels: Any = getattr(dataset, "labels", None)
    if labels is None:
        labels = dataset.batch(np.arange(len(dataset)))[1]
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"expected a dataset with integer labels (N,), got {array.dtype} {array.shape}")
    return array.astype(np.int64)
