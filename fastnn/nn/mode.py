"""Evaluation mode for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..autograd.mode import no_grad
from .module import Module


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
