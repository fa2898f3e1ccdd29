"""Several views of the same images, for predictions that are averaged over them (test-time augmentation)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from fastnn.transforms.base import Array, Size, checked_batch, checked_size, is_whole
from fastnn.transforms.fused import FusedPass
from fastnn.transforms.geometry import checked_padding_mode


class Views(ABC):
    """A fixed set of views of every image of a batch. Nothing here is random.

    Calling it gives the views, `weights` how much each counts in an average; the weights add up to 1. A subclass
    keeps the arguments of its constructor, and nothing else, as public attributes of the same names.

    Example:
        >>> import numpy as np
        >>> views = FlipViews()(np.array([[[[1], [2]]]], np.uint8))
        >>> [view.ravel().tolist() for view in views]
        [[1, 2], [2, 1]]
    """

    @property
    @abstractmethod
    def weights(self) -> tuple[float, ...]:
        """The weight of each view in an average."""

    @abstractmethod
    def _views(self, batch: Array) -> list[Array]:
        """The views of a checked batch."""

    def __call__(self, images: Array) -> tuple[Array, ...]:
        """All views of a batch.

        Args:
            images: a batch, uint8 or float32; any strides, never changed.

        Shape:
            (N, H, W, C) -> (N, h, w, C) for each view

        Returns:
            One batch per view, which may share the memory of `images`.

        Raises:
            ValueError: if dtype, rank or size of the images do not suit.
        """
        return tuple(self._views(checked_batch(type(self).__name__, images)))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class FlipViews(Views):
    """The image and its mirror images.

    Args:
        horizontal: mirrored left to right.
        vertical: mirrored top to bottom; with `horizontal`, both together too.

    Shape:
        (N, H, W, C) -> 1, 2 or 4 times (N, H, W, C)

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", 2012.
    """

    def __init__(self, horizontal: bool = True, vertical: bool = False) -> None:
        self.horizontal, self.vertical = bool(horizontal), bool(vertical)

    @property
    def weights(self) -> tuple[float, ...]:
        count = (1 + self.horizontal) * (1 + self.vertical)
        return (1 / count,) * count

    def _views(self, batch: Array) -> list[Array]:
        views = [batch]
        if self.horizontal:
            views += [view[:, :, ::-1] for view in views]
        if self.vertical:
            views += [view[:, ::-1] for view in views]
        return views


class TranslateViews(Views):
    """The image moved by whole pixels, continued beyond its edges.

    Args:
        shifts: (down, right) of each view, negative for up and left.
        padding_mode: how images are continued, as for `Pad`.
        view_weights: the weight of each view, in any scale; None for equal ones.

    Shape:
        (N, H, W, C) -> len(shifts) times (N, H, W, C)

    Raises:
        ValueError: if there is no shift, one is no pair of whole numbers, or the weights do not suit.

    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024: with `FlipViews`, half the weight on the
    image itself and a quarter on either diagonal neighbour.

    Example:
        >>> import numpy as np
        >>> views = TranslateViews([(0, 0), (0, 1)], "edge")(np.array([[[[1], [2], [3]]]], np.uint8))
        >>> [view.ravel().tolist() for view in views]
        [[1, 2, 3], [1, 1, 2]]
    """

    def __init__(
        self,
        shifts: Sequence[Sequence[int]] = ((0, 0), (-1, -1), (1, 1)),
        padding_mode: str = "reflect",
        view_weights: Sequence[float] | None = None,
    ) -> None:
        if not shifts or not all(len(shift) == 2 and all(is_whole(s) for s in shift) for shift in shifts):
            raise ValueError(f"TranslateViews: expected shifts (down, right) of whole pixels, got {shifts!r}")
        self.shifts = tuple((int(down), int(right)) for down, right in shifts)
        self.padding_mode = checked_padding_mode("TranslateViews", padding_mode)
        self.view_weights = None if view_weights is None else tuple(float(w) for w in view_weights)
        given = self.view_weights
        if given is not None and (len(given) != len(self.shifts) or min(given) < 0 or not 0 < sum(given) < np.inf):
            raise ValueError(f"TranslateViews: expected {len(self.shifts)} weights >= 0, got {view_weights!r}")

    @property
    def weights(self) -> tuple[float, ...]:
        given = self.view_weights or (1.0,) * len(self.shifts)
        return tuple(weight / sum(given) for weight in given)

    def _views(self, batch: Array) -> list[Array]:
        return [self._moved(batch, down, right) for down, right in self.shifts]

    def _moved(self, batch: Array, down: int, right: int) -> Array:
        if down == right == 0:
            return batch
        n, height, width, _ = batch.shape
        moved = FusedPass(batch)
        moved.crop(np.full(n, -down), np.full(n, -right), (height, width), padding_mode=self.padding_mode)
        return moved.run()


class FiveCrop(Views):
    """The four corners and the centre: top left, top right, bottom left, bottom right, centre.

    Args:
        size: height and width of the crops, or one number for both.

    Shape:
        (N, H, W, C) -> 5 times (N, \\*size, C)

    Raises:
        ValueError: if `size` is not positive; when called, if the images are smaller.

    Source: Krizhevsky, Sutskever, Hinton 2012.
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = checked_size(type(self).__name__, size)

    @property
    def weights(self) -> tuple[float, ...]:
        return (1 / 5,) * 5

    def _views(self, batch: Array) -> list[Array]:
        return _five(type(self).__name__, batch, self.size)


