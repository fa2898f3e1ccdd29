"""The networks that finished runs left, and those of the zoo, as members of one ensemble.

They take images as files have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..autograd import Tensor
from ..models import zoo
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module
from ..serialization import load
from ..train.averaging import update_bn
from ..train.build import make_loaders, make_model, plain_transform
from ..train.config import Config, DataFacts
from ..train.run import SNAPSHOTS, load_datasets, load_model, load_preprocessor, read_config
from .snapshots import average_states

if TYPE_CHECKING:
    from ..data.catalogue import ImageDataset
    from ..preprocessing import Preprocessor
    from ..transforms import Transform

__all__ = ["Member", "Prepared", "average_members", "image_batches", "load_members"]

_BATCH = 500


class Prepared(Module):
    """A network behind the preprocessing of its training, so that networks prepared differently take the same images.

    Args:
        model: the network.
        transform: makes the floats it was trained on of uint8 images.

    Shape:
        uint8 (N, C, H, W) -> (N, classes)
    """

    def __init__(self, model: Module, transform: Transform) -> None:
        self.model, self.transform = model, transform

    def forward(self, input: Tensor) -> Tensor:
        pixels = np.ascontiguousarray(input.data.transpose(0, 2, 3, 1))
        scores: Tensor = self.model(Tensor(self.transform(pixels).transpose(0, 3, 1, 2)))
        return scores


@dataclass(frozen=True)
class Member:
    """One network of a run.

    Attributes:
        name: the run's folder, with the snapshot's number if it is one.
        model: the network, in evaluation mode; takes uint8 images.
        config: the settings of its run.
        facts: what its run knows of its data.
        preprocessor: what its run prepares images with, see `fastnn.train.run.load_preprocessor`.
    """

    name: str
    model: Prepared
    config: Config
    facts: DataFacts
    preprocessor: Preprocessor | None


def load_members(folders: Sequence[str], checkpoint: str = "last", snapshots: int | None = None) -> list[Member]:
    """The networks of runs, which must know the same classes and images of one size.

    Args:
        folders: the runs' folders, or names in `fastnn.models.zoo` that are no folders.
        checkpoint: "last" or "best".
        snapshots: take the newest so many snapshots of each run instead, 0 for all; None takes the checkpoint.

    Raises:
        FileNotFoundError: if a run, its checkpoint or its snapshots are missing.
        ValueError: if a file is damaged, or the runs do not suit each other.
    """
    members = [member for folder in folders for member in _members_of(folder, checkpoint, snapshots)]
    first = members[0]
    for other in members[1:]:
        if other.facts.classes != first.facts.classes:
            raise ValueError(
                f"{other.name} knows other classes than {first.name}: "
                f"{_listed(other.facts)}, not {_listed(first.facts)}"
            )
        if _size(other.facts) != _size(first.facts):
            raise ValueError(
                f"{other.name} takes images of {_size(other.facts)}, {first.name} images of {_size(first.facts)}"
            )
    return members


def average_members(members: Sequence[Member], data_dir: str | None = None) -> Member:
    """One network whose weights are the mean of those of several, see `average_states`.

    The running statistics of its batch norms, if it has any, are gathered anew from the training images of the first
    member, augmented as in its training.

    Args:
        members: networks of one architecture, such as the snapshots of a run.
        data_dir: where the data are, if not where the first member's run says.

    Raises:
        FileNotFoundError: if there are batch norms and the data are not there.
        ValueError: if the networks differ in their parameters.
    """
    first = members[0]
    model = make_model(first.config, first.facts)
    model.load_state_dict(average_states([member.model.model.state_dict() for member in members]))
    if any(isinstance(each, BatchNorm1d | BatchNorm2d | BatchNorm3d) for each in model.modules()):
        train, test = load_datasets(first.config, data_dir)
        loader, _ = make_loaders(first.config, first.facts, train, test, first.preprocessor)
        update_bn(loader, model)
    name = f"average of {len(members)} networks"
    return replace(first, name=name, model=Prepared(model.eval(), first.model.transform))


def image_batches(dataset: ImageDataset, size: int = _BATCH) -> Iterator[tuple[Tensor, Tensor]]:
    """The images of a dataset in order, as they are, and their labels.

    Args:
        dataset: uint8 (N, H, W, C) images.
        size: of a batch.

    Shape:
        yields uint8 (n, C, H, W), int64 (n,)
    """
    for start in range(0, len(dataset), size):
        images, labels = dataset.batch(np.arange(start, min(start + size, len(dataset))))
        yield as_tensor(images), Tensor(labels)


def as_tensor(images: npt.NDArray[Any]) -> Tensor:
    """Images in files' order as a Tensor, without a copy: (N, H, W, C) -> (N, C, H, W)."""
    return Tensor(images.transpose(0, 3, 1, 2))


def _members_of(folder: str, checkpoint: str, snapshots: int | None) -> Iterator[Member]:
    if folder in zoo.names() and not Path(folder).exists():
        if snapshots is not None:
            raise ValueError(f"{folder} is a network of the zoo, which has no snapshots")
        yield _of_zoo(folder)
        return
    if snapshots is None:
        model, config, facts = load_model(folder, checkpoint)
        yield _member(folder, model, config, facts, load_preprocessor(folder, config))
        return
    config, facts = read_config(folder)
    preprocessor = load_preprocessor(folder, config)
    paths = sorted((Path(folder) / SNAPSHOTS).glob("snapshot-*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"{folder} has no snapshots; train with --snapshots N")
    if snapshots > len(paths):
        raise ValueError(f"{folder} has {len(paths)} snapshots, not {snapshots}")
    for path in paths[-snapshots:]:
        model = make_model(config, facts)
        model.load_state_dict(load(path))
        yield _member(f"{folder} {path.stem}", model.eval(), config, facts, preprocessor)


def _of_zoo(name: str) -> Member:
    card = zoo.card(name)
    data_dir = None if card.training["dataset"] == "digits" else "data"
    config = Config.from_dict({"data_dir": data_dir, **card.training})
    facts = DataFacts(card.height, card.width, card.channels, card.classes, 0, card.mean, card.std)
    return _member(name, zoo.load(name), config, facts, None)


def _member(name: str, model: Module, config: Config, facts: DataFacts, preprocessor: Preprocessor | None) -> Member:
    return Member(name, Prepared(model, plain_transform(facts, preprocessor)), config, facts, preprocessor)


def _size(facts: DataFacts) -> str:
    return f"{facts.height}x{facts.width}x{facts.channels}"


def _listed(facts: DataFacts) -> str:
    names = ", ".join(facts.classes[:4])
    return names if len(facts.classes) <= 4 else f"{names}, ... ({len(facts.classes)})"
