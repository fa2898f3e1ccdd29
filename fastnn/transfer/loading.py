"""Taking over the weights of a network that was trained for other classes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..nn import Module
from ..nn.state import without_wrapper
from ..serialization import load
from .head import find_head

__all__ = ["LoadedKeys", "load_backbone", "trained_model"]


class LoadedKeys(NamedTuple):
    """What `load_backbone` found: names that only the network has, that only the file has, and a head's left out.

    A head is left out if its shape is another one; its names are in `skipped_keys` and nowhere else.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]
    skipped_keys: list[str]


def load_backbone(
    model: Module, source: str | os.PathLike[str] | Mapping[str, Any], *, head: bool = True, strict: bool = True
) -> LoadedKeys:
    """Copy weights into a network in place, all but a head for another number of classes.

    Files are those of `fastnn.save` and any safetensors file, PyTorch's state dicts among them: names and layouts are
    PyTorch's, float16 and bfloat16 are converted, "module." before all names is dropped.

    Args:
        model: the network.
        source: a safetensors file, the folder of a run, a name in the zoo that is no file or folder, or a state dict of
            Tensors or arrays.
        head: whether to load the head too, if it fits; otherwise it stays as it is, and so does one that does not fit.
        strict: whether a missing or an unexpected name is an error.

    Returns:
        The missing, the unexpected and the skipped names.

    Raises:
        FileNotFoundError: if there is no such file and no network of that name.
        ValueError: if the file is damaged, or naming all keys that are missing, unexpected or of another shape; nothing
            has changed then.

    Example:
        >>> from fastnn import models
        >>> ten, five = models.create("resnet8", 10), models.create("resnet8", 5)
        >>> load_backbone(five, ten.state_dict()).skipped_keys
        ['fc.weight', 'fc.bias']
        >>> bool((five.conv1.weight == ten.conv1.weight).all())
        True
    """
    given: Mapping[str, Any] = source if isinstance(source, Mapping) else _read(source)
    own = model.state_dict()
    values = dict(without_wrapper(own, given))
    name = find_head(model)[0]
    inside = [key for key in own if key == name or key.startswith(name + ".")]
    fits = all(key in values and np.shape(values[key]) == own[key].shape for key in inside)
    skipped: list[str] = []
    if not (head and fits):
        skipped = [key for key in inside if key in values]
        skipped += [key for key in values if key.startswith(name + ".") and key not in skipped]
        values = {key: value for key, value in values.items() if key not in skipped}
        # The head stays as it is: that is not a missing key.
        values |= {key: own[key] for key in inside}
    missing, unexpected = model.load_state_dict(values, strict)
    return LoadedKeys(missing, unexpected, skipped)


def trained_model(source: str | os.PathLike[str]) -> str | None:
    """The name for `fastnn.models.create` of a network in the zoo or in the folder of a run; None for a file.

    Raises:
        ValueError: if the folder's description is damaged.
    """
    from ..models import zoo
    from ..train.run import read_config

    if _in_zoo(source):
        return zoo.card(os.fspath(source)).model
    return read_config(Path(source))[0].model if Path(source).is_dir() else None


def _in_zoo(source: str | os.PathLike[str]) -> bool:
    """Whether this is a name in the zoo; a file or folder of that name comes first, as in `ensemble.load_members`."""
    from ..models import zoo

    return os.fspath(source) in zoo.names() and not Path(source).exists()


def _read(source: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The state dict of a network in the zoo, in the folder of a run, or in a file."""
    from ..models import zoo
    from ..train.checkpoint import MODEL_FILE
    from ..train.run import CHECKPOINTS

    if _in_zoo(source):
        return zoo.load(os.fspath(source)).state_dict()
    path = Path(source)
    if path.is_dir():
        path = path / CHECKPOINTS / "last" / MODEL_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"load_backbone: there is no file {path}, and no network {os.fspath(source)!r} in the zoo, "
            f"which has {', '.join(zoo.names())}"
        )
    return load(path)
