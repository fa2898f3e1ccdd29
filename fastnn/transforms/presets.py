"""Augmentations and test-time views by name, and transforms from their descriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastnn.transforms import affine, color, compose, convert, erase, filters, geometry, randaugment, resize, values
from fastnn.transforms.affine import RandomAffine
from fastnn.transforms.base import Transform, checked_size
from fastnn.transforms.compose import Compose
from fastnn.transforms.convert import Normalize
from fastnn.transforms.erase import Cutout
from fastnn.transforms.geometry import AlternatingFlip, RandomCrop, RandomHorizontalFlip
from fastnn.transforms.views import ComposeViews, FlipViews, TranslateViews, Views

AUGMENTATIONS = ("none", "flip", "crop", "standard", "cutout", "alternate", "alternate-shift", "affine")
"""Names that `augmentation` knows."""

VIEWS = ("none", "flip", "flip-translate", "ten-crop")
"""Names that `view_set` knows."""

_MODULES = (affine, color, compose, convert, erase, filters, geometry, randaugment, resize, values)
_KNOWN: dict[str, type[Transform]] = {
    name: kind
    for module in _MODULES
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Transform) and kind.__module__ == module.__name__
    if not name.startswith("_")
}


def augmentation(
    name: str,
    size: int | Sequence[int],
    mean: float | Sequence[float],
    std: float | Sequence[float],
    normalize: Transform | None = None,
) -> Compose:
    """A usual augmentation for small images, ending in float32.

    'none' only normalises; 'flip' mirrors left to right; 'crop' shifts by up to an eighth of the size (4
    pixels of 32), continuing the image by reflection; 'standard' does both; 'cutout' also overwrites a box of
    half the size with the mean. 'alternate' mirrors every image in every second epoch, 'alternate-shift' also shifts
    by up to a sixteenth of the size (2 pixels of 32), continuing by reflection. 'affine', for characters, turns by up
    to 10 degrees, moves by up to a tenth of the size and scales by 0.9 to 1.1, all about the centre and with zeros
    beyond the edges. What is trained with any of them is evaluated with 'none'.

    Args:
        name: one of `AUGMENTATIONS`.
        size: height and width of the images, or one number for both.
        mean: as for `Normalize`.
        std: as for `Normalize`.
        normalize: what makes floats of the images instead of `Normalize(mean, std)`, such as fitted preprocessing.

    Shape:
        the result: uint8 (N, \\*size, C) -> float32 (N, \\*size, C)

    Returns:
        The transform.

    Raises:
        ValueError: if there is none of that name, or an argument does not suit.

    Source: He et al. 2016 (crop and flip), DeVries and Taylor 2017 (cutout), Jordan 2024 (alternating flips), Simard,
    Steinkraus, Platt 2003 (affine distortions).

    Example:
        >>> augmentation("flip", 28, 0.13, 0.31)
        Compose([
            RandomHorizontalFlip(p=0.5),
            Normalize(mean=(0.13,), std=(0.31,)),
        ])
    """
    if name not in AUGMENTATIONS:
        raise ValueError(f"augmentation: expected one of {AUGMENTATIONS}, got {name!r}")
    height, width = checked_size("augmentation", size)
    steps: list[Transform] = []
    if name in ("crop", "standard", "cutout", "alternate-shift"):
        share = 16 if name == "alternate-shift" else 8
        steps.append(RandomCrop((height, width), padding=(width // share, height // share), padding_mode="reflect"))
    if name in ("flip", "standard", "cutout"):
        steps.append(RandomHorizontalFlip())
    if name in ("alternate", "alternate-shift"):
        steps.append(AlternatingFlip())
    if name == "affine":
        steps.append(RandomAffine(10, translate=(0.1, 0.1), scale=(0.9, 1.1), interpolation="bilinear"))
    steps.append(Normalize(mean, std) if normalize is None else normalize)
    if name == "cutout":
        steps.append(Cutout((max(height // 2, 1), max(width // 2, 1))))
    return Compose(steps)


def view_set(name: str, size: int | Sequence[int]) -> Views | None:
    """The usual test-time views of small images, all of the images' own size, so that any network takes them.

    'none' is the image alone; 'flip' its mirror image too; 'flip-translate' those two and both moved by a pixel to
    either diagonal neighbour, which count half; 'ten-crop' the four corners and the centre of the image continued by
    reflection for an eighth of its size (4 pixels of 32), as 'crop' continues it in training, and their mirror images.

    Args:
        name: one of `VIEWS`.
        size: height and width of the images, or one number for both.

    Returns:
        The views; None for 'none'.

    Raises:
        ValueError: if there are none of that name, or the size is not positive.

    Source: ten crops: Krizhevsky, Sutskever, Hinton 2012; six views: Jordan, "94% on CIFAR-10 in 3.29 seconds on a
    single GPU", 2024.

    Example:
        >>> view_set("flip", 32), len(view_set("flip-translate", 32).weights), len(view_set("ten-crop", 32).weights)
        (FlipViews(horizontal=True, vertical=False), 6, 10)
    """
    if name not in VIEWS:
        raise ValueError(f"view_set: expected one of {VIEWS}, got {name!r}")
    height, width = checked_size("view_set", size)
    if name == "none":
        return None
    if name == "flip":
        return FlipViews()
    if name == "flip-translate":
        return ComposeViews([TranslateViews(view_weights=(2, 1, 1)), FlipViews()])
    down, right = max(height // 8, 1), max(width // 8, 1)
    corners = [(down, right), (down, -right), (-down, right), (-down, -right), (0, 0)]
    return ComposeViews([TranslateViews(corners), FlipViews()])


def from_description(description: Mapping[str, Any]) -> Transform:
    """The transform that `Transform.describe` described, for instance in the file of a run.

    Args:
        description: the class's name under 'name', beside the arguments.

    Returns:
        An equal transform.

    Raises:
        ValueError: if there is no transform of that name, or its arguments do not suit.

    Example:
        >>> from_description(RandomCrop(28, padding=3).describe()) == RandomCrop(28, padding=3)
        True
    """
    arguments = dict(description)
    name = arguments.pop("name", None)
    if name not in _KNOWN:
        raise ValueError(f"from_description: expected one of {sorted(_KNOWN)} under 'name', got {name!r}")
    if "transforms" in arguments:
        arguments["transforms"] = [from_description(entry) for entry in arguments["transforms"]]
    try:
        return _KNOWN[name](**arguments)
    except TypeError as error:
        raise ValueError(f"from_description: bad arguments for {name}: {error}") from None
