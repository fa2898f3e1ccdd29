"""What a row of the kernel benchmark is, and what the rows of all families are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import _C
from ..autograd import OPS, Tensor
from .timer import Work

__all__ = [
    "Array", "Case", "Contenders", "arrays_of", "backward", "difference", "forward", "noise", "noise_images",
    "reference_layout", "torch_forms",
]  # fmt: skip

Array: TypeAlias = npt.NDArray[Any]
Contenders: TypeAlias = dict[str, Work]
"""Works by library: "fastnn", "numpy", and "torch", or "torch NCHW" and "torch channels-last" for images."""


@dataclass(frozen=True)
class Case:
    """One kernel on one shape.

    Attributes:
        family: the family word.
        name: operation, shape and pass.
        work: floating-point operations, bytes that must be moved, or images, of one call.
        unit: "GFLOP/s", "GB/s" or "images/s", which says what `work` counts.
        build: makes inputs and contenders; called with the names of the libraries to compare with and, for
            "torch", its module.
        comparable: whether the contenders' results must be equal up to rounding.
    """

    family: str
    name: str
    work: float
    unit: str
    build: Callable[[Mapping[str, Any]], Contenders]
    comparable: bool = True

    @property
    def label(self) -> str:
        """Family and name."""
        return f"{self.family} {self.name}"


def noise(*shape: int, seed: int = 0) -> Array:
    """Normally distributed float32 numbers in aligned memory, always the same ones."""
    values: Array = _C.empty(shape, np.dtype(np.float32))
    np.random.default_rng(seed).standard_normal(out=values.reshape(-1), dtype=np.float32)
    return values


def noise_images(n: int, c: int, *spatial: int, seed: int = 0) -> Array:
    """`noise` as images (n, c, *spatial), channels-last in memory."""
    return np.moveaxis(noise(n, *spatial, c, seed=seed), -1, 1)


def reference_layout(*arrays: Array) -> tuple[Array, ...]:
    """The arrays in NumPy's own memory order, which suits the definitions of fastnn.reference best."""
    return tuple(np.ascontiguousarray(array) for array in arrays)


def forward(name: str, *arguments: Any, **options: Any) -> Work:
    """The operation `name` of fastnn on these arguments, as a program without gradients calls it."""
    operation = OPS[name]
    given = [Tensor(each) if isinstance(each, np.ndarray) else each for each in arguments]
    options = {key: Tensor(each) if isinstance(each, np.ndarray) else each for key, each in options.items()}
    return lambda: operation(*given, **options).data


def backward(name: str, dy: Array, needs: Collection[bool], *arguments: Any, **options: Any) -> Work:
    """The backward pass alone of the operation `name`.

    Args:
        name: the operation.
        dy: the gradient of its output.
        needs: which of its tensors want a gradient.
        arguments: the arguments of its forward pass, as arrays.
        options: its options.

    Returns:
        A work that gives the gradients that were wanted, in order.
    """
    _, closure = inspect.unwrap(OPS[name])(*arguments, **options)
    wanted = tuple(needs)
    return lambda: tuple(each for each in closure(dy, wanted) if each is not None)


def torch_forms(torch: Any, *arrays: Array) -> dict[str, tuple[Any, ...]]:
    """The arrays as PyTorch's tensors, in each of the layouts in which PyTorch keeps images and filters."""
    tensors = [torch.from_numpy(array) for array in arrays]
    layouts = {"torch NCHW": torch.contiguous_format, "torch channels-last": torch.channels_last}
    return {
        form: tuple(t.contiguous(memory_format=layout) if t.ndim == 4 else t.contiguous() for t in tensors)
        for form, layout in layouts.items()
    }


def arrays_of(result: Any) -> list[Array]:
    """The arrays in what a contender returned."""
    if result is None:
        return []
    if isinstance(result, tuple | list):
        return [array for each in result for array in arrays_of(each)]
    return [np.asarray(result.data if isinstance(result, Tensor) else result)]


def difference(result: Any, expected: Any) -> float:
    """The largest relative distance, in the Euclidean norm, of the arrays of `result` from those of `expected`.

    What `expected` has beyond the arrays of `result` does not count.

    Raises:
        ValueError: if shapes differ.
    """
    largest = 0.0
    for ours, theirs in zip(arrays_of(result), arrays_of(expected)):
        if ours.shape != theirs.shape:
            raise ValueError(f"difference: results of different shapes, {ours.shape} and {theirs.shape}")
        scale = float(np.linalg.norm(theirs)) or 1.0
        largest = max(largest, float(np.linalg.norm(np.subtract(ours, theirs))) / scale)
    return largest
