"""Tensors of random numbers, each from the next stream of a generator.

Uniform and normal numbers are drawn by kernels that compute each of them from its place alone: the result does not
depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from .. import _C
from ..autograd import Array, Tensor
from ..autograd.dtype import DType, as_dtype, get_default_dtype
from ..autograd.inplace import assign
from ..random import Generator, generator_for
from .create import made, wanted_dtype
from .shape import Sizes, sizes_of

__all__ = [
    "bernoulli", "normal", "normal_", "rand", "rand_like", "randint", "randn", "randn_like", "randperm", "uniform_",
]  # fmt: skip


def _float_dtype(name: str, dtype: npt.DTypeLike | None) -> DType:
    kind = wanted_dtype(name, dtype)
    if kind not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected float32 or float64, got {kind}")
    return kind


def _drawn(
    fill: Callable[..., None],
    shape: tuple[int, ...],
    kind: DType,
    generator: Generator | None,
    *parameters: float,
) -> Array:
    """Random numbers of a kernel, from the next stream of the generator: the same for any number of threads."""
    values: Array = _C.empty(shape, kind)
    fill(values, *generator_for(generator).stream(), *parameters)
    return values


def rand(
    *size: Sizes,
    generator: Generator | None = None,
    dtype: npt.DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers uniform in [0, 1), from `generator` or the default one."""
    values = _drawn(_C.random_uniform, sizes_of(size), _float_dtype("rand", dtype), generator)
    return made("rand", values, requires_grad, device)


def randn(
    *size: Sizes,
    generator: Generator | None = None,
    dtype: npt.DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal numbers, from `generator` or the default one."""
    values = _drawn(_C.random_normal, sizes_of(size), _float_dtype("randn", dtype), generator)
    return made("randn", values, requires_grad, device)


def rand_like(input: Tensor, *, generator: Generator | None = None, requires_grad: bool = False) -> Tensor:
    """Numbers uniform in [0, 1) in the shape and dtype of another tensor."""
    return rand(input.shape, generator=generator, dtype=input.dtype, requires_grad=requires_grad)


def randn_like(input: Tensor, *, generator: Generator | None = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers in the shape and dtype of another tensor."""
    return randn(input.shape, generator=generator, dtype=input.dtype, requires_grad=requires_grad)


def randint(
    low: int,
    high: int | Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: npt.DTypeLike | None = None,
    device: str | None = None,
) -> Tensor:
    """Integers uniform from `low` up to but excluding `high`, in int64 by default.

    Args:
        low: lowest integer; `randint(high, size)` starts at 0.
        high: one above the highest integer.
        size: shape of the result.
        generator: where the randomness comes from, the default generator if None.
        dtype: dtype of the result.
        device: None or "cpu".

    Raises:
        ValueError: if the interval is empty.
        TypeError: if `size` is missing.
    """
    if size is None:
        if high is None or isinstance(high, int):
            raise TypeError("randint: expected a size")
        first, last, shape = 0, low, high
    elif isinstance(high, int):
        first, last, shape = low, high, size
    else:
        raise TypeError(f"randint: expected an integer for high, got {high!r}")
    if first >= last:
        raise ValueError(f"randint: expected low < high, got {first} and {last}")
    kind = np.dtype(np.int64) if dtype is None else as_dtype(dtype, "randint")
    values = generator_for(generator).rng().integers(first, last, tuple(shape))
    return made("randint", np.asarray(values).astype(kind, copy=False), False, device)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: npt.DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """The integers from 0 to `n` - 1 in random order, in int64 by default."""
    kind = np.dtype(np.int64) if dtype is None else as_dtype(dtype, "randperm")
    return made("randperm", generator_for(generator).rng().permutation(n).astype(kind, copy=False), False, device)


def uniform_(input: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Replace the elements by numbers uniform in [a, b); laid out in the order of the last dimension first."""
    kind = input.dtype if input.dtype.char in "fd" else np.dtype(np.float64)
    return assign(input, _drawn(_C.random_uniform, input.shape, kind, generator, a, b), "uniform_")


def normal_(input: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Replace the elements by normal numbers of the given mean and standard deviation.

    They are laid out in the order of the last dimension first, and come from a kernel that computes each from its place
    alone, so the number of threads changes nothing.

    Args:
        input: the tensor to fill.
        mean: the mean.
        std: the standard deviation, not negative.
        generator: where the randomness comes from, the default generator if None.

    Raises:
        ValueError: if `std` is negative.
    """
    if not std >= 0:
        raise ValueError(f"normal_: expected std of at least 0, got {std}")
    kind = input.dtype if input.dtype.char in "fd" else np.dtype(np.float64)
    return assign(input, _drawn(_C.random_normal, input.shape, kind, generator, mean, std), "normal_")


def normal(
    mean: Tensor | float = 0.0,
    std: Tensor | float = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers with means and standard deviations of their own.

    Args:
        mean: the means, a Tensor or a number.
        std: the standard deviations, not negative, a Tensor or a number.
        size: shape of the result; by default that of the Tensors, broadcast.
        generator: where the randomness comes from, the default generator if None.

    Returns:
        a Tensor of the dtype of `mean` and `std`, the default float dtype for numbers, without gradient.

    Raises:
        TypeError: if neither is a Tensor and `size` is missing.
        ValueError: if a standard deviation is negative or the shapes do not broadcast.
    """
    tensors = [x.data for x in (mean, std) if isinstance(x, Tensor)]
    if size is None and not tensors:
        raise TypeError("normal: expected a size, or a Tensor as mean or std")
    kind = np.result_type(*tensors) if tensors else get_default_dtype()
    centre, spread = np.asarray(mean, kind), np.asarray(std, kind)
    if spread.size and not spread.min() >= 0:
        raise ValueError(f"normal: expected std of at least 0, got {spread.min()}")
    shapes = [centre.shape, spread.shape] if size is None else [centre.shape, spread.shape, tuple(size)]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"normal: shapes {shapes} of mean, std and size do not broadcast") from None
    if size is not None and shape != tuple(size):
        raise ValueError(f"normal: shapes {shapes[:2]} of mean and std do not broadcast to {tuple(size)}")
    return Tensor(centre + spread * _drawn(_C.random_normal, shape, _float_dtype("normal", kind), generator))


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Ones with the probabilities in `input`, else zeros, in its shape and dtype, without gradient.

    Raises:
        ValueError: if a probability is not from 0 to 1.
        TypeError: if `input` is not float32 or float64.
    """
    p = input.data
    kind = _float_dtype("bernoulli", p.dtype)
    if p.size and not 0 <= p.min() <= p.max() <= 1:
        raise ValueError(f"bernoulli: expected probabilities from 0 to 1, got {p.min()} to {p.max()}")
    return Tensor((_drawn(_C.random_uniform, p.shape, kind, generator) < p).astype(kind))
