"""Filling weights: constants, the classical random distributions, and structured matrices.

Every function changes its tensor in place and returns it, and needs no `no_grad`. `fan_in` is the number of
inputs that one output of the layer sums over, `fan_out` the number of outputs that one input goes into: for
a weight of shape (out, in / groups, *kernel), `fan_in = in / groups * prod(kernel)` and
`fan_out = out * prod(kernel)`. Random functions draw from `generator`, or from `fastnn.random`'s default
one, in float64, so that a float32 layer gets the rounded weights of its float64 twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..autograd.tensor import Tensor
from ..random import Generator, default_generator
from .mode import evaluation_mode
from .module import Module

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "fans", "kaiming_normal_", "kaiming_uniform_", "lecun_normal_",
    "lecun_uniform_", "lsuv_", "normal_", "ones_", "orthogonal_", "sparse_", "trunc_normal_", "uniform_",
    "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

_T = TypeVar("_T", bound=Tensor)
_Model = TypeVar("_Model", bound=Module)
_GAINS = {"tanh": 5.0 / 3.0, "relu": sqrt(2.0), "selu": 0.75}
_UNIT_GAINS = ("linear", "sigmoid", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)))


def _fill(tensor: _T, values: npt.NDArray[Any] | float) -> _T:
    tensor.data[...] = values
    tensor.bump()
    return tensor


def _rng(generator: Generator | None) -> np.random.Generator:
    return (default_generator if generator is None else generator).rng()


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights should be larger to make up for what a nonlinearity loses of the variance.

    Linear layers and sigmoid: 1; tanh: 5/3; ReLU: √2; Leaky ReLU with slope a: √(2 / (1 + a²)), a = 0.01
    unless given; SELU: 3/4. These are PyTorch's values.

    Args:
        nonlinearity: the name as in `nn.functional`.
        param: the negative slope, for "leaky_relu".

    Raises:
        ValueError: if the nonlinearity is not known.
    """
    if nonlinearity in _UNIT_GAINS:
        return 1.0
    if nonlinearity == "leaky_relu":
        return sqrt(2.0 / (1.0 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join((*_UNIT_GAINS, *_GAINS, "leaky_relu"))
        raise ValueError(f"calculate_gain: expected nonlinearity to be one of {known}, got {nonlinearity!r}")
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """`(fan_in, fan_out)` of a weight of shape (out, in / groups, *kernel).

    Raises:
        ValueError: if the tensor has fewer than two dimensions.
    """
    if tensor.ndim < 2:
        raise ValueError(f"fans: expected a weight with at least 2 dimensions, got shape {tensor.shape}")
    area = prod(tensor.shape[2:])
    return tensor.shape[1] * area, tensor.shape[0] * area


def constant_(tensor: _T, val: float) -> _T:
    """Fill with `val`."""
    return _fill(tensor, val)


def zeros_(tensor: _T) -> _T:
    """Fill with zeros."""
    return _fill(tensor, 0.0)


def ones_(tensor: _T) -> _T:
    """Fill with ones."""
    return _fill(tensor, 1.0)


def uniform_(tensor: _T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> _T:
    """Fill from the uniform distribution on [a, b)."""
    return _fill(tensor, _rng(generator).uniform(a, b, tensor.shape))


def normal_(tensor: _T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> _T:
    """Fill from the normal distribution with that mean and standard deviation."""
    return _fill(tensor, _rng(generator).normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: _T,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> _T:
    """Fill from the normal distribution with that mean and standard deviation, restricted to [a, b].

    Values outside are drawn again, which is exact. As in PyTorch, `a` and `b` are values of the tensor, not
    multiples of `std`, and `std` is that of the distribution before it is cut.

    Raises:
        ValueError: if [a, b] holds so little of the distribution that drawing again would not end soon.
    """
    if not a < b or not std > 0 or a > mean + 4 * std or b < mean - 4 * std:
        raise ValueError(
            f"trunc_normal_: expected a < b within reach of mean ± 4 std, got a={a}, b={b}, {mean=}, {std=}"
        )
    rng = _rng(generator)
    if b - a < 0.5 * std or a > mean + 2 * std or b < mean - 2 * std:
        return _fill(tensor, _narrow_normal(rng, tensor.data.size, (mean, std), (a, b)).reshape(tensor.shape))
    values = rng.normal(mean, std, tensor.data.size)
    outside = np.flatnonzero((values < a) | (values > b))
    while outside.size:
        values[outside] = rng.normal(mean, std, outside.size)
        outside = outside[(values[outside] < a) | (values[outside] > b)]
    return _fill(tensor, values.reshape(tensor.shape))


def _narrow_normal(
    rng: np.random.Generator, count: int, law: tuple[float, float], cut: tuple[float, float]
) -> npt.NDArray[Any]:
    """Normal values within a narrow or remote interval: uniform draws, kept in proportion to the density."""
    (mean, std), (a, b) = law, cut
    nearest = min(max(mean, a), b)
    values = np.empty(0)
    while values.size < count:
        drawn = rng.uniform(a, b, count)
        log_density = (((nearest - mean) / std) ** 2 - ((drawn - mean) / std) ** 2) / 2
        values = np.concatenate([values, drawn[np.log(rng.uniform(size=count)) <= log_density]])
    return values[:count]


def xavier_uniform_(tensor: _T, gain: float = 1.0, generator: Generator | None = None) -> _T:
    """Fill from U(-a, a), a = gain √(6 / (fan_in + fan_out)): the variance is kept forward and backward.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010.
    """
    bound = gain * sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: _T, gain: float = 1.0, generator: Generator | None = None) -> _T:
    """Fill from N(0, σ²), σ = gain √(2 / (fan_in + fan_out)); see `xavier_uniform_`."""
    return normal_(tensor, 0.0, gain * sqrt(2.0 / sum(fans(tensor))), generator)


def _fan(function: str, tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{function}: expected mode 'fan_in' or 'fan_out', got {mode!r}")
    return fans(tensor)[mode == "fan_out"]


def kaiming_uniform_(
    tensor: _T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> _T:
    """Fill from U(-b, b), b = gain √(3 / fan): the variance is kept through layers with that nonlinearity.

    Args:
        tensor: the weight.
        a: the negative slope, for "leaky_relu" (0 makes it ReLU).
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: what follows the layer; see `calculate_gain`.
        generator: where random numbers come from.

    Source: He et al., "Delving deep into rectifiers", ICCV 2015, arXiv:1502.01852.
    """
    fan = _fan("kaiming_uniform_", tensor, mode)
    bound = calculate_gain(nonlinearity, a) * sqrt(3.0 / max(fan, 1))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: _T,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> _T:
    """Fill from N(0, σ²), σ = gain / √fan; arguments and source as for `kaiming_uniform_`."""
    fan = _fan("kaiming_normal_", tensor, mode)
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / sqrt(max(fan, 1)), generator)


def lecun_normal_(tensor: _T, generator: Generator | None = None) -> _T:
    """Fill from N(0, 1 / fan_in): what SELU networks need, and the form 1 / √d_in that lectures give of Xavier's rule.

    Source: LeCun et al., "Efficient BackProp", 1998; Klambauer et al., arXiv:1706.02515.
    """
    return normal_(tensor, 0.0, sqrt(1.0 / max(fans(tensor)[0], 1)), generator)


def lecun_uniform_(tensor: _T, generator: Generator | None = None) -> _T:
    """Fill from U(-b, b), b = √(3 / fan_in), which has variance 1 / fan_in; see `lecun_normal_`."""
    bound = sqrt(3.0 / max(fans(tensor)[0], 1))
    return uniform_(tensor, -bound, bound, generator)


def orthogonal_(tensor: _T, gain: float = 1, generator: Generator | None = None) -> _T:
    """Fill with `gain` times a random (semi-)orthogonal matrix, the tensor seen as (out, everything else).

    With fewer rows than columns the rows are orthonormal, else the columns. The matrix is uniformly (Haar)
    distributed: the Q of a Gaussian matrix's QR decomposition, with the signs of R's diagonal.

    Raises:
        ValueError: if the tensor has fewer than two dimensions.

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", arXiv:1312.6120.
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_: expected at least 2 dimensions, got shape {tensor.shape}")
    if tensor.data.size == 0:
        return tensor
    rows, columns = tensor.shape[0], prod(tensor.shape[1:])
    q, r = np.linalg.qr(_rng(generator).standard_normal((max(rows, columns), min(rows, columns))))
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def eye_(tensor: _T) -> _T:
    """Fill a matrix with ones on its diagonal and zeros elsewhere.

    Raises:
        ValueError: if the tensor does not have two dimensions.
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected 2 dimensions, got shape {tensor.shape}")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: _T, groups: int = 1) -> _T:
    """Fill a convolution's weight so that each group hands its first channels through unchanged.

    Args:
        tensor: a weight of shape (out, in / groups, *kernel) with one to three kernel dimensions.
        groups: the convolution's groups; must divide `out`.

    Raises:
        ValueError: if the shape does not fit.

    Source: Zagoruyko and Komodakis, "DiracNets", arXiv:1706.00388.
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: expected 3, 4 or 5 dimensions, got shape {tensor.shape}")
    if groups < 1 or tensor.shape[0] % groups:
        raise ValueError(f"dirac_: expected groups to divide {tensor.shape[0]} outputs, got {groups}")
    values = np.zeros(tensor.shape)
    per_group = tensor.shape[0] // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for i in range(min(per_group, tensor.shape[1])):
            values[(group * per_group + i, i, *centre)] = 1.0
    return _fill(tensor, values)


def sparse_(tensor: _T, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> _T:
    """Fill a matrix from N(0, std²), then set the fraction `sparsity` of each column, at random, to zero.

    Raises:
        ValueError: if the tensor does not have two dimensions or `sparsity` is not within [0, 1].

    Source: Martens, "Deep learning via Hessian-free optimization", ICML 2010.
    """
    if tensor.ndim != 2 or not 0 <= sparsity <= 1:
        raise ValueError(f"sparse_: expected a matrix and 0 <= sparsity <= 1, got {tensor.shape}, {sparsity}")
    rng = _rng(generator)
    rows, columns = tensor.shape
    values = rng.normal(0.0, std, (rows, columns))
    zeros = int(np.ceil(sparsity * rows))
    order = rng.permuted(np.tile(np.arange(rows)[:, None], (1, columns)), axis=0)
    np.put_along_axis(values, order[:zeros], 0.0, axis=0)
    return _fill(tensor, values)


def lsuv_(
    model: _Model,
    *inputs: Tensor,
    tolerance: float = 0.01,
    max_iterations: int = 10,
    orthogonal: bool = True,
    generator: Generator | None = None,
) -> _Model:
    """Layer-sequential unit variance: weights scaled on a batch of data until every layer's output has variance 1.

    Each weight of at least two dimensions is first made orthonormal. Then, layer by layer in the order in which the
    model calls them, the batch is sent through and the weight divided by the standard deviation of its layer's output,
    again until that is 1. Biases stay as they are, and so does everything else: the model runs in evaluation mode.

    Args:
        model: the network; its layers are the modules that own a `weight` of at least two dimensions.
        inputs: what the model is called with: a batch of training data.
        tolerance: how far from 1 a variance may stay.
        max_iterations: how often to try for each layer, as biases can keep scaling from being exact.
        orthogonal: False leaves the weights as they are, but for their scale.
        generator: where random numbers come from.

    Returns:
        the model.

    Raises:
        ValueError: if a layer's output does not vary, or is not finite, or no layer with a weight is called.

    Source: Mishkin and Matas, "All you need is a good init", ICLR 2016, arXiv:1511.06422.
    """
    layers = _layers_in_order(model, inputs)
    if not layers:
        raise ValueError("lsuv_: expected a model that calls layers with weights of at least 2 dimensions, got none")
    if orthogonal:
        for _, layer in layers:
            orthogonal_(layer.weight, generator=generator)
    for name, layer in layers:
        for _ in range(max_iterations):
            variance = _output_variance(model, layer, inputs)
            if not (np.isfinite(variance) and variance > 0):
                raise ValueError(f"lsuv_: expected an output of {name!r} that varies, got variance {variance}")
            if abs(variance - 1) <= tolerance:
                break
            _fill(layer.weight, layer.weight.data / sqrt(variance))
    return model


def _layers_in_order(model: Module, inputs: Sequence[Tensor]) -> list[tuple[str, Any]]:
    """The layers with weights, with their names, in the order in which the model first calls them."""
    found: dict[int, tuple[str, Module]] = {}
    handles = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim > 1:

            def note(layer: Module, _: Any, output: Any, name: str = name) -> None:
                found.setdefault(id(layer.weight), (name, layer))  # type: ignore[attr-defined]

            handles.append(module.register_forward_hook(note))
    try:
        with evaluation_mode(model):
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())


def _output_variance(model: Module, layer: Module, inputs: Sequence[Tensor]) -> float:
    """The variance of all elements of a layer's output, at its first call, for one batch."""
    seen: list[float] = []
    handle = layer.register_forward_hook(lambda _, given, output: seen.append(float(output.data.var(dtype=np.float64))))
    try:
        with evaluation_mode(model):
            model(*inputs)
    finally:
        handle.remove()
    return seen[0]
