"""Recipes: trainings worth repeating, as plain data, one file each.

`fastnn train --recipe NAME` runs one, with any setting changed that is given; `fastnn recipes` lists them.

Example:
    >>> from fastnn import recipes
    >>> recipes.find("speed94").config(data_dir="data").epochs
    9.9
"""

from __future__ import annotations

from . import (
    digits,
    lenet5_mnist,
    mobilenet_cifar10,
    resnet8_cifar10,
    resnet20_cifar10,
    small_cnn_mnist,
    speed94,
    wrn16_4_cifar10,
)  # fmt: skip
from .recipe import Recipe

__all__ = ["Recipe", "find", "names"]

_RECIPES: dict[str, Recipe] = {
    module.RECIPE.name: module.RECIPE
    for module in (
        digits, lenet5_mnist, small_cnn_mnist, resnet8_cifar10, resnet20_cifar10, wrn16_4_cifar10, mobilenet_cifar10,
        speed94,
    )
}  # fmt: skip
_ALIASES = {alias: recipe.name for recipe in _RECIPES.values() for alias in recipe.aliases}


def names() -> list[str]:
    """The names of all recipes, the quickest first."""
    return list(_RECIPES)


def find(name: str) -> Recipe:
    """The recipe of a name, or of another spelling of it: "small-cnn/MNIST" is "small-cnn-mnist".

    Raises:
        ValueError: if there is none; the message lists the known ones.
    """
    key = name.lower().replace("/", "-").replace("_", "-").replace(" ", "-")
    key = _ALIASES.get(key, key)
    if key not in _RECIPES:
        raise ValueError(f"there is no recipe {name!r}; recipes are {', '.join(_RECIPES)}")
    return _RECIPES[key]
