"""Activation functions, forwards and backwards in one sweep over memory each.

The pointwise ones are entries of a table in C (csrc/activations.def): an operation here names its entry and
fills its parameters. Arrays without gaps are worked on as they lie, channels-last or not; the result lies as the
input does.
"""

from __future__ import annotations

import numpy as np

from .. import _C
from ..autograd import Array, Grads, Needs, op
from ..autograd.dtype import DType
from ..autograd.pending import Finish, waiting
from .gated import glu, maxout
from .layout import from_rows, gapless, in_order_of, memory_axes, rows, to_nhwc
from .max_windows import relu_max_windows
from .pointwise import Activated, Entry, joins_batch_norm, pointwise
from .random_activation import gumbel_softmax, rrelu
from .reduction import need_real
from .shrink import hardshrink, softshrink, tanhshrink, threshold
from .softmax import log_softmax, softmax, softmin
from .window import Sizes, Window

__all__ = [
    "celu", "elu", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "log_softmax", "logsigmoid", "maxout", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu",
    "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip

_GELUS = {"none": "gelu", "tanh": "gelu_tanh"}
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _start_relu(input: Array, inplace: bool = False) -> tuple[tuple[int, ...], DType, Finish]:
    """What `relu` does in its call; the output waits for a maximum pooling."""
    need_real("relu", input)

    def finish(windows: tuple[Sizes, Window] | None = None) -> Activated:
        return pointwise("relu", "relu", input) if windows is None else relu_max_windows(to_nhwc(input), *windows)

    return input.shape, input.dtype, finish


@waiting(_start_relu)
@op
def relu(input: Array, inplace: bool = False) -> Activated:
    """Rectifier `max(0, input)`; the derivative at 0 is 0.

    Args:
        input: float32 or float64.
        inplace: accepted for PyTorch's sake; the input is never changed, since others may have saved it.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.

    Source: Nair, Hinton, ICML 2010.

    Example:
        >>> relu(fastnn.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return pointwise("relu", "relu", input)


joins_batch_norm("relu6", lambda inplace=False: Entry("hardtanh", 0.0, 6.0))


@op
def relu6(input: Array, inplace: bool = False) -> Activated:
    """`min(max(0, input), 6)`; the derivative is 0 at both bounds. Shapes and errors as `relu`.

    Source: Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.
    """
    return pointwise("relu6", "hardtanh", input, 0.0, 6.0)


@op
def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Activated:
    """`input` clipped to `[min_val, max_val]`; the derivative is 0 at both bounds.

    Args:
        input: float32 or float64.
        min_val: lower bound.
        max_val: upper bound, above the lower.
        inplace: ignored, as in `relu`.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if `min_val` is not below `max_val`.
    """
    if not min_val < max_val:
        raise ValueError(f"hardtanh: expected min_val below max_val, got {min_val} and {max_val}")
    return pointwise("hardtanh", "hardtanh", input, min_val, max_val)


joins_batch_norm("leaky_relu", lambda negative_slope=0.01, inplace=False: Entry("leaky_relu", negative_slope))


@op
def leaky_relu(input: Array, negative_slope: float = 0.01, inplace: bool = False) -> Activated:
    """`input` where positive, else `negative_slope * input`. Shapes and errors as `relu`.

    Args:
        input: float32 or float64.
        negative_slope: slope below 0.
        inplace: ignored, as in `relu`.

    Source: Maas, Hannun, Ng, ICML 2013.
    """
    return pointwise("leaky_relu", "leaky_relu", input, negative_slope)


joins_batch_norm("elu", lambda alpha=1.0, inplace=False: Entry("elu", alpha, 1.0, 1.0))


@op
def elu(input: Array, alpha: float = 1.0, inplace: bool = False) -> Activated:
    """`input` where positive, else `alpha * (exp(input) - 1)`. Shapes and errors as `relu`.

    Args:
        input: float32 or float64.
        alpha: minus the limit at minus infinity.
        inplace: ignored, as in `relu`.

    Source: Clevert, Unterthiner, Hochreiter, arXiv:1511.07289.
    """
    return pointwise("elu", "elu", input, alpha, 1.0, 1.0)


@op
def selu(input: Array, inplace: bool = False) -> Activated:
    """`scale * elu(input, alpha)` with the constants that keep mean 0 and variance 1. Shapes and errors as `relu`.

    Source: Klambauer et al., arXiv:1706.02515; alpha = 1.67326..., scale = 1.05070...
    """
    return pointwise("selu", "elu", input, _SELU_ALPHA, _SELU_SCALE, 1.0)


@op
def celu(input: Array, alpha: float = 1.0, inplace: bool = False) -> Activated:
    """`input` where positive, else `alpha * (exp(input / alpha) - 1)`. Shapes and errors as `relu`.

    Args:
        input: float32 or float64.
        alpha: not 0.

    Raises:
        ValueError: if `alpha` is 0.

    Source: Barron, arXiv:1704.07483.
    """
    if alpha == 0:
        raise ValueError("celu: expected alpha other than 0")
    return pointwise("celu", "elu", input, alpha, 1.0, 1.0 / alpha)


joins_batch_norm("gelu", lambda approximate="none": Entry(_GELUS[approximate]))


@op
def gelu(input: Array, approximate: str = "none") -> Activated:
    """`input * Phi(input)`, Phi the standard normal distribution function. Shapes and errors as `relu`.

    Args:
        input: float32 or float64.
        approximate: "none" for the exact Phi, or "tanh" for
            `(1 + tanh(sqrt(2 / pi) * (input + 0.044715 * input**3))) / 2`.

    Raises:
        ValueError: if `approximate` is another word.

    Source: Hendrycks, Gimpel, arXiv:1606.08415.
    """
    if approximate not in list(_GELUS):
        raise ValueError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}")
    return pointwise("gelu", _GELUS[approximate], input)


joins_batch_norm("silu", lambda inplace=False: Entry("silu"))


@op
def silu(input: Array, inplace: bool = False) -> Activated:
    """`input * sigmoid(input)`, also called swish. Shapes and errors as `relu`.

    Source: Elfwing, Uchibe, Doya, arXiv:1702.03118.
    """
    return pointwise("silu", "silu", input)


joins_batch_norm("mish", lambda inplace=False: Entry("mish"))


@op
def mish(input: Array, inplace: bool = False) -> Activated:
    """`input * tanh(softplus(input))`. Shapes and errors as `relu`.

    Source: Misra, arXiv:1908.08681.
    """
    return pointwise("mish", "mish", input)


@op
def sigmoid(input: Array) -> Activated:
    """Logistic function `1 / (1 + exp(-input))`, without overflow. Shapes and errors as `relu`.

    Example:
        >>> sigmoid(fastnn.tensor([-1e4, 0.0, 1e4]))
        tensor([0.0000, 0.5000, 1.0000])
    """
    return pointwise("sigmoid", "sigmoid", input)


@op
def tanh(input: Array) -> Activated:
    """Hyperbolic tangent. Shapes and errors as `relu`."""
    return pointwise("tanh", "tanh", input)


@op
def softplus(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Activated:
    """`log(1 + exp(beta * input)) / beta`, and `input` itself where `beta * input` exceeds the threshold.

    Args:
        input: float32 or float64.
        beta: sharpness, not 0.
        threshold: from where on the function is taken to be linear.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if `beta` is 0.

    Source: Dugas et al., NIPS 2000.
    """
    if beta == 0:
        raise ValueError("softplus: expected beta other than 0")
    return pointwise("softplus", "softplus", input, beta, threshold)


@op
def logsigmoid(input: Array) -> Activated:
    """`log(sigmoid(input))`, without overflow. Shapes and errors as `relu`."""
    return pointwise("logsigmoid", "logsigmoid", input)


@op
def softsign(input: Array) -> Activated:
    """`input / (1 + |input|)`. Shapes and errors as `relu`."""
    return pointwise("softsign", "softsign", input)


@op
def hardsigmoid(input: Array, inplace: bool = False) -> Activated:
    """Piecewise linear sigmoid `min(max(0, input + 3), 6) / 6`. Shapes and errors as `relu`."""
    return pointwise("hardsigmoid", "hardsigmoid", input)


joins_batch_norm("hardswish", lambda inplace=False: Entry("hardswish"))


@op
def hardswish(input: Array, inplace: bool = False) -> Activated:
    """`input * hardsigmoid(input)`. Shapes and errors as `relu`.

    Source: Howard et al., arXiv:1905.02244.
    """
    return pointwise("hardswish", "hardswish", input)


@op
def prelu(input: Array, weight: Array) -> Activated:
    """`input` where positive, else `weight * input`, with slopes that are learnt.

    Args:
        input: float32 or float64.
        weight: one slope, or one for each channel.

    Shape:
        input: (N, C, *), or any with one slope. weight: (1,) or (C,). The result has the shape of `input`.

    Raises:
        TypeError: if `input` is not float32 or float64, or `weight` is of another dtype.
        ValueError: if `weight` is neither one slope nor one for each channel.

    Source: He et al., arXiv:1502.01852.
    """
    need_real("prelu", input)
    if weight.dtype != input.dtype:
        raise TypeError(f"prelu: expected weight of the input's dtype {input.dtype}, got {weight.dtype}")
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.size != 1 and (weight.ndim != 1 or weight.size != channels):
        raise ValueError(f"prelu: expected 1 or {channels} slopes for input {input.shape}, got shape {weight.shape}")
    shape, per_channel = input.shape, weight.size > 1
    x = rows(input) if per_channel else gapless(input)
    # With one slope any order of the elements will do, and a dense array is a contiguous one in its own order.
    axes = None if per_channel or x.flags.c_contiguous else memory_axes(x)
    flat = x if axes is None else x.transpose(axes)
    w = np.ascontiguousarray(weight).reshape(-1)
    y: Array = _C.empty_like(x)
    _C.prelu_fwd(flat, w, y if axes is None else y.transpose(axes))

    def backward(dy: Array, needs: Needs) -> Grads:
        given = rows(dy) if per_channel else in_order_of(dy, x)
        dx: Array = _C.empty_like(x)
        dw: Array = _C.empty(weight.shape, weight.dtype)
        turned = (given, dx) if axes is None else (given.transpose(axes), dx.transpose(axes))
        _C.prelu_bwd(turned[0], flat, w, turned[1], dw)
        return from_rows(dx, shape) if per_channel else dx, dw

    return from_rows(y, shape) if per_channel else y, backward
