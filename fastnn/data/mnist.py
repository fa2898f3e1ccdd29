"""MNIST and Fashion-MNIST from their four IDX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from fastnn.data.dataset import ArrayDataset
from fastnn.data.idx import read_idx
from fastnn.data.locate import locate


class MNIST(ArrayDataset):
    """Handwritten digits, 28 x 28 grey: 60,000 for training and 10,000 for testing (LeCun et al., 1998).

    Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` or the two `t10k-...` files, with or without
    `.gz`, from `root`, `root/mnist`, `root/MNIST` or `root/MNIST/raw`, the first that has them.

    Args:
        root: the folder of the files or one above it.
        train: the training part if true, the test part otherwise.

    Shape:
        images uint8 (N, 28, 28, 1), labels int64 (N,); other image sizes are taken as they come.

    Raises:
        FileNotFoundError: naming the file and the folders searched.
        ValueError: if a file is damaged or the two do not belong together.

    Source:
        Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
        recognition", Proc. IEEE 86(11), 1998.
    """

    folders: ClassVar[Sequence[str]] = (".", "mnist", "MNIST", "MNIST/raw")
    names: ClassVar[Sequence[str]] = tuple(str(digit) for digit in range(10))

    def __init__(self, root: str | Path, train: bool = True):
        owner, part = type(self).__name__, "train" if train else "t10k"
        images_name, labels_name = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
        images_path = locate(owner, root, self.folders, (images_name, images_name + ".gz"))
        labels_path = locate(owner, images_path.parent, (".",), (labels_name, labels_name + ".gz"))
        images, labels = read_idx(images_path), read_idx(labels_path)
        if images.dtype.name != "uint8" or images.ndim != 3:
            raise ValueError(f"{owner}: {images_path} should hold uint8 (N, H, W), found {images.dtype} {images.shape}")
        if labels.dtype.name != "uint8" or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{owner}: {labels_path} should hold {len(images)} uint8 labels, found {labels.dtype} {labels.shape}"
            )
        if len(labels) and labels.max() >= len(self.names):
            raise ValueError(f"{owner}: {labels_path} has the label {labels.max()}, expected 0..{len(self.names) - 1}")
        super().__init__(images, labels, self.names)


class FashionMNIST(MNIST):
    """Articles of clothing in MNIST's sizes and files: 60,000 + 10,000 grey images of 28 x 28.

    Files as for `MNIST`; searched in `root/fashion`, `root/fashion-mnist`, `root/fashion_mnist`,
    `root/FashionMNIST`, `root/FashionMNIST/raw` and last in `root` itself.

    Args:
        root: the folder of the files or one above it.
        train: the training part if true, the test part otherwise.

    Raises:
        FileNotFoundError, ValueError: as for `MNIST`.

    Source:
        H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", arXiv:1708.07747, 2017.
    """

    folders = ("fashion", "fashion-mnist", "fashion_mnist", "FashionMNIST", "FashionMNIST/raw", ".")
    names = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
