"""CIFAR-10 and CIFAR-100 in both layouts their author distributes: binary records and Python batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fastnn.data.batch_pickle import read_batch_pickle
from fastnn.data.dataset import ArrayDataset
from fastnn.data.locate import locate

_SIDE, _CHANNELS = 32, 3
_PIXELS = _CHANNELS * _SIDE * _SIDE
_CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
Rows = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Layout:
    """How one distribution is laid out on disk; `labels` and `label` say which of its labels we read."""

    binary: Sequence[str]  # the part's files in the binary layout
    python: Sequence[str]  # and in the Python layout
    folders: Sequence[str]  # where either may be, below the root
    label_bytes: int  # label bytes before the pixels of a binary record
    label: int  # which of them
    key: bytes  # the label list in a Python batch
    classes: int  # number of classes


class CIFAR10(ArrayDataset):
    """60,000 colour photographs of 32 x 32 pixels in ten classes, 50,000 of them for training.

    Reads the binary layout (`data_batch_1.bin` .. `data_batch_5.bin`, `test_batch.bin`: records of a label
    byte and the red, green and blue planes) or the Python layout (`data_batch_1` .., `test_batch`), in
    `root`, `root/cifar-10-batches-bin`, `root/cifar-10-batches-py`, or the same below `root/cifar10`. Python
    batches are read by `read_batch_pickle`, never unpickled.

    Args:
        root: the folder of the files or one above it.
        train: the training part if true, the test part otherwise.

    Shape:
        images uint8 (N, 32, 32, 3), labels int64 (N,).

    Raises:
        FileNotFoundError: naming the file and the folders searched.
        ValueError: if a file is cut short, a label out of range, or the training files differ in length.

    Source:
        A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """

    def __init__(self, root: str | Path, train: bool = True):
        parts = [f"data_batch_{i}" for i in range(1, 6)] if train else ["test_batch"]
        layout = _Layout(
            binary=[part + ".bin" for part in parts],
            python=parts,
            folders=_below(("cifar10", "cifar-10"), ("cifar-10-batches-bin", "cifar-10-batches-py")),
            label_bytes=1,
            label=0,
            key=b"labels",
            classes=10,
        )
        images, labels, _ = _read_part(type(self).__name__, root, layout)
        super().__init__(images, labels, _CIFAR10_CLASSES)


class CIFAR100(ArrayDataset):
    """60,000 colour photographs of 32 x 32 pixels in 100 fine classes, grouped into 20 coarse ones.

    Reads the binary layout (`train.bin`, `test.bin`: records of a coarse and a fine label byte and the three
    planes) or the Python layout (`train`, `test`), in `root`, `root/cifar-100-binary`,
    `root/cifar-100-python`, or the same below `root/cifar100`. Class names come from
    `fine_label_names.txt` or `meta`; without them they are numbers.

    Args:
        root: the folder of the files or one above it.
        train: the training part if true, the test part otherwise.
        coarse: the 20 coarse labels instead of the 100 fine ones.

    Shape:
        images uint8 (N, 32, 32, 3), labels int64 (N,).

    Raises:
        FileNotFoundError, ValueError: as for `CIFAR10`.

    Source:
        A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
    """

    def __init__(self, root: str | Path, train: bool = True, coarse: bool = False):
        owner, part, kind = type(self).__name__, "train" if train else "test", "coarse" if coarse else "fine"
        layout = _Layout(
            binary=[part + ".bin"],
            python=[part],
            folders=_below(("cifar100", "cifar-100"), ("cifar-100-binary", "cifar-100-python")),
            label_bytes=2,
            label=0 if coarse else 1,
            key=f"{kind}_labels".encode(),
            classes=20 if coarse else 100,
        )
        images, labels, folder = _read_part(owner, root, layout)
        super().__init__(images, labels, _class_names(owner, folder, kind, layout.classes))


def _below(parents: Sequence[str], folders: Sequence[str]) -> list[str]:
    return [".", *folders, *parents, *(f"{parent}/{folder}" for parent in parents for folder in folders)]


def _read_part(owner: str, root: str | Path, layout: _Layout) -> tuple[Rows, npt.NDArray[np.int64], Path]:
    """All files of one part, in order: images (N, 32, 32, 3), labels (N,), and the folder they were in."""
    first = locate(owner, root, layout.folders, (layout.binary[0], layout.python[0]))
    binary = first.name == layout.binary[0]
    paths = [first.parent / name for name in (layout.binary if binary else layout.python)]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{owner}: no file {path.name} beside {first}")
    read = _read_binary if binary else _read_python
    pieces = [read(owner, path, layout) for path in paths]
    counts = [len(labels) for _, labels in pieces]
    if len(set(counts)) != 1:
        raise ValueError(f"{owner}: expected equally many images in each file of {first.parent}, got {counts}")
    planes = np.concatenate([pixels for pixels, _ in pieces]).reshape(-1, _CHANNELS, _SIDE, _SIDE)
    labels = np.concatenate([labels for _, labels in pieces])
    if len(labels) and not 0 <= labels.min() <= labels.max() < layout.classes:
        raise ValueError(
            f"{owner}: expected labels 0..{layout.classes - 1} in {first.parent}, got {labels.min()}..{labels.max()}"
        )
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels, first.parent


def _read_binary(owner: str, path: Path, layout: _Layout) -> tuple[Rows, npt.NDArray[np.int64]]:
    content = np.fromfile(path, np.uint8)
    record = layout.label_bytes + _PIXELS
    if not len(content) or len(content) % record:
        raise ValueError(f"{owner}: {path} should hold records of {record} bytes, found {len(content)} bytes")
    records = content.reshape(-1, record)
    return records[:, layout.label_bytes :], records[:, layout.label].astype(np.int64)


def _read_python(owner: str, path: Path, layout: _Layout) -> tuple[Rows, npt.NDArray[np.int64]]:
    batch = read_batch_pickle(path)
    pixels, labels = batch.get(b"data"), batch.get(layout.key)
    if not isinstance(pixels, np.ndarray) or pixels.shape[1:] != (_PIXELS,) or not len(pixels):
        raise ValueError(f"{owner}: {path} should hold an array 'data' of shape (N, {_PIXELS})")
    if not isinstance(labels, list) or len(labels) != len(pixels) or not isinstance(labels[0], int):
        raise ValueError(f"{owner}: {path} should hold a list {layout.key.decode()!r} of {len(pixels)} integers")
    return pixels, np.array(labels, np.int64)


def _class_names(owner: str, folder: Path, kind: str, count: int) -> list[str]:
    text, meta = folder / f"{kind}_label_names.txt", folder / "meta"
    if text.is_file():
        names = [line.strip() for line in text.read_text("utf-8").splitlines() if line.strip()]
    elif meta.is_file():
        entry = read_batch_pickle(meta).get(f"{kind}_label_names".encode())
        names = [name.decode("latin-1") for name in entry] if isinstance(entry, list) else []
    else:
        return [str(label) for label in range(count)]
    if len(names) != count:
        raise ValueError(f"{owner}: expected {count} {kind} class names in {folder}, found {len(names)}")
    return names
