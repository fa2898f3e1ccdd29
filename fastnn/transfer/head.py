"""The last layer of a network: finding it, and making room for other classes."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from ..nn import Conv2d, Linear, Module
from ..random import Generator

__all__ = ["Head", "find_head", "put", "replace_head"]

Head: TypeAlias = Linear | Conv2d


def find_head(model: Module) -> tuple[str, Head]:
    """The last linear layer or 1x1 convolution of a network, in the order of assignment.

    Args:
        model: the network.

    Returns:
        Its dotted name and the layer.

    Raises:
        ValueError: if the network has none, or is nothing but one.

    Example:
        >>> from fastnn import models
        >>> find_head(models.create("resnet8"))[0]
        'fc'
    """
    heads = [(name, module) for name, module in model.named_modules() if _is_head(module)]
    if not heads or not heads[-1][0]:
        raise ValueError(f"find_head: expected a network with a last linear or 1x1 convolution, got {model!r}")
    name, head = heads[-1]
    assert isinstance(head, Linear | Conv2d)
    return name, head


def replace_head(
    model: Module,
    num_classes: int,
    *,
    init: Literal["default", "zeros"] = "default",
    bias: bool | None = None,
    generator: Generator | None = None,
) -> Head:
    """Replace the last layer by a new one for another number of classes, in place.

    It has the old one's inputs and dtype, and wants gradients, whether the old one was frozen or not. An
    optimiser that was made before knows nothing of it.

    Args:
        model: the network.
        num_classes: outputs of the new layer.
        init: "default", PyTorch's uniform values; or "zeros", from which the first steps change nothing below.
        bias: whether the new layer has a bias; None means if the old one had.
        generator: where the values come from; None means the default generator.

    Shape:
        The network then maps (N, ...) -> (N, num_classes).

    Returns:
        The new layer.

    Raises:
        ValueError: if the network has no such layer, `num_classes` < 1, or `init` is unknown.

    Example:
        >>> from fastnn import models
        >>> model = models.create("resnet8", num_classes=10)
        >>> replace_head(model, 5)
        Linear(in_features=64, out_features=5, bias=True)
        >>> model(fastnn.zeros(1, 3, 32, 32)).shape
        (1, 5)
    """
    if num_classes < 1:
        raise ValueError(f"replace_head: expected num_classes >= 1, got {num_classes}")
    if init not in ("default", "zeros"):
        raise ValueError(f"replace_head: expected init 'default' or 'zeros', got {init!r}")
    name, old = find_head(model)
    dtype, bias = old.weight.dtype, old.bias is not None if bias is None else bias
    new: Head
    if isinstance(old, Linear):
        new = Linear(old.in_features, num_classes, bias, dtype=dtype, generator=generator)
    else:
        new = Conv2d(
            old.in_channels, num_classes, 1, old.stride, old.padding, bias=bias, dtype=dtype, generator=generator
        )
    if init == "zeros":
        for parameter in new.parameters():
            parameter.data[...] = 0
    new.training = old.training
    put(model, name, new)
    return new


def put(model: Module, name: str, module: Module) -> None:
    """Put a module in the place that a dotted name stands for: an attribute, or an entry of a list or dict in one."""
    place: Any = model
    *above, last = name.split(".")
    for word in above:
        place = _entry(place, word)
    if isinstance(place, list):
        place[int(last)] = module
    elif isinstance(place, dict):
        place[next(key for key in place if str(key) == last)] = module
    else:
        setattr(place, last, module)


def _entry(place: Any, word: str) -> Any:
    """What a word of a dotted name stands for."""
    if isinstance(place, list | tuple):
        return place[int(word)]
    if isinstance(place, dict):
        return next(value for key, value in place.items() if str(key) == word)
    return getattr(place, word)


def _is_head(module: Module) -> bool:
    if isinstance(module, Conv2d):
        return module.weight.shape[2:] == (1, 1) and module.groups == 1 and bool(np.all(np.equal(module.padding, 0)))
    return isinstance(module, Linear)
