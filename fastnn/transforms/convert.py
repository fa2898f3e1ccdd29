"""From uint8 pixels to the floats that networks read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastnn.transforms.base import Array, Fusible, Params, Transform, checked_batch
from fastnn.transforms.fused import FusedPass


class Normalize(Fusible):
    """Centres and scales each channel: ``(x / 255 - mean) / std`` of uint8, ``(x - mean) / std`` of floats.

    uint8 images need no conversion first: one multiply-add per pixel, ``x * scale + shift`` with
    ``scale = 1 / (255 std)`` and ``shift = -mean / std`` rounded from float64, does all of it.

    Args:
        mean: mean of pixels in [0, 1], one for all channels or one for each.
        std: their standard deviation, likewise.

    Shape:
        (N, H, W, C) uint8 or float32 -> (N, H, W, C) float32

    Raises:
        ValueError: if a value is not finite or a deviation not positive; when applied, if the images have
            another number of channels.

    Source: preprocessing by channel, Simonyan and Zisserman 2015 (mean), He et al. 2016 (mean and deviation).

    Example:
        >>> import numpy as np
        >>> Normalize((0.5,), (0.25,))(np.zeros((1, 1, 1, 3), np.uint8)).ravel().tolist()
        [-2.0, -2.0, -2.0]
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = _channel_values("mean", mean), _channel_values("std", std)
        if min(self.std) <= 0:
            raise ValueError(f"Normalize: expected positive std, got {std!r}")

    def join(self, batch_pass: FusedPass, params: Params) -> bool:
        if batch_pass.is_normalized:
            return False
        mean, std = self._per_channel(batch_pass.channels)
        return batch_pass.normalize((1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32))

    def apply(self, batch: Array, params: Params) -> Array:
        if checked_batch("Normalize", batch).dtype == np.uint8:
            return super().apply(batch, params)
        mean, std = self._per_channel(batch.shape[3])
        normalized: Array = (batch - mean.astype(np.float32)) / std.astype(np.float32)
        return normalized

    def _per_channel(self, channels: int) -> tuple[Array, Array]:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise ValueError(f"Normalize: {name} has {len(values)} values, the images {channels} channels")
        mean = np.broadcast_to(np.array(self.mean), (channels,))
        return mean, np.broadcast_to(np.array(self.std), (channels,))


class ToFloat(Transform):
    """Turns uint8 pixels into float32 in [0, 1], ``x / 255``; floats stay as they are.

    What torchvision's `ToTensor` and `ToDtype(float32, scale=True)` do, with the images' layout kept. Ahead
    of `Normalize` it is not needed, and costs a pass over memory.

    Shape:
        (N, H, W, C) -> (N, H, W, C) float32

    Raises:
        ValueError: when applied to something else than uint8 or float32 images.

    Example:
        >>> import numpy as np
        >>> ToFloat()(np.full((1, 1, 1, 1), 255, np.uint8)).item()
        1.0
    """

    def apply(self, batch: Array, params: Params) -> Array:
        if checked_batch("ToFloat", batch).dtype == np.float32:
            return batch
        scaled: Array = np.divide(batch, np.float32(255), dtype=np.float32)
        return scaled


def _channel_values(name: str, values: float | Sequence[float]) -> tuple[float, ...]:
    """`values` as finite floats; torchvision's attribute is a sequence, whatever came in."""
    result = tuple(float(v) for v in np.asarray(values, np.float64).reshape(-1))
    if not result or not np.all(np.isfinite(result)):
        raise ValueError(f"Normalize: expected finite {name}, one value or one per channel, got {values!r}")
    return result
