"""The networks whose training and inference steps are measured."""

from __future__ import annotations

from dataclasses import dataclass

from .. import models
from ..diagnose.summary import summary
from ..nn.module import Module
from ..random import Generator

__all__ = ["INFERENCE", "TRAINING", "Network"]


@dataclass(frozen=True)
class Network:
    """A network and the batch it gets.

    Attributes:
        name: of the row.
        model: for `fastnn.models.create`.
        batch: images in a step.
        channels: channels of the images.
        size: their height and width.
    """

    name: str
    model: str
    batch: int
    channels: int = 3
    size: int = 32

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """The shape of a batch, (N, C, H, W)."""
        return self.batch, self.channels, self.size, self.size

    def create(self) -> Module:
        """The network with the same initial values every time."""
        return models.create(self.model, 10, self.channels, self.size, Generator(0))

    def flops(self, *, training: bool) -> float:
        """Floating-point operations of a step in convolutions and linear layers, computed directly.

        Training has three passes through each layer: forward, and the gradients of weight and input; that of the
        first layer's input is not computed.
        """
        layers = [each.multiply_adds for each in summary(self.create(), (1, *self.input_shape[1:])).layers]
        layers = [count for count in layers if count]
        passes = 3 * sum(layers) - layers[0] if training else sum(layers)
        return 2.0 * self.batch * passes


TRAINING = (
    Network("mlp", "mlp", 128, 1, 28),
    Network("lenet128", "lenet5", 128, 1, 28),
    Network("lenet32", "lenet5", 32, 1, 28),
    Network("small", "small", 128),
    Network("resnet20", "resnet20", 128),
    Network("mobile", "mobile", 128),
    Network("speed94", "speed94", 256),
)

INFERENCE = (
    Network("resnet20 batch 1", "resnet20", 1),
    Network("resnet20 batch 128", "resnet20", 128),
    Network("small batch 1", "small", 1),
    Network("small batch 128", "small", 128),
)
