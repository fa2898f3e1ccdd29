"""One call of the augmentation kernel in the making.

The kernel does, in this order and in one pass over memory: copy a window of each image, which may reach into
padding, or resample it; mirror it; overwrite boxes; turn uint8 into normalised float32; overwrite boxes
again. Transforms add their part as long as the order allows it. What a pass computes is, bit for bit, what
its transforms would compute one by one: resampled pixels are rounded to uint8 in either case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _C
from fastnn.transforms.base import Array, Size, checked_batch

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")
"""How an image is continued beyond its edges, in the order of the kernel's numbers."""

WINDOW_COLUMNS = 4  # top, left, height, width
COLUMNS = 6  # and two flips; boxes follow

Fill = float | Sequence[float]


class FusedPass:
    """Collects the parameters of one kernel call over a batch.

    Every method that adds something returns whether the pass could take it; if not, nothing has changed and
    the caller must `run` this pass and start another on its result.

    Args:
        batch: images (N, H, W, C), uint8 or float32.

    Raises:
        ValueError: if the batch is none.
    """

    def __init__(self, batch: Array) -> None:
        self.batch = checked_batch("transforms", batch)
        self.n, height, width, self.channels = batch.shape
        self.size: Size = (height, width)
        self._window: npt.NDArray[np.int64] | None = None
        self._is_resampled = False
        self._antialias = True
        self._padding_mode = "constant"
        self._padding_fill = np.zeros(self.channels, batch.dtype)
        self._flip_x: npt.NDArray[np.bool_] | None = None
        self._flip_y: npt.NDArray[np.bool_] | None = None
        self._affine: tuple[Array, Array] | None = None
        self._boxes: list[Array] = []
        self._early_fills: list[Array] = []  # of boxes overwritten before the affine map; theirs come first
        self._late_fills: list[Array] = []

    @property
    def is_normalized(self) -> bool:
        """Whether pixels are floats at this point, by `normalize` or from the start."""
        return self._affine is not None or self.batch.dtype == np.float32

    @property
    def _is_empty(self) -> bool:
        moves = (self._window, self._flip_x, self._flip_y)
        return all(move is None for move in moves) and not self._moves_are_over

    @property
    def _moves_are_over(self) -> bool:
        return bool(self._boxes) or self._affine is not None

    def crop(self, top: Array, left: Array, size: Size, *, padding_mode: str | None = None, fill: Fill = 0) -> bool:
        """Take the window whose corner lies at (top, left).

        Args:
            top: first row (N,), negative above the image.
            left: first column (N,), negative beside it.
            size: height and width of the windows.
            padding_mode: how the image is continued; None if all windows lie inside it.
            fill: value of constant padding.
        """
        if self._moves_are_over or self._is_resampled:
            return False
        if padding_mode is not None and self._window is not None:
            return False  # the kernel would continue the whole image, not the window cut from it
        if padding_mode is not None:
            self._padding_fill = pixel(fill, self.channels, self.batch.dtype)
            self._padding_mode = padding_mode
        top, left = self._column("top", top), self._column("left", left)
        # The kernel mirrors last: a window of a mirrored image is the mirrored window of the plain one.
        if self._flip_x is not None:
            left = np.where(self._flip_x, self.size[1] - left - size[1], left)
        if self._flip_y is not None:
            top = np.where(self._flip_y, self.size[0] - top - size[0], top)
        if self._window is None:
            self._window = np.zeros((self.n, WINDOW_COLUMNS), np.int64)
        self._window[:, 0] += top
        self._window[:, 1] += left
        self._window[:, 2:] = size
        self.size = size
        return True

    def resize(self, boxes: Array, size: Size, antialias: bool) -> bool:
        """Resample the box (top, left, height, width), a row of `boxes` (N, 4) for each image, to `size`."""
        if not self._is_empty:
            return False
        if self.batch.dtype != np.uint8:
            raise ValueError(f"resize: expected uint8 images, got {self.batch.dtype}; resize before Normalize")
        self._window = self._rows("boxes", boxes, 4).astype(np.int64)
        self._is_resampled, self._antialias, self.size = True, antialias, size
        return True

    def flip(self, *, horizontal: Array | None = None, vertical: Array | None = None) -> bool:
        """Mirror the images for which the flags (N,) are set."""
        if self._moves_are_over:
            return False
        if horizontal is not None:
            flags = self._column("horizontal", horizontal).astype(bool)
            self._flip_x = flags if self._flip_x is None else self._flip_x ^ flags
        if vertical is not None:
            flags = self._column("vertical", vertical).astype(bool)
            self._flip_y = flags if self._flip_y is None else self._flip_y ^ flags
        return True

    def erase(self, boxes: Array, fill: Fill) -> bool:
        """Overwrite (top, left, height, width), a row of `boxes` (N, 4) per image; height 0 for none."""
        boxes = self._rows("boxes", boxes, 4)
        if self._affine is None:
            self._early_fills.append(pixel(fill, self.channels, self.batch.dtype))
        else:
            self._late_fills.append(pixel(fill, self.channels, np.dtype(np.float32)))
        self._boxes.append(boxes)
        return True

    def normalize(self, scale: Array, shift: Array) -> bool:
        """Turn uint8 pixels into float32: ``x * scale + shift``, both float32 (C,)."""
        if self.is_normalized:
            return False
        self._affine = (scale, shift)
        return True

    def run(self) -> Array:
        """Call the kernel; the batch itself, if nothing was added."""
        if self._is_empty:
            return self.batch
        x = np.ascontiguousarray(self.batch)
        table, shape = self._table(), (self.n, *self.size, self.channels)
        fill = np.stack([self._padding_fill, *self._early_fills]).view(np.uint8)
        mode = PADDING_MODES.index(self._padding_mode)
        if self._affine is None:
            y: Array = _C.empty(shape, self.batch.dtype)
            _C.augment_move(x, table, fill, y, mode, self._antialias)
            return y
        late_fill = np.zeros((len(self._late_fills), self.channels), np.float32)
        if self._late_fills:
            late_fill[:] = self._late_fills
        y = _C.empty(shape, np.dtype(np.float32))
        _C.augment_normalize(x, table, fill, *self._affine, late_fill, y, mode, self._antialias)
        return y

    def _table(self) -> npt.NDArray[np.int32]:
        table = np.zeros((self.n, COLUMNS + 4 * len(self._boxes)), np.int32)
        if self._window is None:
            table[:, 2:4] = self.size
        else:
            table[:, :4] = self._window
        if self._flip_x is not None:
            table[:, 4] = self._flip_x
        if self._flip_y is not None:
            table[:, 5] = self._flip_y
        for i, boxes in enumerate(self._boxes):
            table[:, COLUMNS + 4 * i : COLUMNS + 4 * i + 4] = boxes
        return table

    def _column(self, name: str, values: Array) -> Array:
        if values.shape != (self.n,):
            raise ValueError(f"transforms: expected {name!r} of shape ({self.n},), got {values.shape}")
        return values

    def _rows(self, name: str, values: Array, width: int) -> Array:
        if values.shape != (self.n, width):
            raise ValueError(f"transforms: expected {name!r} of shape {(self.n, width)}, got {values.shape}")
        return values


def pixel(fill: Fill, channels: int, dtype: np.dtype[Any]) -> Array:
    """A fill value as one pixel.

    Args:
        fill: one number, or one per channel.
        channels: number of channels.
        dtype: dtype of the images.

    Shape:
        -> (channels,)

    Raises:
        ValueError: if there are not that many values, or they are no whole numbers from 0 to 255 for uint8.
    """
    values = np.asarray(fill, np.float64).reshape(-1)
    if values.size not in (1, channels):
        raise ValueError(f"transforms: expected a fill value or {channels}, one per channel, got {fill!r}")
    if dtype == np.uint8 and not np.all((values >= 0) & (values <= 255) & (values == np.rint(values))):
        raise ValueError(f"transforms: expected fill values from 0 to 255 for uint8 images, got {fill!r}")
    return np.broadcast_to(values, (channels,)).astype(dtype)


def checked_fill(fill: Fill) -> Fill:
    """`fill` as a number or a tuple of them."""
    return fill if isinstance(fill, int | float) else tuple(fill)
