"""Whitening of small patches of images: what a first convolution can do before it has learnt anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn.preprocessing.base import Preprocessor, doubles
from fastnn.transforms.base import Array, checked_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn.nn import Conv2d


class PatchWhitening(Preprocessor):
    """Whitens all patches of an image: a convolution whose outputs have second moments 1 and are uncorrelated.

    With the eigenvalues λ and eigenvectors u of `E[p pᵀ]` over the patches p of the training images, filter i is
    `u_i / sqrt(λ_i + eps)`. The mean is not subtracted: images should be centred already.

    Args:
        kernel_size: height and width of the patches, or one number for both.
        eps: added to the eigenvalues.

    Attributes:
        filters_: the filters, the largest eigenvalue first, the largest entry of each positive.
        eigenvalues_: λ.

    Shape:
        (N, H, W, C) -> (N, H - kh + 1, W - kw + 1, d), d = C kh kw; filters_ (d, C, kh, kw), eigenvalues_ (d,)

    Raises:
        ValueError: if an argument does not suit; when fitted, if the samples are no images, or smaller than a patch.

    Source: Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, section 3.2, after Page, "How to train your
    ResNet", 2018.

    Example:
        >>> import numpy as np
        >>> from fastnn import nn
        >>> images = np.random.default_rng(0).standard_normal((50, 8, 8, 3)).astype(np.float32)
        >>> conv = nn.Conv2d(3, 24, 2)
        >>> PatchWhitening(2).fit(images).initialize(conv)
        >>> tuple(conv.weight.shape), conv.weight.requires_grad
        ((24, 3, 2, 2), False)
    """

    fitted = ("filters_", "eigenvalues_")

    filters_: Array
    eigenvalues_: Array

    def __init__(self, kernel_size: int | Sequence[int] = 2, eps: float = 5e-4) -> None:
        self.kernel_size = checked_size("PatchWhitening", kernel_size)
        if not 0 <= eps < np.inf:
            raise ValueError(f"PatchWhitening: expected eps >= 0, got {eps!r}")
        self.eps = float(eps)

    def _fit(self, data: Array) -> None:
        size = self.kernel_size[0] * self.kernel_size[1] * data.shape[-1]
        total, count = np.zeros((size, size)), 0
        for part in doubles(data):
            patches = self._patches(part).reshape(-1, size)
            total, count = total + patches.T @ patches, count + len(patches)
        values, vectors = np.linalg.eigh(total / count)
        values, vectors = np.maximum(values[::-1], 0), vectors.T[::-1]
        peaks = np.take_along_axis(vectors, np.argmax(np.abs(vectors), axis=1)[:, None], axis=1)
        deviations = np.sqrt(np.maximum(values + self.eps, np.finfo(np.float64).tiny))
        filters = vectors * np.sign(peaks) / deviations[:, None]
        self.filters_ = filters.reshape(-1, data.shape[3], *self.kernel_size)
        self.eigenvalues_ = values

    def _transform(self, data: Array) -> Array:
        if data.ndim != 4 or data.shape[3] != self.filters_.shape[1]:
            raise ValueError(f"PatchWhitening: expected images of {self.filters_.shape[1]} channels, got {data.shape}")
        whitened: Array = self._patches(data) @ self.filters_.reshape(len(self.filters_), -1).T
        return whitened

    def _patches(self, images: Array) -> Array:
        """All patches, channels first: (N, H, W, C) -> (N, H - kh + 1, W - kw + 1, C kh kw)."""
        kh, kw = self.kernel_size
        if images.ndim != 4 or images.shape[1] < kh or images.shape[2] < kw:
            raise ValueError(f"PatchWhitening: expected images of at least {kh}x{kw}, got shape {images.shape}")
        windows = np.lib.stride_tricks.sliding_window_view(images, (kh, kw), axis=(1, 2))
        return windows.reshape(*windows.shape[:3], kh * kw * images.shape[3])

    def initialize(self, conv: Conv2d, *, freeze: bool = True) -> None:
        """Set the filters of a first convolution, in place.

        Args:
            conv: with d output channels; or with 2 d, of which the second half gets the negative filters, so that no
                information is lost in a ReLU. Its bias stays as it is.
            freeze: whether its weight is no longer trained.

        Raises:
            ValueError: if nothing was learnt yet, or the weight has another shape.
        """
        self._check_fitted("initialize")
        shape = self.filters_.shape
        weight = conv.weight
        if weight.shape == shape:
            filters = self.filters_
        elif weight.shape == (2 * shape[0], *shape[1:]):
            filters = np.concatenate([self.filters_, -self.filters_])
        else:
            raise ValueError(
                f"PatchWhitening.initialize: expected a weight of shape {shape} or {(2 * shape[0], *shape[1:])}, "
                f"got {tuple(weight.shape)}"
            )
        weight.data[...] = filters
        if freeze:
            weight.requires_grad_(False)
