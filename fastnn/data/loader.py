"""Mini-batches: slices whole batches, transforms them, prefetches the next, and resumes anywhere exactly."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastnn.data.dataset import Array, Dataset, Images, Indices
from fastnn.data.gather import checked_indices
from fastnn.data.prefetch import Prefetcher
from fastnn.data.sampler import RandomSampler, Sampler, SequentialSampler

if TYPE_CHECKING:
    from fastnn.autograd import Tensor
    from fastnn.random import SampleGenerator
    from fastnn.transforms import Mixture


class BatchTransform(Protocol):
    """What is done to a batch of images: uint8 (n, H, W, C) -> float32 or uint8 (n, h, w, c).

    All randomness must come from `rng`, of which row i belongs to image i, and the object must not change.
    `fastnn.transforms` are such objects; so is any function with these two arguments.
    """

    def __call__(self, images: Images, rng: SampleGenerator) -> Array: ...


class DataLoader:
    """Mini-batches of a dataset as Tensors.

    Iterating runs through one epoch. The order of the rows depends on (seed, epoch) alone and the randomness
    of an image's transform on (seed, epoch, row), so that batches are the same bits whatever `prefetch` is,
    whatever the number of threads, and wherever an interrupted epoch was resumed. A row that a sampler
    repeats within an epoch gets other randomness each time.

    The epoch begins at 0 and advances by itself whenever an iteration has run to its end; after leaving one
    early, iterating anew begins the same epoch again. `set_epoch` chooses another.

    Args:
        dataset: a `Dataset`. If the first column of its batches is uint8 (n, H, W, C), it is taken for
            images; other columns and datasets are passed through as they are.
        batch_size: rows in a batch; 1 is stochastic, len(dataset) full-batch training. The last batch of an
            epoch may be smaller.
        shuffle: visit rows in a random order, `RandomSampler`, instead of sequentially.
        transform: a `BatchTransform` for the images. Images that are uint8 afterwards, or have none, are
            scaled to [0, 1], ``x / 255``.
        mix: `transforms.MixUp` or `transforms.CutMix`: what mixes the images of a batch, and its second column, after
            the transform. That column then holds distributions over the classes, float32 (n, classes).
        sampler: another order, instead of `shuffle`.
        drop_last: leave out a last batch smaller than `batch_size`.
        seed: of order and transforms; by default drawn from `fastnn.random.default_generator`, so that
            `fastnn.manual_seed` decides it.
        prefetch: number of batches made ahead on a background thread; 0 makes each when it is asked for.

    Shape:
        Yields one Tensor per column: images float32 (n, C, H, W), channels-last in memory, labels int64 (n,).

    Raises:
        TypeError: if `dataset` or `sampler` is not one, or a number is not an integer.
        ValueError: if `batch_size` < 1, `prefetch` < 0 or `seed` < 0, or both `shuffle` and `sampler` are
            given; while iterating, if the transform's result is not float32 or uint8 (n, h, w, c).

    Example:
        >>> from fastnn.data import Digits
        >>> loader = DataLoader(Digits(), batch_size=64, shuffle=True, seed=0)
        >>> x, y = next(iter(loader))
        >>> len(loader), tuple(x.shape), tuple(y.shape)
        (23, (64, 1, 8, 8), (64,))
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        transform: BatchTransform | None = None,
        mix: Mixture | None = None,
        sampler: Sampler | None = None,
        drop_last: bool = False,
        seed: int | None = None,
        prefetch: int = 1,
    ):
        if not isinstance(dataset, Dataset):
            raise TypeError(f"DataLoader: expected a fastnn.data.Dataset, got {type(dataset).__name__}")
        if sampler is not None and not isinstance(sampler, Sampler):
            raise TypeError(f"DataLoader: expected a fastnn.data.Sampler, got {type(sampler).__name__}")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: expected either shuffle or a sampler, got both")
        self.dataset = dataset
        self.batch_size = _integer("batch_size", batch_size, 1)
        self.transform, self.mix = transform, mix
        self.sampler: Sampler = sampler or (RandomSampler if shuffle else SequentialSampler)(dataset)
        self.drop_last = drop_last
        self.prefetch = _integer("prefetch", prefetch, 0)
        self.seed = _drawn_seed() if seed is None else _integer("seed", seed, 0)
        self._epoch = 0
        self._position = 0  # rows of this epoch handed out so far
        self._resume_at = 0  # where the next iteration begins

    def __len__(self) -> int:
        """Number of batches in a whole epoch."""
        return len(self._starts(0))

    @property
    def epoch(self) -> int:
        """The epoch that the present, or else the next, iteration runs through."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration.

        Setting the epoch that is set already changes nothing, so a training loop may call it first thing in
        every epoch, including the one it resumes.

        Raises:
            ValueError: if `epoch` is negative.
        """
        if epoch < 0:
            raise ValueError(f"DataLoader.set_epoch: expected an epoch >= 0, got {epoch}")
        if epoch != self._epoch:
            self._epoch, self._position, self._resume_at = epoch, 0, 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: seed, epoch, and position in rows handed out of that epoch.

        Taken inside the loop, it counts the batch at hand as done.
        """
        return {"seed": self.seed, "epoch": self._epoch, "position": self._position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Continue where `state_dict` was taken: the next iteration yields the rest of that epoch.

        Dataset, sampler, batch size and transform are the caller's to set up as they were.

        Raises:
            ValueError: if an entry is missing, unknown or out of range; nothing is changed then.
        """
        if set(state) != {"seed", "epoch", "position"}:
            raise ValueError(
                f"DataLoader.load_state_dict: expected seed, epoch, position, got {', '.join(sorted(state))}"
            )
        rows = len(self.sampler)
        if state["seed"] < 0 or state["epoch"] < 0 or not 0 <= state["position"] <= rows:
            raise ValueError(
                f"DataLoader.load_state_dict: expected seed and epoch >= 0 and position in 0..{rows}, got {dict(state)}"
            )
        self.seed, self._epoch = state["seed"], state["epoch"]
        self._position = self._resume_at = state["position"]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        start, self._resume_at = self._resume_at, 0
        self._position = start
        return self._epoch_from(self._epoch, start)

    def _epoch_from(self, epoch: int, start: int) -> Iterator[tuple[Tensor, ...]]:
        from fastnn.autograd import Tensor

        batches = self._batches(epoch, start)
        with Prefetcher(batches, self.prefetch) if self.prefetch else nullcontext(batches) as source:
            for end, columns in source:
                self._position = end
                yield tuple(Tensor(column) for column in columns)
        if self._epoch == epoch:
            self._epoch, self._position = epoch + 1, 0

    def _starts(self, start: int) -> range:
        rows = len(self.sampler)
        return range(start, rows - self.batch_size + 1 if self.drop_last else rows, self.batch_size)

    def _batches(self, epoch: int, start: int) -> Iterator[tuple[int, tuple[Array, ...]]]:
        """The batches of an epoch from row `start` on, each with the number of rows handed out after it.

        This is what runs on the background thread: it reads attributes of the loader and changes none.
        """
        name = type(self.sampler).__name__
        order = checked_indices(name, self.sampler.order(self.seed, epoch), len(self.dataset))
        if len(order) != len(self.sampler):
            raise ValueError(f"DataLoader: {name} promised {len(self.sampler)} rows, its order has {len(order)}")
        streams = _stream_numbers(order, len(self.dataset))
        for begin in self._starts(start):
            end = min(begin + self.batch_size, len(order))
            columns = self.dataset.batch(order[begin:end])
            yield end, self._prepared(columns, epoch, streams[begin:end])

    def _prepared(self, columns: tuple[Array, ...], epoch: int, streams: Indices) -> tuple[Array, ...]:
        first, *others = columns
        if first.dtype != np.uint8 or first.ndim != 4:
            if self.transform is not None or self.mix is not None:
                raise ValueError(
                    f"DataLoader: a transform needs images, uint8 (n, H, W, C); the dataset has "
                    f"{first.dtype} {first.shape}"
                )
            return columns
        from fastnn.random import SampleGenerator

        images: Array = first
        rng = SampleGenerator(self.seed, epoch, streams)
        if self.transform is not None:
            images = self.transform(first, rng)
            _check_transformed(images, len(first))
        if images.dtype == np.uint8:
            # The quotient, not the product with 1/255, which is off by one bit for half of the values.
            images = np.divide(images, np.float32(255), dtype=np.float32)
        if self.mix is not None:
            images, others[0] = self.mix(images, others[0], rng)
        return np.ascontiguousarray(images).transpose(0, 3, 1, 2), *others


