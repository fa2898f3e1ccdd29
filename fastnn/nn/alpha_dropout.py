"""Dropout for self-normalising (SELU) networks."""

from __future__ import annotations

from collections.abc import Callable

from ..autograd.tensor import Tensor
from . import functional as F
from .dropout import _Dropout


class _AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1: values go to SELU's limit, then all are scaled and shifted.

    `AlphaDropout` decides for every element, `FeatureAlphaDropout` for every channel of every sample. In evaluation
    mode the layer is the identity.

    Args:
        p: the probability of dropping.
        inplace: accepted as in PyTorch; the input is never changed.
        generator: where random numbers come from; None means the default generator.

    Shape:
        (*) -> (*); for the channel form (N, C, *sizes).

    Raises:
        ValueError: if p is not within [0, 1].

    Source: Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.
    """

    _drop: Callable[..., Tensor]


class AlphaDropout(_AlphaDropout):
    __doc__ = _AlphaDropout.__doc__
    _drop = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_AlphaDropout):
    __doc__ = _AlphaDropout.__doc__
    _drop = staticmethod(F.feature_alpha_dropout)
