"""What a transform is: parameters sampled for every image of a batch, and their application to the batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator
    from fastnn.transforms.fused import FusedPass

Array: TypeAlias = npt.NDArray[Any]
Params: TypeAlias = dict[str, Array]
Size: TypeAlias = tuple[int, int]


class Transform(ABC):
    """A change of image batches, (N, H, W, C) to (N, h, w, C), uint8 or float32.

    `sample` draws one row of parameters per image, `apply` carries them out; calling the transform does both.
    Parameters come from a `SampleGenerator`, so what happens to an image depends on (seed, epoch, its index)
    and neither on the batch it is in nor on threads.

    A subclass keeps the arguments of its constructor, and nothing else, as public attributes of the same
    names: `repr`, `describe` and pickling need no more. It implements `apply` or, if the kernel can do its
    work in one pass with its neighbours in a `Compose`, `join` (and derives from `Fusible`).

    Example:
        >>> import numpy as np
        >>> from fastnn.transforms import Normalize
        >>> Normalize(0.5, 0.5)(np.zeros((2, 4, 4, 1), np.uint8)).max().item()
        -1.0
    """

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        """Draw parameters for a batch. The number of draws never depends on the values drawn.

        Args:
            rng: generator of `n` samples.
            n: number of images.
            size: height and width of the images.

        Returns:
            Arrays by name, row i for image i; empty for a transform without randomness.
        """
        return {}

    @abstractmethod
    def apply(self, batch: Array, params: Params) -> Array:
        """Carry the transform out.

        Args:
            batch: images (N, H, W, C), uint8 or float32; never changed.
            params: what `sample` returned.

        Shape:
            (N, H, W, C) -> (N, \\*output_size((H, W)), C)

        Returns:
            A new batch, or `batch` itself if there is nothing to do.

        Raises:
            ValueError: if dtype, rank or size of the batch do not suit.
        """

    def output_size(self, size: Size) -> Size:
        """Height and width of the result for images of `size`.

        Raises:
            ValueError: if the transform cannot work on images of this size.
        """
        return size

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        """Add this transform to a kernel call in the making.

        Returns:
            Whether it could; if not, nothing has changed.
        """
        return False

    @property
    def is_random(self) -> bool:
        """Whether results depend on the generator."""
        return type(self).sample is not Transform.sample

    def __call__(self, images: Array, rng: SampleGenerator | None = None) -> Array:
        """Sample and apply.

        Args:
            images: a batch (N, H, W, C) or one image (H, W, C), uint8 or float32; any strides, never changed.
            rng: generator of N samples (of one, for an image); by default, if the transform is random, one
                drawn from `fastnn.random.default_generator`.

        Shape:
            (N, H, W, C) -> (N, h, w, C); (H, W, C) -> (h, w, C)

        Returns:
            The transformed batch or image.

        Raises:
            ValueError: if dtype, rank or size of the images, or the number of samples of `rng`, do not suit.
        """
        name = type(self).__name__
        single = isinstance(images, np.ndarray) and images.ndim == 3
        batch = checked_batch(name, images[None] if single else images)
        n, height, width, _ = batch.shape
        if rng is None and self.is_random:
            rng = _default_rng(n)
        params = {} if rng is None else self.sample(rng, n, (height, width))
        for key, column in params.items():
            if len(column) != n:
                raise ValueError(f"{name}: expected a generator of {n} samples, got {len(column)} of {key!r}")
        result = self.apply(batch, params)
        return result[0] if single else result

    def describe(self) -> dict[str, Any]:
        """Class name and arguments as JSON values, from which `from_description` makes an equal transform."""
        return {"name": type(self).__name__} | {key: _plain(value) for key, value in vars(self).items()}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class Fusible(Transform):
    """A transform that the augmentation kernel can do: `join` is all it has to define."""

    def apply(self, batch: Array, params: Params) -> Array:
        from fastnn.transforms.fused import FusedPass

        batch_pass = FusedPass(batch)
        if not self.join(batch_pass, params):
            raise ValueError(f"{type(self).__name__}: cannot be applied to {batch.dtype} images")
        return batch_pass.run()


def _default_rng(n: int) -> SampleGenerator:
    from fastnn.random import SampleGenerator, default_generator

    seed, counter = default_generator.stream()
    return SampleGenerator(seed, counter, np.arange(n))


def _plain(value: Any) -> Any:
    if isinstance(value, Transform):
        return value.describe()
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


# ---- checks that transforms share ------------------------------------------------------------------------


def checked_batch(name: str, batch: Array) -> Array:
    """`batch`, if it is a batch of images.

    Raises:
        ValueError: if it is no array (N, H, W, C) of uint8 or float32 with at least one pixel and channel.
    """
    if not isinstance(batch, np.ndarray) or batch.dtype not in (np.uint8, np.float32):
        got = batch.dtype if isinstance(batch, np.ndarray) else type(batch).__name__
        raise ValueError(f"{name}: expected an ndarray of uint8 or float32 images, got {got}")
    if batch.ndim != 4 or 0 in batch.shape[1:]:
        raise ValueError(f"{name}: expected images (N, H, W, C) or (H, W, C), got shape {batch.shape}")
    return batch


def checked_size(name: str, size: int | Sequence[int]) -> Size:
    """Height and width from a number or a pair.

    Raises:
        ValueError: if they are not positive integers.
    """
    given = tuple(size) if isinstance(size, Sequence) else (size,)
    pair = given * 2 if len(given) == 1 else given
    if len(pair) != 2 or not all(is_whole(s) and s >= 1 for s in pair):
        raise ValueError(f"{name}: expected size to be a positive integer or (height, width), got {size!r}")
    return int(pair[0]), int(pair[1])


def is_whole(value: object) -> bool:
    """Whether this is an integer, of Python or NumPy, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def checked_probability(name: str, p: float) -> float:
    """`p`, if it is in [0, 1]; ValueError otherwise."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: expected p in [0, 1], got {p!r}")
    return float(p)


def checked_range(name: str, argument: str, values: tuple[float, float] | list[float]) -> tuple[float, float]:
    """`values` as a pair, if 0 < low <= high; ValueError otherwise."""
    if len(values) != 2 or not 0 < values[0] <= values[1] < np.inf:
        raise ValueError(f"{name}: expected {argument} (low, high) with 0 < low <= high, got {values!r}")
    return float(values[0]), float(values[1])