def _integer(name: str, value: int, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"DataLoader: expected {name} to be an integer, got {value!r}") from None
    if number < least:
        raise ValueError(f"DataLoader: expected {name} >= {least}, got {number}")
    return number


def _drawn_seed() -> int:
    from fastnn.random import default_generator

    return int(default_generator.rng().integers(2**63))


def _check_transformed(result: Any, count: int) -> None:
    if not isinstance(result, np.ndarray):
        raise ValueError(f"DataLoader: expected the transform to return an ndarray, got {type(result).__name__}")
    if result.dtype not in (np.float32, np.uint8) or result.ndim != 4 or len(result) != count:
        raise ValueError(
            f"DataLoader: expected the transform to return float32 or uint8 ({count}, h, w, c), "
            f"got {result.dtype} {result.shape}"
        )


def _stream_numbers(order: Indices, rows: int) -> Indices:
    """The number of the random stream for each visit.

    It is the row itself at the first visit, so that a row has its own stream wherever it falls in the order;
    repeated visits get the numbers from `rows` on, in the order in which they come.
    """
    _, first_visits = np.unique(order, return_index=True)
    if len(first_visits) == len(order):
        return order
    repeated = np.ones(len(order), np.bool_)
    repeated[first_visits] = False
    streams = order.copy()
    streams[repeated] = rows + np.arange(np.count_nonzero(repeated))
    return streams
