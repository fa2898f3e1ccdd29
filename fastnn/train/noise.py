"""Callbacks that act between the backward pass and the step, or around both: noise, adaptive clipping."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ..optim import adaptive_clip_grad_, add_grad_noise_, weight_noise
from ..random import Generator
from .callbacks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer

__all__ = ["AdaptiveClipping", "GradientNoise", "WeightNoise"]


class AdaptiveClipping(Callback):
    """Clips the gradient of every unit to a share of the norm of its weights, see `fastnn.optim.adaptive_clip_grad_`.

    Args:
        clip_factor: λ.
        eps: ε.
    """

    def __init__(self, clip_factor: float = 0.01, eps: float = 1e-3) -> None:
        self.clip_factor, self.eps = clip_factor, eps

    def on_gradients(self, trainer: Trainer) -> None:
        adaptive_clip_grad_(trainer.model.parameters(), self.clip_factor, self.eps)


class _Noise(Callback):
    """A callback with a generator of its own, which a resumed training goes on with."""

    def __init__(self, seed: int) -> None:
        self.generator = Generator(seed)

    def state_dict(self) -> dict[str, Any]:
        return {"generator": list(self.generator.get_state())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        seed, counter = state["generator"]
        self.generator.set_state((seed, counter))


class GradientNoise(_Noise):
    """Adds Gaussian noise to all gradients, of variance `std² / (1 + step)^gamma`, see `fastnn.optim.add_grad_noise_`.

    Args:
        std: standard deviation at the first step.
        gamma: how fast the variance falls.
        seed: of the noise.
    """

    def __init__(self, std: float = 0.1, gamma: float = 0.55, seed: int = 0) -> None:
        super().__init__(seed)
        self.std, self.gamma = std, gamma

    def on_gradients(self, trainer: Trainer) -> None:
        add_grad_noise_(trainer.model.parameters(), self.std, trainer.step, self.gamma, generator=self.generator)


class WeightNoise(_Noise):
    """Computes every gradient at weights with Gaussian noise; the step moves the clean ones.

    Args:
        std: standard deviation, relative to the root mean square of each parameter.
        seed: of the noise.
    """

    def __init__(self, std: float = 0.01, seed: int = 0) -> None:
        super().__init__(seed)
        self.std = std
        self._noise: AbstractContextManager[None] | None = None

    def on_step_start(self, trainer: Trainer) -> None:
        parameters = list(trainer.model.parameters())
        self._noise = weight_noise(parameters, self.std, relative=True, generator=self.generator)
        self._noise.__enter__()

    def on_gradients(self, trainer: Trainer) -> None:
        self.close()

    def close(self) -> None:
        if self._noise is not None:
            self._noise.__exit__(None, None, None)
            self._noise = None
