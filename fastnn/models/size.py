"""What a network's pooling leaves of an image."""

from __future__ import annotations

from collections.abc import Callable


def remaining(model: str, image_size: tuple[int, int], rule: Callable[[int], int]) -> tuple[int, int]:
    """Height and width by `rule`, which maps one side of the image.

    Raises:
        ValueError: if nothing is left; the message names the smallest image for `model`.
    """
    height, width = (rule(size) for size in image_size)
    if min(height, width) < 1:
        least = next(size for size in range(1, 1000) if rule(size) >= 1)
        raise ValueError(f"{model}: expected images of at least {least}×{least}, got {image_size}")
    return height, width
