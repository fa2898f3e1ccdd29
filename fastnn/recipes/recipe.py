"""What a recipe is: the settings of a training that is worth repeating, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..train import Config

__all__ = ["Recipe"]

_OF_A_RUN = ("data_dir", "seed", "checkpoint_every", "recipe")
"""Settings that a run may choose without being another training than the recipe's."""


@dataclass(frozen=True)
class Recipe:
    """A training by name.

    Args:
        name: what `fastnn train --recipe` is given.
        title: model and data in a line.
        purpose: what the recipe is for, in a sentence or two.
        source: where its settings come from.
        settings: fields of `fastnn.train.Config`, those left out having its defaults.
        published: what the source, or others with these settings, report; "" if nothing.
        aliases: further names.

    Example:
        >>> from fastnn import recipes
        >>> recipes.find("digits").config(epochs=3).epochs
        3
    """

    name: str
    title: str
    purpose: str
    source: str
    settings: Mapping[str, Any]
    published: str = ""
    aliases: tuple[str, ...] = ()

    def config(self, **chosen: Any) -> Config:
        """The configuration of a run.

        Args:
            **chosen: other settings, fields of `fastnn.train.Config`; None means the recipe's. With another optimiser
                its default rate, momentum and weight decay hold, where they are not chosen.

        Raises:
            ValueError: for an unknown or impossible setting.
        """
        from ..train import Config

        return Config.derive({**self.settings, "recipe": self.name}, **chosen)

    def changes(self, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """In what a run differs from the recipe, its seed and folders apart.

        Args:
            settings: of the run, as `dataclasses.asdict` gives them.

        Returns:
            By setting the values "recipe" and "run"; empty if nothing differs.
        """
        own = vars(self.config())
        return {
            name: {"recipe": own[name], "run": value}
            for name, value in settings.items()
            if name not in _OF_A_RUN and own[name] != value
        }

    def to_dict(self) -> dict[str, Any]:
        """As plain values, every setting included."""
        config = {name: value for name, value in vars(self.config()).items() if name not in _OF_A_RUN}
        told = {"name": self.name, "aliases": list(self.aliases), "title": self.title, "purpose": self.purpose}
        return {**told, "source": self.source, "published": self.published, "settings": config}
