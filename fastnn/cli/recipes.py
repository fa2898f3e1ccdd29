"""`fastnn recipes`: what `fastnn train --recipe` knows."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..recipes import Recipe

__all__ = ["add_arguments", "run"]

_WIDTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="show this recipe whole")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def run(args: argparse.Namespace) -> int:
    """Print.

    Raises:
        ValueError: if there is no such recipe.
    """
    from .. import recipes
    from ..train.files import json_text

    if args.name is not None:
        recipe = recipes.find(args.name)
        told: Any = recipe.to_dict()
        text = describe(recipe)
    else:
        every = [recipes.find(name) for name in recipes.names()]
        told = {"recipes": [recipe.to_dict() for recipe in every]}
        width = max(len(recipe.name) for recipe in every)
        text = "\n".join(f"{recipe.name:{width}}  {recipe.title}" for recipe in every)
        text += "\n`fastnn recipes NAME` shows one whole, `fastnn train --recipe NAME` runs it."
    print(json_text(told) if args.json else text)
    return 0


def describe(recipe: Recipe) -> str:
    """A recipe in words and a table of its settings."""
    names = ", ".join((recipe.name, *recipe.aliases))
    told = [f"{names}: {recipe.title}", recipe.purpose, f"Source: {recipe.source}."]
    if recipe.published:
        told.append(f"Published: {recipe.published}.")
    lines = [line for part in told for line in textwrap.wrap(part, _WIDTH)]
    settings = recipe.to_dict()["settings"]
    width = max(map(len, settings))
    return "\n".join([*lines, "", *(f"  {name:{width}}  {_plain(value)}" for name, value in settings.items())])


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
