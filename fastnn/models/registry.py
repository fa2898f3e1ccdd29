"""All networks by name."""

from __future__ import annotations

from collections.abc import Callable

from ..nn.module import Module
from ..random import Generator
from . import all_cnn, densenet, mobilenet, resnet, vgg, wide_resnet
from .convnet import digits, small
from .lenet import lenet5
from .mlp import mlp
from .mobile import mobile
from .speed94 import speed94

_FAMILIES: dict[str, dict[str, Callable[..., Module]]] = {
    "mlp": {"mlp": mlp},
    "lenet": {"lenet5": lenet5},
    "convnet": {"digits": digits, "small": small},
    "vgg": vgg.MODELS,
    "all_cnn": all_cnn.MODELS,
    "resnet": resnet.MODELS,
    "wide_resnet": wide_resnet.MODELS,
    "densenet": densenet.MODELS,
    "mobilenet": {"mobile": mobile, **mobilenet.MODELS},
    "speed94": {"speed94": speed94},
}
_MODELS = {name: make for family in _FAMILIES.values() for name, make in family.items()}


def families() -> list[str]:
    """The families of networks; `names(family)` has their members."""
    return list(_FAMILIES)


def names(family: str | None = None) -> list[str]:
    """The names that `create` knows.

    Args:
        family: one of `families()`, for the names of its members alone.

    Raises:
        ValueError: if there is no such family.

    Example:
        >>> names("densenet")
        ['densenet_bc_40_12', 'densenet_bc_100_12']
    """
    if family is None:
        return list(_MODELS)
    if family not in _FAMILIES:
        raise ValueError(f"names: there is no family {family!r}; there are {', '.join(_FAMILIES)}")
    return list(_FAMILIES[family])


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
