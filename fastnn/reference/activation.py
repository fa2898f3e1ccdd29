"""Activation functions.

Each pointwise function f has ``f_fwd(x) -> y`` and ``f_bwd(dy, x) -> dx`` with ``dx = dy f'(x)``; the
parameters of the forward pass follow in both. Where f has a corner, f' there is what PyTorch takes. Nothing
overflows: exponentials are taken of numbers that are not positive, or of numbers clipped below a threshold.
"""

import math

import numpy as np

from ._typing import Array
from .shrink import glu_bwd as glu_bwd
from .shrink import glu_fwd as glu_fwd
from .shrink import hardshrink_bwd as hardshrink_bwd
from .shrink import hardshrink_fwd as hardshrink_fwd
from .shrink import softshrink_fwd as softshrink_fwd
from .shrink import threshold_bwd as threshold_bwd
from .shrink import threshold_fwd as threshold_fwd

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

_erf_float64 = np.vectorize(math.erf, otypes=[np.float64])


def erf(x: Array) -> Array:
    """Error function ``2/√π ∫₀ˣ exp(-t²) dt``, in double precision and then rounded to the dtype of x."""
    return np.asarray(_erf_float64(x), dtype=x.dtype)


def sigmoid_fwd(x: Array) -> Array:
    """Logistic sigmoid ``1 / (1 + exp(-x))``, written with ``exp(-|x|)`` so that it cannot overflow.

    Example:
        >>> sigmoid_fwd(np.array([-1e4, 0.0, 1e4])).tolist()
        [0.0, 0.5, 1.0]
    """
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `sigmoid_fwd`: ``dy s (1 - s)``."""
    s = sigmoid_fwd(x)
    return dy * s * (1 - s)


def tanh_fwd(x: Array) -> Array:
    """Hyperbolic tangent."""
    return np.asarray(np.tanh(x))


def tanh_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `tanh_fwd`: ``dy (1 - tanh² x)``."""
    return dy * (1 - np.tanh(x) ** 2)


def relu_fwd(x: Array) -> Array:
    """Rectifier ``max(0, x)``. Source: Nair, Hinton 2010."""
    return np.maximum(x, 0)


def relu_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `relu_fwd`: 0 where ``x <= 0``, else ``dy``, at a NaN too. The output may stand in for ``x``."""
    return np.where(x <= 0, 0, dy)


def leaky_relu_fwd(x: Array, negative_slope: float = 0.01) -> Array:
    """``x`` where positive, else ``negative_slope x``. Source: Maas, Hannun, Ng 2013."""
    return np.where(x > 0, x, negative_slope * x)


def leaky_relu_bwd(dy: Array, x: Array, negative_slope: float = 0.01) -> Array:
    """Gradient of `leaky_relu_fwd`: ``dy`` where ``x > 0``, else ``negative_slope dy``."""
    return np.where(x > 0, dy, negative_slope * dy)


def _slopes(w: Array, x: Array) -> Array:
    return w.reshape(1, -1, *[1] * (x.ndim - 2)) if w.size > 1 else w.reshape([1] * x.ndim)


def prelu_fwd(x: Array, w: Array) -> Array:
    """Leaky ReLU with a learned slope. Source: He et al. 2015.

    Args:
        x: input.
        w: slope, one for all or one per channel.

    Shape:
        x (N, C, *), w (1,) or (C,) -> like x

    Returns:
        The output.
    """
    return np.where(x > 0, x, _slopes(w, x) * x)


def prelu_bwd(dy: Array, x: Array, w: Array) -> tuple[Array, Array]:
    """Gradient of `prelu_fwd`.

    ``(dx, dw)``, ``dw`` being the sum of ``dy x`` over negative x that share the slope.
    """
    dx = np.where(x > 0, dy, _slopes(w, x) * dy)
    dslope = np.where(x > 0, 0, dy * x)
    axes = None if w.size == 1 else (0, *range(2, x.ndim))
    return dx, np.asarray(dslope.sum(axis=axes)).reshape(w.shape)


def elu_fwd(x: Array, alpha: float = 1.0) -> Array:
    """``x`` where positive, else ``alpha (exp(x) - 1)``. Source: Clevert, Unterthiner, Hochreiter 2016."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_bwd(dy: Array, x: Array, alpha: float = 1.0) -> Array:
    """Gradient of `elu_fwd`: ``dy`` where ``x > 0``, else ``dy alpha exp(x)``."""
    return np.where(x > 0, dy, dy * alpha * np.exp(np.minimum(x, 0)))


def selu_fwd(x: Array) -> Array:
    """Self-normalising ELU, ``SELU_SCALE elu(x, SELU_ALPHA)``. Source: Klambauer et al. 2017."""
    return SELU_SCALE * elu_fwd(x, SELU_ALPHA)


