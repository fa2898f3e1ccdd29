"""Datasets by name, for the command line and for short scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from fastnn.data.cifar import CIFAR10, CIFAR100
from fastnn.data.dataset import ArrayDataset
from fastnn.data.digits import Digits
from fastnn.data.folder import ImageFolder
from fastnn.data.mnist import MNIST, FashionMNIST
from fastnn.data.subset import ClassSubset

ImageDataset: TypeAlias = ArrayDataset | ImageFolder | ClassSubset

_ON_DISK = {"mnist": MNIST, "fashionmnist": FashionMNIST, "cifar10": CIFAR10, "cifar100": CIFAR100}
NAMES = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "folder")


def load(
    name: str, root: str | Path | None = None, size: int | tuple[int, int] | None = None
) -> tuple[ImageDataset, ImageDataset]:
    """Load the training and the test part of a dataset.

    Args:
        name: "digits" (embedded), "mnist", "fashion-mnist", "cifar10", "cifar100", or "folder" for JPEG and
            PNG files in ``root/train/<class>/`` and ``root/test/<class>/`` (or ``root/val``). Case, "-" and
            "_" do not matter.
        root: where the files are; "digits" needs none.
        size: for "folder" alone: the height and width to bring images to, see `ImageFolder`.

    Returns:
        (train, test).

    Raises:
        ValueError: if the name is unknown, a root is missing, or a file is damaged.
        FileNotFoundError: if files are not where they should be.

    Example:
        >>> train, test = load("digits")
        >>> len(train), len(test)
        (1442, 355)
    """
    key = name.lower().replace("-", "").replace("_", "")
    if key == "digits":
        return Digits(train=True), Digits(train=False)
    if key not in (*_ON_DISK, "folder"):
        raise ValueError(f"load: expected one of {', '.join(NAMES)}, got {name!r}")
    if root is None:
        raise ValueError(f"load: the dataset {name!r} needs the folder that holds its files (root)")
    if key == "folder":
        return _load_folder(Path(root), size)
    dataset = _ON_DISK[key]
    return dataset(root, train=True), dataset(root, train=False)


def _load_folder(root: Path, size: int | tuple[int, int] | None) -> tuple[ImageFolder, ImageFolder]:
    held_out = root / "val" if (root / "val").is_dir() and not (root / "test").is_dir() else root / "test"
    train, test = ImageFolder(root / "train", size), ImageFolder(held_out, size)
    if test.classes != train.classes:
        raise ValueError(f"load: {held_out} has the classes {test.classes}, the training part {train.classes}")
    return train, test
