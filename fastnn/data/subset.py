"""A part of a dataset, and the random division of one into parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastnn.data.dataset import Array, Dataset, Images, Indices, Labels
from fastnn.data.gather import checked_indices, gather_rows
from fastnn.data.order import Purpose, bits, permutation


class Subset(Dataset):
    """The rows `indices` of `dataset`, in that order (`torch.utils.data.Subset`).

    A subset of a subset refers straight to the innermost dataset, so that nesting costs nothing.

    Args:
        dataset: where the rows live.
        indices: integers in [0, len(dataset)), repeats allowed.

    Attributes:
        dataset, indices: as given, after flattening nested subsets.

    Raises:
        TypeError, ValueError, IndexError: if `indices` are not integers, not one-dimensional, out of range.

    Example:
        >>> import numpy as np
        >>> from fastnn.data import ArrayDataset
        >>> ds = ArrayDataset(np.zeros((4, 8, 8), np.uint8), [0, 1, 2, 3])
        >>> Subset(ds, [3, 1]).labels
        array([3, 1])
    """

    def __init__(self, dataset: Dataset, indices: npt.ArrayLike):
        rows = checked_indices("Subset", indices, len(dataset))
        if type(dataset) is Subset:
            rows = dataset.indices[rows]
            dataset = dataset.dataset
        self.dataset: Dataset = dataset
        self.indices: Indices = rows.copy()

    @property
    def images(self) -> Images:
        """A copy of the images (N, H, W, C) of this part; AttributeError where the dataset has none."""
        return gather_rows(cast(Any, self.dataset).images, self.indices)

    @property
    def labels(self) -> Labels:
        """A copy of the labels (N,) of this part; AttributeError where the dataset has none."""
        return gather_rows(cast(Any, self.dataset).labels, self.indices)

    @property
    def classes(self) -> list[str]:
        """The class names of the whole dataset; AttributeError where it has none."""
        return cast(list[str], cast(Any, self.dataset).classes)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return self.dataset[int(self.indices[index])]

    def batch(self, indices: npt.ArrayLike) -> tuple[Array, ...]:
        """Fetch rows of this part, see `Dataset.batch`; IndexError outside [0, len(self))."""
        return self.dataset.batch(gather_rows(self.indices, indices))


class ClassSubset(Subset):
    """The rows of some classes of a dataset, which are numbered anew from 0.

    Args:
        dataset: images with `labels` (N,) and `classes`, their names.
        classes: names of at least one of them; the order is that of the new labels.

    Attributes:
        dataset, indices: the whole dataset, and the rows of it that belong to the classes, in its order.

    Raises:
        ValueError: if a name is not among the dataset's classes, is given twice, or there is none.
        AttributeError: if the dataset has no labels or no classes.

    Example:
        >>> from fastnn.data import Digits
        >>> some = ClassSubset(Digits(), ["7", "1"])
        >>> len(some), some.classes, some.labels[:4].tolist(), Digits().labels[some.indices[:4]].tolist()
        (290, ['7', '1'], [1, 0, 1, 0], [1, 7, 1, 7])
    """

    def __init__(self, dataset: Dataset, classes: Sequence[str]):
        known, labels = list(cast(Any, dataset).classes), np.asarray(cast(Any, dataset).labels)
        unknown = [name for name in classes if name not in known]
        if unknown or not classes or len(set(classes)) != len(classes):
            raise ValueError(
                f"ClassSubset: expected different names among {', '.join(known)}, got {', '.join(classes) or 'none'}"
            )
        self._names = [str(name) for name in classes]
        self._number = np.full(len(known), -1, np.int64)
        self._number[[known.index(name) for name in classes]] = np.arange(len(classes))
        super().__init__(dataset, np.flatnonzero(self._number[labels] >= 0))

    @property
    def labels(self) -> Labels:
        """The new labels (N,), in [0, len(classes))."""
        return self._number[super().labels]

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their labels."""
        return list(self._names)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        image, label, *rest = super().__getitem__(index)
        return image, int(self._number[label]), *rest

    def batch(self, indices: npt.ArrayLike) -> tuple[Array, ...]:
        """Fetch rows of this part with their new labels, see `Dataset.batch`; IndexError outside [0, len(self))."""
        images, labels, *rest = super().batch(indices)
        return images, self._number[labels], *rest

    def __repr__(self) -> str:
        return f"ClassSubset({len(self)} rows of the classes {', '.join(self._names)})"


def random_split(dataset: Dataset, lengths: Sequence[float], seed: int = 0) -> list[Subset]:
    """Divide a dataset at random into parts without overlap (`torch.utils.data.random_split`).

    Args:
        dataset: what to divide.
        lengths: the sizes of the parts, which add up to len(dataset); or fractions that add up to 1, each
            giving ``floor(fraction * len(dataset))`` rows, the rows left over going one each to the first
            parts.
        seed: the division depends on the seed and on len(dataset) alone.

    Returns:
        One Subset for each entry of `lengths`.

    Raises:
        ValueError: if the lengths do not add up, or one is negative.

    Example:
        >>> from fastnn.data import Digits
        >>> [len(part) for part in random_split(Digits(), [0.9, 0.1], seed=1)]
        [1298, 144]
    """
    sizes = _part_sizes(len(dataset), lengths)
    order = permutation(bits(seed, 0, Purpose.SPLIT), len(dataset))
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _part_sizes(total: int, lengths: Sequence[float]) -> list[int]:
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: expected lengths >= 0, got {list(lengths)}")
    if all(float(length).is_integer() for length in lengths) and sum(lengths) == total:
        return [int(length) for length in lengths]
    if not lengths or not math.isclose(sum(lengths), 1.0, rel_tol=0.0, abs_tol=1e-9):
        raise ValueError(
            f"random_split: expected lengths that add up to {total} or fractions that add up to 1, got {list(lengths)}"
        )
    sizes = [math.floor(total * fraction) for fraction in lengths]
    for part in range(total - sum(sizes)):
        sizes[part % len(sizes)] += 1
    return sizes
