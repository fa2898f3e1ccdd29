"""Centring and scaling: the mean image, the mean of each channel, its mean and deviation."""

from __future__ import annotations

import numpy as np

from fastnn.preprocessing.base import Preprocessor, doubles
from fastnn.transforms.base import Array


class MeanImage(Preprocessor):
    """Subtracts the mean of all training images, pixel by pixel: `x - mean_`.

    Shape:
        (N, H, W, C) -> (N, H, W, C); mean_ (H, W, C)

    Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", 2012.

    Example:
        >>> import numpy as np
        >>> MeanImage().fit(np.array([[0.0, 2.0], [4.0, 4.0]])).mean_.tolist()
        [2.0, 3.0]
    """

    fitted = ("mean_",)

    mean_: Array

    def _fit(self, data: Array) -> None:
        self.mean_ = np.sum([part.sum(axis=0) for part in doubles(data)], axis=0) / len(data)

    def _transform(self, data: Array) -> Array:
        self._expect(data, self.mean_.shape)
        centred: Array = data - self.mean_
        return centred

    def _inverse(self, data: Array) -> Array:
        self._expect(data, self.mean_.shape)
        restored: Array = data + self.mean_
        return restored


class ChannelMean(Preprocessor):
    """Subtracts the mean of each channel over all pixels of all training images: `x - mean_`.

    Shape:
        (N, H, W, C) -> (N, H, W, C), or (N, C) -> (N, C); mean_ (C,)

    Source: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015.
    """

    fitted = ("mean_",)

    mean_: Array

    def _fit(self, data: Array) -> None:
        self.mean_ = _moments(data)[0]

    def _transform(self, data: Array) -> Array:
        self._expect(data, (*data.shape[1:-1], len(self.mean_)))
        centred: Array = data - self.mean_
        return centred

    def _inverse(self, data: Array) -> Array:
        restored: Array = data + self.mean_
        return restored


class ChannelStandardize(Preprocessor):
    """Subtracts the mean of each channel and divides by its standard deviation: `(x - mean_) / std_`.

    The variance is that of all values, Σ (x - mean)² / n. A channel that is constant is divided by 1.

    Shape:
        (N, H, W, C) -> (N, H, W, C), or (N, C) -> (N, C); mean_ (C,), std_ (C,)

    Source: He et al., "Deep residual learning for image recognition", CVPR 2016; scikit-learn's `StandardScaler`.
    """

    fitted = ("mean_", "std_")

    mean_: Array
    std_: Array

    def _fit(self, data: Array) -> None:
        self.mean_, variance = _moments(data)
        self.std_ = np.where(variance > 0, np.sqrt(variance), 1.0)

    def _transform(self, data: Array) -> Array:
        self._expect(data, (*data.shape[1:-1], len(self.mean_)))
        scaled: Array = (data - self.mean_) / self.std_
        return scaled

    def _inverse(self, data: Array) -> Array:
        restored: Array = data * self.std_ + self.mean_
        return restored


def _moments(data: Array) -> tuple[Array, Array]:
    """Mean and variance of each channel, (C,) each, in two passes."""
    axes, count = tuple(range(data.ndim - 1)), data.size // data.shape[-1]
    mean = np.sum([part.sum(axis=axes) for part in doubles(data)], axis=0) / count
    variance = np.sum([((part - mean) ** 2).sum(axis=axes) for part in doubles(data)], axis=0) / count
    return mean, variance