def selu_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `selu_fwd`."""
    return SELU_SCALE * elu_bwd(dy, x, SELU_ALPHA)


_GELU_CUBIC = 0.044715


def gelu_fwd(x: Array, approximate: str = "none") -> Array:
    """Gaussian error linear unit ``x Φ(x)``, Φ the normal distribution function. Source: Hendrycks, Gimpel
    2016.

    Args:
        x: input.
        approximate: ``'none'`` for ``Φ(x) = (1 + erf(x / √2)) / 2``, or ``'tanh'`` for
            ``Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2``.

    Shape:
        x (*) -> (*)

    Returns:
        The output.

    Raises:
        ValueError: for another word.
    """
    if approximate == "none":
        return 0.5 * x * (1 + erf(x / math.sqrt(2)))
    if approximate != "tanh":
        raise ValueError(f"gelu_fwd: approximate must be 'none' or 'tanh', got {approximate!r}")
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + _GELU_CUBIC * x**3)))


def gelu_bwd(dy: Array, x: Array, approximate: str = "none") -> Array:
    """Gradient of `gelu_fwd`: ``dy (Φ(x) + x Φ'(x))``; exactly, ``Φ'`` is the normal density."""
    if approximate == "none":
        density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return dy * (0.5 * (1 + erf(x / math.sqrt(2))) + x * density)
    if approximate != "tanh":
        raise ValueError(f"gelu_bwd: approximate must be 'none' or 'tanh', got {approximate!r}")
    root = math.sqrt(2 / math.pi)
    t = np.tanh(root * (x + _GELU_CUBIC * x**3))
    return dy * 0.5 * (1 + t + x * (1 - t * t) * root * (1 + 3 * _GELU_CUBIC * x * x))


def silu_fwd(x: Array) -> Array:
    """``x sigmoid(x)``, also called swish. Source: Elfwing, Uchibe, Doya 2018."""
    return x * sigmoid_fwd(x)


def silu_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `silu_fwd`: ``dy s (1 + x (1 - s))``, s the sigmoid."""
    s = sigmoid_fwd(x)
    return dy * s * (1 + x * (1 - s))


def softplus_fwd(x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """``ln(1 + exp(beta x)) / beta``, and ``x`` itself where ``beta x > threshold``.

    Source: Dugas et al. 2001.
    """
    return np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta)


def softplus_bwd(dy: Array, x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """Gradient of `softplus_fwd`: ``dy sigmoid(beta x)``, and ``dy`` above the threshold."""
    return np.where(x * beta > threshold, dy, dy * sigmoid_fwd(x * beta))


def hardtanh_fwd(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """``x`` clipped to ``[min_val, max_val]``."""
    return np.clip(x, min_val, max_val)


def hardtanh_bwd(dy: Array, x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """Gradient of `hardtanh_fwd`: ``dy`` strictly between the bounds, else 0."""
    return np.where((x > min_val) & (x < max_val), dy, 0)


def relu6_fwd(x: Array) -> Array:
    """``min(max(0, x), 6)``. Source: Krizhevsky 2010."""
    return hardtanh_fwd(x, 0, 6)


def relu6_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `relu6_fwd`: ``dy`` where ``0 < x < 6``, else 0."""
    return hardtanh_bwd(dy, x, 0, 6)


def hardsigmoid_fwd(x: Array) -> Array:
    """Piecewise linear sigmoid ``min(max(0, x + 3), 6) / 6``."""
    return relu6_fwd(x + 3) / 6


def hardsigmoid_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `hardsigmoid_fwd`: ``dy / 6`` where ``-3 < x < 3``, else 0."""
    return np.where((x > -3) & (x < 3), dy / 6, 0)


def hardswish_fwd(x: Array) -> Array:
    """``x hardsigmoid(x)``. Source: Howard et al. 2019 (MobileNetV3)."""
    return x * hardsigmoid_fwd(x)


def hardswish_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `hardswish_fwd`: 0 up to -3, ``dy (x/3 + 1/2)`` between, ``dy`` from 3 on."""
    return np.where(x <= -3, 0, np.where(x < 3, dy * (x / 3 + 0.5), dy))


def mish_fwd(x: Array) -> Array:
    """``x tanh(softplus(x))``. Source: Misra 2019."""
    return x * np.tanh(np.logaddexp(0, x))


def mish_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `mish_fwd`: ``dy (t + x (1 - t²) sigmoid(x))`` with ``t = tanh(softplus(x))``."""
    t = np.tanh(np.logaddexp(0, x))
    return dy * (t + x * (1 - t * t) * sigmoid_fwd(x))


def logsigmoid_fwd(x: Array) -> Array:
    """``ln sigmoid(x) = -ln(1 + exp(-x))``."""
    return -np.logaddexp(0, -x)


def logsigmoid_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `logsigmoid_fwd`: ``dy sigmoid(-x)``."""
    return dy * sigmoid_fwd(-x)


def softsign_fwd(x: Array) -> Array:
    """``x / (1 + |x|)``."""
    return x / (1 + np.abs(x))


def softsign_bwd(dy: Array, x: Array) -> Array:
    """Gradient of `softsign_fwd`: ``dy / (1 + |x|)²``."""
    return dy / (1 + np.abs(x)) ** 2


def softmax_fwd(x: Array, axis: int = -1) -> Array:
    """``exp(x_i) / Σ_j exp(x_j)`` along an axis; taking the maximum off first avoids overflow.

    Args:
        x: input.
        axis: the axis along which the output sums to 1.

    Shape:
        x (*) -> (*)

    Returns:
        The output.

    Example:
        >>> softmax_fwd(np.array([1e4, 1e4])).tolist()
        [0.5, 0.5]
    """
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_bwd(dy: Array, y: Array, axis: int = -1) -> Array:
    """Gradient of `softmax_fwd`, from its output: ``y (dy - Σ dy y)``."""
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax_fwd(x: Array, axis: int = -1) -> Array:
    """``x_i - ln Σ_j exp(x_j)`` along an axis, finite for any finite input.

    Args:
        x: input.
        axis: the axis along which ``exp`` of the output sums to 1.

    Shape:
        x (*) -> (*)

    Returns:
        The output.

    Example:
        >>> log_softmax_fwd(np.array([0.0, 1e4])).tolist()
        [-10000.0, 0.0]
    """
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def log_softmax_bwd(dy: Array, y: Array, axis: int = -1) -> Array:
    """Gradient of `log_softmax_fwd`, from its output: ``dy - exp(y) Σ dy``."""
    return dy - np.exp(y) * dy.sum(axis=axis, keepdims=True)