class TenCrop(Views):
    """The views of `FiveCrop`, and those of the mirrored image.

    Args:
        size: as for `FiveCrop`.
        vertical_flip: mirror top to bottom rather than left to right.

    Shape:
        (N, H, W, C) -> 10 times (N, \\*size, C)

    Raises:
        ValueError: as `FiveCrop`.

    Source: Krizhevsky, Sutskever, Hinton 2012, which average the predictions of these ten.
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        self.size, self.vertical_flip = checked_size("TenCrop", size), bool(vertical_flip)

    @property
    def weights(self) -> tuple[float, ...]:
        return (1 / 10,) * 10

    def _views(self, batch: Array) -> list[Array]:
        mirrored = batch[:, ::-1] if self.vertical_flip else batch[:, :, ::-1]
        return _five("TenCrop", batch, self.size) + _five("TenCrop", mirrored, self.size)


class ComposeViews(Views):
    """Every view of the second kind of every view of the first, and so on: weights multiply.

    Args:
        parts: the kinds of views, in order.

    Shape:
        (N, H, W, C) -> the product of the numbers of views

    Raises:
        ValueError: if an entry is no `Views`.

    Example:
        >>> import numpy as np
        >>> len(ComposeViews([TranslateViews(), FlipViews()])(np.zeros((2, 8, 8, 3), np.uint8)))
        6
    """

    def __init__(self, parts: Sequence[Views]) -> None:
        if not all(isinstance(part, Views) for part in parts):
            raise ValueError(f"ComposeViews: expected Views, got {parts!r}")
        self.parts = tuple(parts)

    @property
    def weights(self) -> tuple[float, ...]:
        weights: tuple[float, ...] = (1.0,)
        for part in self.parts:
            weights = tuple(a * b for a in weights for b in part.weights)
        return weights

    def _views(self, batch: Array) -> list[Array]:
        views = [batch]
        for part in self.parts:
            views = [inner for view in views for inner in part(view)]
        return views


def _five(name: str, batch: Array, size: Size) -> list[Array]:
    """The corners and the centre, whose odd pixel torchvision rounds half to even."""
    (height, width), (h, w) = batch.shape[1:3], size
    if h > height or w > width:
        raise ValueError(f"{name}: crop {size} is larger than the images, {(height, width)}")
    below, right = height - h, width - w
    corners = [(0, 0), (0, right), (below, 0), (below, right), (round(below / 2), round(right / 2))]
    return [batch[:, top : top + h, left : left + w] for top, left in corners]
