"""Mixtures of the images of a batch, and of their labels: mixup and CutMix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from fastnn.transforms import pixels
from fastnn.transforms.base import Array, Params, Size, checked_batch

if TYPE_CHECKING:
    from fastnn.random import SampleGenerator


class Mixture(ABC):
    """Mixes every image of a batch with its predecessor, and their labels alike; the first with the last.

    `sample` draws the parameters of a batch, `apply` carries them out, calling it does both. The share λ of an
    image is drawn once for the batch, from Beta(alpha, alpha), as in the papers and torchvision; with `per_image`,
    once for each.

    Args:
        alpha: of the distribution, > 0: small for shares near 0 and 1, 1 for uniform ones.
        num_classes: number of classes; None if labels come as distributions.
        per_image: whether every image has a share of its own.

    Shape:
        images (N, H, W, C) float32, labels (N,) -> (N, H, W, C), (N, num_classes)

    Raises:
        ValueError: if an argument does not suit.
    """

    def __init__(self, *, alpha: float = 1.0, num_classes: int | None = None, per_image: bool = False) -> None:
        name = type(self).__name__
        if not 0 < alpha < np.inf:
            raise ValueError(f"{name}: expected alpha > 0, got {alpha!r}")
        if num_classes is not None and num_classes < 1:
            raise ValueError(f"{name}: expected num_classes >= 1 or None, got {num_classes!r}")
        self.alpha, self.num_classes, self.per_image = float(alpha), num_classes, bool(per_image)

    @abstractmethod
    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        """Draw the parameters of a batch.

        Args:
            rng: generator of `n` samples; what a batch shares is drawn for its first.
            n: number of images.
            size: height and width of the images.

        Returns:
            `partner` (n,), the image to mix with; `boxes` (n, 4), where; `weight` (n,), the image's share inside the
            box; `share` (n,), its share of the label.
        """

    def apply(self, images: Array, labels: Array, params: Params) -> tuple[Array, Array]:
        """Carry the mixture out.

        Args:
            images: float32; never changed.
            labels: class numbers, or a distribution over the classes for each image.
            params: what `sample` returned.

        Shape:
            images (N, H, W, C), labels (N,) or (N, classes) -> (N, H, W, C), (N, classes)

        Returns:
            The images, and float32 distributions over the classes, which `F.cross_entropy` takes as targets.

        Raises:
            ValueError: if dtype or shape of the images or labels do not suit.
        """
        name = type(self).__name__
        if checked_batch(name, images).dtype != np.float32:
            raise ValueError(f"{name}: expected float32 images, got {images.dtype}; mix after Normalize")
        targets = self._distributions(labels, len(images))
        share = params["share"].astype(np.float32)[:, None]
        mixed = share * targets + (1 - share) * targets[params["partner"]]
        return pixels.mix(images, params["partner"], params["weight"], params["boxes"]), mixed

    def __call__(self, images: Array, labels: Array, rng: SampleGenerator | None = None) -> tuple[Array, Array]:
        """Sample and apply; without `rng`, from `fastnn.random.default_generator`."""
        if rng is None:
            from fastnn.random import SampleGenerator, default_generator

            seed, counter = default_generator.stream()
            rng = SampleGenerator(seed, counter, np.arange(len(images)))
        batch = checked_batch(type(self).__name__, images)
        return self.apply(batch, labels, self.sample(rng, len(batch), (batch.shape[1], batch.shape[2])))

    def _shared(self, drawn: Array) -> Array:
        """Each image its own draw, or all of them the first one's."""
        return drawn if self.per_image else np.broadcast_to(drawn[:1], drawn.shape)

    def _distributions(self, labels: Array, n: int) -> Array:
        name = type(self).__name__
        given = np.asarray(labels)
        if given.ndim == 2 and len(given) == n and given.dtype.kind == "f":
            return np.asarray(given, np.float32)
        if given.shape != (n,) or given.dtype.kind not in "iu":
            raise ValueError(f"{name}: expected {n} class numbers or distributions, got {given.dtype} {given.shape}")
        if self.num_classes is None:
            raise ValueError(f"{name}: class numbers need num_classes")
        if n and not 0 <= given.min() <= given.max() < self.num_classes:
            raise ValueError(f"{name}: expected classes in [0, {self.num_classes}), got {given.min()} to {given.max()}")
        return np.asarray(np.eye(self.num_classes, dtype=np.float32)[given])

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


class MixUp(Mixture):
    """Weighted means of two images and of their labels: ``λ x_i + (1 - λ) x_j``, ``λ y_i + (1 - λ) y_j``.

    Args:
        alpha: λ is drawn from Beta(alpha, alpha).
        num_classes: as for `Mixture`.
        per_image: as for `Mixture`.

    Shape:
        images (N, H, W, C) float32, labels (N,) -> (N, H, W, C), (N, num_classes)

    Source: Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.

    Example:
        >>> import numpy as np
        >>> x, y = MixUp(num_classes=2)(np.ones((4, 8, 8, 3), np.float32), np.array([0, 1, 0, 1]))
        >>> y.shape, bool(np.allclose(y.sum(axis=1), 1))
        ((4, 2), True)
    """

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        share = self._shared(rng.beta(self.alpha, self.alpha))
        boxes = np.tile([0, 0, *size], (n, 1))
        return {"partner": np.roll(np.arange(n), 1), "boxes": boxes, "weight": share, "share": share}


class CutMix(Mixture):
    """A box of one image in place of the same box of the other; labels are mixed by areas.

    The box has the share 1 - λ of the area and the aspect of the image, its centre is uniform in the image, and what
    leaves the image is cut off; the label's share is what is left of it.

    Args:
        alpha: λ is drawn from Beta(alpha, alpha).
        num_classes: as for `Mixture`.
        per_image: as for `Mixture`.

    Shape:
        images (N, H, W, C) float32, labels (N,) -> (N, H, W, C), (N, num_classes)

    Source: Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", ICCV
    2019; rounding as in torchvision.
    """

    def sample(self, rng: SampleGenerator, n: int, size: Size) -> Params:
        radius = 0.5 * np.sqrt(1 - self._shared(rng.beta(self.alpha, self.alpha)))
        u = rng.uniform(0.0, 1.0, 2)
        edges = []
        for axis, length in enumerate(size):
            middle = np.floor(self._shared(u[:, axis]) * length).astype(np.int64)
            half = np.floor(radius * length).astype(np.int64)
            edges.append((np.maximum(middle - half, 0), np.minimum(middle + half, length)))
        (top, bottom), (left, right) = edges
        boxes = np.stack([top, left, bottom - top, right - left], axis=1)
        share = 1 - boxes[:, 2] * boxes[:, 3] / (size[0] * size[1])
        return {"partner": np.roll(np.arange(n), 1), "boxes": boxes, "weight": np.zeros(n), "share": share}
