"""Fractional max pooling layers: random windows in training, fixed ones or an average over draws in evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..autograd.tensor import Tensor
from ..random import Generator
from . import functional as F
from .conv import Ints, per_dimension
from .module import Module
from .parameter import Buffer

Ratios: TypeAlias = float | Sequence[float]
_MIDDLE = 0.5


class _FractionalMaxPool(Module):
    """Maximum of windows at irregular distances, which shrinks images by any factor.

    In training the distances are drawn anew at every call, for every image, channel and axis. In evaluation they are
    fixed, or the output is the mean over several draws, as the paper has it.

    Args:
        kernel_size: the window's size, an int or one per dimension.
        output_size: the output's size, an int or one per dimension; or else:
        output_ratio: the output's size as a part of the input's, between 0 and 1.
        return_indices: also give where each maximum was, as flat indices into the input's positions.
        _random_samples: fixed random numbers, (N, C, dimensions), for training and evaluation; PyTorch's name.
        draws: in evaluation the mean of so many draws is taken; 0 uses fixed, evenly spread windows. PyTorch's layer
            draws once in evaluation too: `draws=1`.
        generator: where the randomness comes from; None means the default generator.

    Shape:
        (N, C, *sizes) -> (N, C, *output_size); at most size - kernel_size + 1.

    Raises:
        ValueError: if neither or both of `output_size` and `output_ratio` are given, a ratio is not between 0 and 1, or
            `draws` is negative or above 1 together with `return_indices`.

    Source: Graham, "Fractional max-pooling", arXiv:1412.6071.
    """

    _pool: Callable[..., Any]
    _dimensions: int

    def __init__(
        self,
        kernel_size: Ints,
        output_size: Ints | None = None,
        output_ratio: Ratios | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | npt.NDArray[Any] | None = None,
        *,
        draws: int = 0,
        generator: Generator | None = None,
    ) -> None:
        layer, n = type(self).__name__, self._dimensions
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{layer}: expected either output_size or output_ratio, got {output_size}, {output_ratio}")
        self.kernel_size = per_dimension(layer, "kernel_size", kernel_size, n)
        self.return_indices = return_indices
        self._random_samples = None if _random_samples is None else Buffer(_random_samples)
        self.output_size = None if output_size is None else per_dimension(layer, "output_size", output_size, n)
        self.output_ratio: tuple[float, ...] | None = None
        if output_ratio is not None:
            self.output_ratio = (output_ratio,) * n if isinstance(output_ratio, int | float) else tuple(output_ratio)
            if len(self.output_ratio) != n or not all(0 < ratio < 1 for ratio in self.output_ratio):
                raise ValueError(f"{layer}: expected output_ratio between 0 and 1, one or {n}, got {output_ratio}")
        if draws < 0 or (draws > 1 and return_indices):
            raise ValueError(f"{layer}: expected draws of at least 0, at most 1 with return_indices, got {draws}")
        self.draws = draws
        self.generator = generator

    def _once(self, input: Tensor, samples: Any) -> Any:
        return type(self)._pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=samples,
            generator=self.generator,
        )

    def forward(self, input: Tensor) -> Any:
        if self._random_samples is not None or self.training or self.draws == 1:
            return self._once(input, self._random_samples)
        if not self.draws:
            images = input.shape[0] if input.ndim == self._dimensions + 2 else 1
            shape = (images, input.shape[-self._dimensions - 1], self._dimensions)
            return self._once(input, Tensor(np.full(shape, _MIDDLE, input.dtype)))
        total = self._once(input, None)
        for _ in range(self.draws - 1):
            total = total + self._once(input, None)
        return total / self.draws

    def extra_repr(self) -> str:
        return f"draws={self.draws}" if self.draws else ""


class FractionalMaxPool2d(_FractionalMaxPool):
    __doc__ = _FractionalMaxPool.__doc__
    _dimensions = 2
    _pool = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    __doc__ = _FractionalMaxPool.__doc__
    _dimensions = 3
    _pool = staticmethod(F.fractional_max_pool3d)
