"""Feature extraction: what a network sees of every image, computed once, and a linear classifier trained on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..data import DataLoader, Dataset, TensorDataset
from ..data.loader import BatchTransform
from ..nn import Linear, Module, Parameter
from ..nn import functional as F
from ..nn.mode import evaluation_mode
from ..optim import LBFGS, Optimizer
from .head import Head, find_head, replace_head

__all__ = ["extract_features", "fit_head", "fit_linear"]

Reals: TypeAlias = npt.NDArray[Any]


def extract_features(
    model: Module, dataset: Dataset, *, transform: BatchTransform | None = None, batch_size: int = 500
) -> TensorDataset:
    """The inputs of a network's head for every row of a dataset, each computed once.

    The network runs in evaluation mode and without gradients, as it is; its modes are afterwards as before. Where the
    head is a 1x1 convolution, its input is averaged over the image.

    Args:
        model: the network.
        dataset: rows (x, y) in a fixed order.
        transform: of the images, for instance `augmentation("none", ...)` or a zoo card's `transform()`.
        batch_size: rows that are looked at together.

    Shape:
        x (N, ...) -> features (N, D), y as they are

    Returns:
        A dataset of features and y.

    Raises:
        ValueError: if the network has no head, does not call it once for a batch, or the dataset is empty.

    Example:
        >>> from fastnn import data, models
        >>> images = data.ArrayDataset(np.zeros((4, 12, 12), np.uint8), [0, 1, 1, 0])
        >>> features = extract_features(models.create("lenet5", 10, 1, 12), images)
        >>> [column.shape for column in features.tensors]
        [(4, 84), (4,)]
    """
    name, head = find_head(model)
    seen: list[Reals] = []
    targets: list[Reals] = []
    handle = head.register_forward_pre_hook(lambda module, args: seen.append(_features(args[0])))
    try:
        with evaluation_mode(model):
            for x, y, *_ in DataLoader(dataset, batch_size, transform=transform, seed=0):
                model(x)
                targets.append(y.data)
                if len(seen) != len(targets) or len(seen[-1]) != len(y.data):
                    raise ValueError(f"extract_features: expected the model to call '{name}' once for a batch")
    finally:
        handle.remove()
    if not seen:
        raise ValueError("extract_features: expected a dataset with rows, got an empty one")
    return TensorDataset(np.concatenate(seen), np.concatenate(targets))


def _features(input: Tensor) -> Reals:
    """A copy of a head's input, (N, D)."""
    array = input.data
    return array.mean(axis=(2, 3)) if array.ndim == 4 else array.reshape(len(array), -1).copy()


def fit_linear(
    features: TensorDataset,
    num_classes: int,
    *,
    l2: float = 1e-3,
    optimizer: Callable[[Iterable[Parameter]], Optimizer] | None = None,
    epochs: int = 100,
    batch_size: int = 64,
    seed: int = 0,
) -> Linear:
    """A linear classifier of features: multinomial logistic regression.

        minimises  1/N Σ cross-entropy(W x + b, y) + l2/2 ‖W‖²

    By default L-BFGS does so to convergence, in float64, from zeros: the problem is convex, so nothing is random and
    nothing is to be tuned but `l2`. Or an optimiser of your own makes steps on mini-batches, under the same loss.

    Args:
        features: rows (x, y), as `extract_features` gives them.
        num_classes: K; labels are in [0, K).
        l2: weight of the penalty, >= 0; the bias bears none.
        optimizer: makes an optimiser of the parameters; None for L-BFGS.
        epochs: passes of such an optimiser over the rows.
        batch_size: its batches.
        seed: order of its rows.

    Shape:
        features (N, D) and (N,); the classifier maps (N, D) -> (N, K).

    Returns:
        The classifier, of the features' dtype.

    Raises:
        ValueError: if the features are not (N, D) with a label in [0, K) for each, or a number is out of range.

    Example:
        >>> from fastnn.data import TensorDataset
        >>> x = np.array([[-1.0], [-0.5], [0.5], [1.0]], np.float32)
        >>> classifier = fit_linear(TensorDataset(x, np.array([0, 0, 1, 1])), 2, l2=0.01)
        >>> classifier(fastnn.tensor([[0.2]])).argmax(dim=1).tolist()
        [1]
    """
    x, y = _checked(features, num_classes, l2)
    wide = Linear(x.shape[1], num_classes, dtype=np.float64)
    for parameter in wide.parameters():
        parameter.data[...] = 0

    def loss(inputs: Tensor, labels: Tensor) -> Tensor:
        penalty = (wide.weight * wide.weight).sum() * (l2 / 2)
        total: Tensor = F.cross_entropy(wide(inputs), labels) + penalty
        return total

    x64 = x.astype(np.float64)
    if optimizer is None:
        _minimise(wide, lambda: loss(Tensor(x64), Tensor(y)))
        return wide.to(x.dtype)
    method = optimizer(wide.parameters())
    loader = DataLoader(TensorDataset(x64, y), batch_size, shuffle=True, seed=seed)
    for _ in range(epochs):
        for inputs, labels in loader:
            method.zero_grad()
            loss(inputs, labels).backward()
            method.step()
    return wide.to(x.dtype)


def _checked(features: TensorDataset, num_classes: int, l2: float) -> tuple[Reals, npt.NDArray[np.int64]]:
    """Features and labels as `fit_linear` needs them."""
    x, y = features.tensors[0], np.asarray(features.tensors[1])
    if x.ndim != 2 or x.dtype.kind != "f" or not len(x) or y.shape != (len(x),) or y.dtype.kind not in "iu":
        raise ValueError(
            f"fit_linear: expected floating features (N, D) and integer labels (N,), got {x.dtype} {x.shape} and "
            f"{y.dtype} {y.shape}"
        )
    if num_classes < 1 or y.min() < 0 or y.max() >= num_classes:
        raise ValueError(f"fit_linear: expected labels from 0 to {num_classes - 1}, got {y.min()} to {y.max()}")
    if not l2 >= 0:
        raise ValueError(f"fit_linear: expected l2 >= 0, got {l2!r}")
    return x, y.astype(np.int64)


def _minimise(model: Module, value: Callable[[], Tensor]) -> None:
    """Bring a loss to its minimum."""
    method = LBFGS(
        model.parameters(), max_iter=500, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        method.zero_grad()
        loss = value()
        loss.backward()
        return loss

    method.step(closure)


def fit_head(
    model: Module,
    dataset: Dataset,
    num_classes: int,
    *,
    transform: BatchTransform | None = None,
    **options: Any,
) -> Head:
    """Feature extraction and linear classifier in one: the network gets a new head, trained on what it sees.

    `extract_features`, `fit_linear` and `replace_head` one after the other; the rest of the network stays as it is.

    Args:
        model: the network, changed in place.
        dataset: rows (x, y).
        num_classes: of the new head.
        transform: of the images.
        **options: `l2`, `optimizer` and others of `fit_linear`.

    Shape:
        The network then maps (N, ...) -> (N, num_classes).

    Returns:
        The new head.

    Raises:
        ValueError: as those do; nothing has changed then.
    """
    features = extract_features(model, dataset, transform=transform)
    classifier = fit_linear(features, num_classes, **options)
    head = replace_head(model, num_classes, bias=True)
    head.weight.data[...] = classifier.weight.data.reshape(head.weight.shape)
    assert head.bias is not None
    assert classifier.bias is not None
    head.bias.data[...] = classifier.bias.data
    return head
