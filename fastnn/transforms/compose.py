"""Transforms one after the other, in as few passes over memory as their order allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastnn.transforms.base import Array, Params, Size, Transform, checked_batch
from fastnn.transforms.fused import FusedPass

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator


class Compose(Transform):
    """Applies transforms in order.

    Neighbours that the augmentation kernel can do together share one call of it. Its order is: a crop out of
    the padded image, further crops, flips (anywhere among them) or a resampling and flips; then erasing,
    `Normalize`, erasing. A transform that comes too late for the pass begins another. Results are bitwise
    those of applying the transforms one by one with the same parameters.

    Args:
        transforms: what to apply; those inside another `Compose` are taken out of it.

    Shape:
        (N, H, W, C) -> (N, h, w, C); parameters: those of transform i as 'i.name'.

    Raises:
        ValueError: if an entry is no `Transform`; when applied, as the transforms.

    Example:
        >>> import numpy as np
        >>> from fastnn.transforms import Normalize, RandomCrop, RandomHorizontalFlip
        >>> augment = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip(), Normalize(0.5, 0.25)])
        >>> augment(np.zeros((8, 32, 32, 3), np.uint8)).dtype.name
        'float32'
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        flat: list[Transform] = []
        for transform in transforms:
            if not isinstance(transform, Transform):
                raise ValueError(f"Compose: expected transforms, got {transform!r}")
            flat.extend(transform.transforms if isinstance(transform, Compose) else (transform,))
        self.transforms: tuple[Transform, ...] = tuple(flat)

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        params: Params = {}
        for i, transform in enumerate(self.transforms):
            params |= {f"{i}.{name}": column for name, column in transform.sample(rng, n, size).items()}
            size = transform.output_size(size)
        return params

    def output_size(self, size: Size) -> Size:
        for transform in self.transforms:
            size = transform.output_size(size)
        return size

    @property
    def is_random(self) -> bool:
        return any(transform.is_random for transform in self.transforms)

    def apply(self, batch: Array, params: Params) -> Array:
        batch_pass = FusedPass(checked_batch("Compose", batch))
        for i, transform in enumerate(self.transforms):
            prefix = f"{i}."
            own = {name[len(prefix) :]: column for name, column in params.items() if name.startswith(prefix)}
            if transform.join(batch_pass, own):
                continue
            batch = batch_pass.run()
            batch_pass = FusedPass(batch)
            if not transform.join(batch_pass, own):
                batch_pass = FusedPass(transform.apply(batch, own))
        return batch_pass.run()

    def __repr__(self) -> str:
        lines = "".join(f"\n    {transform!r}," for transform in self.transforms)
        return f"Compose([{lines}\n])" if lines else "Compose([])"
