"""What is known of each trained network: one JSON file, read here, written by `scripts/make_zoo.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...transforms import Compose

__all__ = ["FOLDER", "Card", "card", "names"]

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Card:
    """How a network was trained, on what, what it scores and what its images must look like.

    Attributes:
        name: in the zoo.
        model: a name that `fastnn.models.create` knows.
        classes: names of the outputs.
        held_out: classes of the data set that training never saw.
        channels: of the images.
        height: of the images.
        width: of the images.
        mean: of each channel of the training images, pixels in [0, 1]; what is subtracted.
        std: their deviations; what is divided by.
        data: the training set, where it comes from and what was done to it.
        training: the settings of the run, see `fastnn.train.Config`; None where a setting was not used.
        command: what repeats the training.
        score: "test_accuracy" and "test_loss" of these weights, as they are loaded, "before_rounding" the same of the
            weights as trained, and "test_rows".
        weights: how they are stored: "int8" (see `fastnn.models.zoo.rounding`), "float16" or "float32".
        parameters: their number.
        bytes: size of the file.
        sha256: of the file.
        licence: of the weights, and what is known of that of the data.
    """

    name: str
    model: str
    classes: tuple[str, ...]
    held_out: tuple[str, ...]
    channels: int
    height: int
    width: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    data: str
    training: Mapping[str, Any]
    command: str
    score: Mapping[str, Any]
    weights: str
    parameters: int
    bytes: int
    sha256: str
    licence: str

    @property
    def file(self) -> str:
        """The name of the file with the weights."""
        return f"{self.name}.safetensors"

    @property
    def packaged(self) -> bool:
        """Whether the weights are in the package; if not, `load` fetches them."""
        return (FOLDER / self.file).is_file()

    def transform(self, augment: str = "none") -> Compose:
        """What turns uint8 images into the floats that the network was trained on, see `transforms.augmentation`.

        Args:
            augment: an augmentation to train further with.

        Shape:
            uint8 (N, height, width, channels) -> float32 (N, height, width, channels)
        """
        from ...transforms import augmentation

        return augmentation(augment, (self.height, self.width), self.mean, self.std)

    def to_json(self) -> str:
        """The card as the text of its file."""
        from ...serialization import json_text

        return json_text(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card that `to_json` wrote.

        Raises:
            ValueError: if an entry is missing or unknown, or it is no JSON.
        """
        values = json.loads(text)
        expected = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != expected:
            given = set(values) if isinstance(values, dict) else set()
            raise ValueError(f"Card.from_json: missing or unknown entries {', '.join(sorted(expected ^ given))}")
        lists = {name: tuple(values[name]) for name in ("classes", "held_out", "mean", "std")}
        return cls(**{**values, **lists})


def names() -> list[str]:
    """The networks of the zoo.

    Example:
        >>> "digits" in names()
        True
    """
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def card(name: str) -> Card:
    """What is known of a network of the zoo.

    Args:
        name: one of `names()`.

    Raises:
        ValueError: if there is none of that name.
    """
    known = names()
    if name not in known:
        raise ValueError(f"zoo: there is no network {name!r}; there are {', '.join(known)}")
    return Card.from_json((FOLDER / f"{name}.json").read_text("utf-8"))
