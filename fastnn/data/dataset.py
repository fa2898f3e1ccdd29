"""What a dataset is: rows that can be asked for one at a time or, much faster, a whole batch at once.

A loader never fetches row by row. It asks `Dataset.batch` for an array of indices, and a dataset over
arrays answers with one gather. Images stay uint8 (N, H, W, C), NumPy's and Pillow's form, until the loader
turns a finished batch into float32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.data.gather import gather_rows

Array = npt.NDArray[Any]
Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]


class Dataset(ABC):
    """A finite, indexable collection of rows; a row is a tuple such as (image, label).

    A subclass gives `__len__` and `__getitem__`. It should also override `batch` when it can fetch many
    rows in one go: the default below calls `__getitem__` once per row.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Row `index` as a tuple, one entry per column."""

    def batch(self, indices: npt.ArrayLike) -> tuple[Array, ...]:
        """Fetch several rows, one array per column.

        Args:
            indices: integers in [0, len(self)), at least one, repeats allowed.

        Shape:
            indices (n,) -> each column (n, ...).

        Returns:
            The columns in the order of `__getitem__`. Python ints become int64, Python floats float32.

        Raises:
            ValueError: if `indices` is empty or the rows differ in length or shape.
        """
        rows = [self[int(index)] for index in np.asarray(indices)]
        if not rows:
            raise ValueError(f"{type(self).__name__}.batch: expected at least one index, got none")
        if len({len(row) for row in rows}) != 1:
            raise ValueError(f"{type(self).__name__}.batch: rows have different numbers of entries")
        return tuple(_stack_column(column) for column in zip(*rows, strict=True))


def _stack_column(column: Sequence[Any]) -> Array:
    first = column[0]
    if isinstance(first, float) and not isinstance(first, np.generic):
        return np.array(column, np.float32)
    if isinstance(first, int) and not isinstance(first, (bool, np.generic)):
        return np.array(column, np.int64)
    return np.stack([np.asarray(entry) for entry in column])


class ArrayDataset(Dataset):
    """Images and labels held in two arrays, in memory or memory-mapped.

    Args:
        images: uint8, (N, H, W, C) with C = 1 or 3, or (N, H, W) for C = 1. Neither copied nor changed, so
            a `numpy.memmap` stays on disk and only the rows of a batch are read.
        labels: integers (N,), each in [0, len(classes)).
        classes: one name per class; by default "0", "1", ... up to the largest label.

    Attributes:
        images: the uint8 array (N, H, W, C).
        labels: an int64 array (N,).
        classes: the list of class names.

    Raises:
        TypeError: if the images are not uint8 or the labels not integers.
        ValueError: if shapes or lengths disagree or a label has no class.

    Example:
        >>> import numpy as np
        >>> ds = ArrayDataset(np.zeros((4, 8, 8), np.uint8), [0, 1, 1, 0])
        >>> ds.images.shape, ds.classes, [column.shape for column in ds.batch([3, 0])]
        ((4, 8, 8, 1), ['0', '1'], [(2, 8, 8, 1), (2,)])
    """

    def __init__(self, images: npt.ArrayLike, labels: npt.ArrayLike, classes: Sequence[str] | None = None):
        self.images: Images = _checked_images(images)
        self.labels: Labels = _checked_labels(labels, len(self.images))
        count = int(self.labels.max()) + 1 if len(self.labels) else 0
        self.classes: list[str] = [str(i) for i in range(count)] if classes is None else list(classes)
        if count > len(self.classes):
            raise ValueError(f"ArrayDataset: label {count - 1} has no name among the {len(self.classes)} classes")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Images, int]:
        return self.images[index], int(self.labels[index])

    def batch(self, indices: npt.ArrayLike) -> tuple[Images, Labels]:
        """Gather images and labels.

        Shape:
            indices (n,) -> images uint8 (n, H, W, C), labels int64 (n,).

        Raises:
            IndexError: if an index is outside [0, len(self)).
        """
        return gather_rows(self.images, indices), gather_rows(self.labels, indices)

    def __repr__(self) -> str:
        _, height, width, channels = self.images.shape
        return f"{type(self).__name__}({len(self)} images of {height}x{width}x{channels}, {len(self.classes)} classes)"


def _checked_images(images: npt.ArrayLike) -> Images:
    array = np.asarray(images)
    if array.dtype != np.uint8:
        raise TypeError(
            f"ArrayDataset: expected uint8 images, got {array.dtype}; TensorDataset takes arrays of any dtype"
        )
    if array.ndim == 3:
        array = array[..., np.newaxis]
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise ValueError(
            f"ArrayDataset: expected images (N, H, W, C), C = 1 or 3, or (N, H, W), got {np.shape(images)}"
        )
    return array


def _checked_labels(labels: npt.ArrayLike, count: int) -> Labels:
    array = np.asarray(labels)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"ArrayDataset: expected integer labels, got {array.dtype}")
    if array.shape != (count,):
        raise ValueError(f"ArrayDataset: expected {count} labels, one per image, got shape {array.shape}")
    result = array.astype(np.int64)
    if count and result.min() < 0:
        raise ValueError(f"ArrayDataset: expected labels >= 0, got {int(result.min())}")
    return result


class TensorDataset(Dataset):
    """Rows of several arrays of equal length, for data that is not images (`torch.utils.data.TensorDataset`).

    Args:
        *tensors: arrays or Tensors, all with the same first dimension; kept as they are, without a copy.

    Attributes:
        tensors: the arrays.

    Raises:
        ValueError: if none is given, one is a scalar, or their lengths differ.

    Example:
        >>> import numpy as np
        >>> ds = TensorDataset(np.eye(3, dtype=np.float32), np.arange(3))
        >>> ds[1]
        (array([0., 1., 0.], dtype=float32), np.int64(1))
    """

    def __init__(self, *tensors: Any):
        self.tensors: tuple[Array, ...] = tuple(_as_array(tensor) for tensor in tensors)
        if not self.tensors or any(array.ndim == 0 for array in self.tensors):
            raise ValueError("TensorDataset: expected one or more arrays with at least one dimension")
        if len({len(array) for array in self.tensors}) != 1:
            raise ValueError(
                f"TensorDataset: expected arrays of one length, got {[len(array) for array in self.tensors]}"
            )

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(array[index] for array in self.tensors)

    def batch(self, indices: npt.ArrayLike) -> tuple[Array, ...]:
        """Gather rows of every array.

        Shape:
            indices (n,) -> each array (n, ...).

        Raises:
            IndexError: if an index is outside [0, len(self)).
        """
        return tuple(gather_rows(array, indices) for array in self.tensors)


def _as_array(value: Any) -> Array:
    # A Tensor that wants a gradient may refuse np.asarray; its `data` is the ndarray itself.
    data = getattr(value, "data", None)
    return data if isinstance(data, np.ndarray) else np.asarray(value)
