"""Preprocessing whose statistics come from training data: centring, scaling, principal components, whitening.

Every class is fitted once, on training data alone, and then transforms any data with what it has learnt. It is also a
transform of image batches, so that it can end a `Compose` or stand in a `DataLoader`; and it is saved in one file, as
`fastnn train` does in the folder of a run, so that evaluation and prediction use the training statistics.

Example:
    >>> import numpy as np
    >>> from fastnn import preprocessing
    >>> train = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), np.uint8)
    >>> zca = preprocessing.ZCA(eps=1e-3).fit(train)
    >>> zca.transform(train[:5]).shape
    (5, 8, 8, 3)
"""

from .base import Preprocessor
from .center import ChannelMean, ChannelStandardize, MeanImage
from .files import load
from .patches import PatchWhitening
from .principal import PCA, ZCA, PCAWhitening

__all__ = [
    "PCA",
    "ZCA",
    "ChannelMean",
    "ChannelStandardize",
    "MeanImage",
    "PCAWhitening",
    "PatchWhitening",
    "Preprocessor",
    "load",
]
