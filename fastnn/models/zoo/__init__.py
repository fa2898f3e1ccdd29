"""Trained networks: `names`, `load`, and the `card` of each: how it was trained, on what, and what it scores.

    >>> model = load("digits")
    >>> card("digits").classes
    ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')

A network is a card `weights/NAME.json` and a file `NAME.safetensors`, both written by `scripts/make_zoo.py` from the
folder of a run. Small files lie beside their cards in the package; larger ones are fetched from where the environment
variable `FASTNN_ZOO`, or the argument `source`, says: a folder, or the address of one. Only a file with the SHA-256 of
its card is ever loaded.
"""

from .cards import Card, card, names
from .files import find
from .loading import load

__all__ = ["Card", "card", "find", "load", "names"]
