"""Preprocessing read back from its file."""

from __future__ import annotations

import os

from fastnn import serialization
from fastnn.preprocessing.base import Preprocessor
from fastnn.preprocessing.center import ChannelMean, ChannelStandardize, MeanImage
from fastnn.preprocessing.patches import PatchWhitening
from fastnn.preprocessing.principal import PCA, ZCA, PCAWhitening

_KNOWN: dict[str, type[Preprocessor]] = {
    kind.__name__: kind for kind in (MeanImage, ChannelMean, ChannelStandardize, PCA, PCAWhitening, ZCA, PatchWhitening)
}


def load(path: str | os.PathLike[str]) -> Preprocessor:
    """Read what `Preprocessor.save` wrote.

    Args:
        path: the file.

    Returns:
        An equal, fitted object.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or holds something else.

    Example:
        >>> import numpy as np, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fitted = PCA(2).fit(np.random.default_rng(0).standard_normal((20, 5)))
        ...     fitted.save(folder + "/pca.safetensors")
        ...     load(folder + "/pca.safetensors") == fitted
        True
    """
    content = serialization.load(path)
    name = content.get("preprocessor")
    if name not in _KNOWN or set(content) != {"preprocessor", "arguments", "state"}:
        raise ValueError(f"preprocessing.load: {path} does not hold one of {sorted(_KNOWN)}")
    try:
        loaded = _KNOWN[name](**content["arguments"])
        loaded.load_state_dict(content["state"])
    except TypeError as error:
        raise ValueError(f"preprocessing.load: {path} has arguments that do not suit {name}: {error}") from None
    return loaded
