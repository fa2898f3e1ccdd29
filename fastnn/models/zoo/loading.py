"""A network of the zoo, with its weights."""

from __future__ import annotations

import os

from ...nn.module import Module
from .cards import card
from .files import find
from .rounding import restore

__all__ = ["load"]


def load(name: str, source: str | os.PathLike[str] | None = None, *, progress: bool = True) -> Module:
    """A trained network, in evaluation mode.

    Args:
        name: one of `names()`.
        source: where its weights are if they are not in the package, see `find`.
        progress: whether to show a bar while they are fetched.

    Returns:
        The network; `card(name)` knows its classes and the `transform()` of its images.

    Raises:
        ValueError: if there is none of that name, or a file has another checksum than the card says.
        FileNotFoundError, OSError: if the weights are not there or cannot be fetched.

    Example:
        >>> from fastnn import data
        >>> held_out = data.Digits(train=False)
        >>> loader = data.DataLoader(held_out, len(held_out), transform=card("digits").transform())
        >>> scores = load("digits")(next(iter(loader))[0])
        >>> bool((scores.data.argmax(axis=1) == held_out.labels).mean() > 0.98)
        True
    """
    from ...random import Generator
    from ...serialization import load as read
    from .. import create

    facts = card(name)
    path = find(facts, source, progress=progress)
    # A generator of its own: loading must not move the default one.
    size = (facts.height, facts.width)
    model = create(facts.model, len(facts.classes), facts.channels, size, Generator(0))
    model.load_state_dict(restore(read(path)))
    return model.eval()
