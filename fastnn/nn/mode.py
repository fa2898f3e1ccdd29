"""Evaluation mode for a while, as a whole or but for the layers that draw at random."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..autograd.mode import no_grad
from .alpha_dropout import AlphaDropout, FeatureAlphaDropout
from .dropconnect import DropConnectConv2d, DropConnectLinear
from .dropout import Dropout, Dropout1d, Dropout2d, Dropout3d, StochasticDepth
from .module import Module
from .noise import GaussianNoise

_STOCHASTIC = (
    AlphaDropout, FeatureAlphaDropout, DropConnectConv2d, DropConnectLinear, Dropout, Dropout1d, Dropout2d, Dropout3d,
    StochasticDepth, GaussianNoise,
)  # fmt: skip


@contextmanager
def evaluation_mode(model: Module, *, gradients: bool = False) -> Iterator[None]:
    """Evaluation mode, and no recording of gradients unless asked for, for the time of a `with`.

    Every module gets its own mode back afterwards, so that layers frozen in evaluation mode stay frozen.

    Args:
        model: the network.
        gradients: leave the recording of gradients as it is.

    Example:
        >>> from fastnn import nn
        >>> layer = nn.Dropout()
        >>> with evaluation_mode(layer):
        ...     layer.training
        False
        >>> layer.training
        True
    """
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        if gradients:
            yield
        else:
            with no_grad():
                yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def stochastic_mode(model: Module) -> Iterator[None]:
    """`evaluation_mode`, but dropout, DropConnect, stochastic depth and noise stay random, for the time of a `with`.

    Args:
        model: the network.

    Example:
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout())
        >>> with stochastic_mode(model):
        ...     [layer.training for layer in model]
        [False, True]
    """
    with evaluation_mode(model):
        for module in model.modules():
            if isinstance(module, _STOCHASTIC):
                module.training = True
        yield
