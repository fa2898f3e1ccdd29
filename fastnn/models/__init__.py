"""Small networks for small images, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..nn.module import Module
from ..random import Generator
from . import zoo
from .convnet import digits, small
from .lenet import lenet5
from .mlp import mlp
from .mobile import mobile
from .resnet import BasicBlock, PadShortcut, ResNet, resnet
from .speed94 import Speed94, speed94

__all__ = [
    "BasicBlock",
    "PadShortcut",
    "ResNet",
    "Speed94",
    "create",
    "digits",
    "lenet5",
    "mlp",
    "mobile",
    "names",
    "resnet",
    "small",
    "speed94",
    "zoo",
]

_DEPTHS = (8, 14, 20, 32, 44, 56)
_MODELS: dict[str, Callable[..., Module]] = {
    "digits": digits,
    "mlp": mlp,
    "lenet5": lenet5,
    "small": small,
    **{f"resnet{depth}": partial(resnet, depth) for depth in _DEPTHS},
    "mobile": mobile,
    "speed94": speed94,
}


def names() -> list[str]:
    """The names that `create` knows."""
    return list(_MODELS)


def create(
    name: str,
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int | tuple[int, int] = 32,
    generator: Generator | None = None,
) -> Module:
    """The network called `name`, for images of one size and one set of classes.

    Args:
        name: one of `names()`.
        num_classes: the number of outputs.
        in_channels: channels of the images.
        image_size: their height and width, one int if equal.
        generator: where the initial values come from; None means the default generator.

    Shape:
        The network maps (N, in_channels, height, width) -> (N, num_classes).

    Raises:
        ValueError: if there is no such network, or the images are too small for it.

    Example:
        >>> sum(p.data.size for p in create("resnet20").parameters())
        269722
    """
    if name not in _MODELS:
        raise ValueError(f"create: there is no model '{name}'; there are {', '.join(_MODELS)}")
    if num_classes < 1 or in_channels < 1:
        raise ValueError(f"create: expected positive sizes, got {num_classes=}, {in_channels=}")
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"create: expected image_size to be one or two positive ints, got {image_size}")
    return _MODELS[name](num_classes, in_channels, size, generator)
