"""Activations that draw random numbers: the randomised leaky rectifier and the Gumbel softmax."""

from __future__ import annotations

import numpy as np

from .. import _C
from ..autograd import Array, Grads, Needs, Tensor, op
from ..random import Generator, generator_for
from .layout import dense
from .pointwise import Activated
from .reduction import need_real
from .softmax import softmax

__all__ = ["gumbel_softmax", "rrelu"]


@op
def rrelu(
    input: Array,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Activated:
    """Leaky ReLU whose slope below 0 is drawn anew for every element, from U(lower, upper).

    Outside of training the slope is their mean, `(lower + upper) / 2`. The slopes are never stored: the backward pass
    draws them again.

    Args:
        input: float32 or float64.
        lower: the least slope.
        upper: the largest slope.
        training: whether slopes are random.
        inplace: accepted for PyTorch's sake; the input is never changed.
        generator: where random numbers come from, the default generator if None; one stream is used up in training.

    Shape:
        input: any; the result has the same.

    Raises:
        TypeError: if `input` is not float32 or float64.
        ValueError: if `lower` is above `upper`.

    Source: Xu et al., "Empirical evaluation of rectified activations in convolution network", arXiv:1505.00853.
    """
    need_real("rrelu", input)
    if not lower <= upper:
        raise ValueError(f"rrelu: expected lower of at most upper, got {lower} and {upper}")
    flat, order = dense(input)
    stream = generator_for(generator).stream() if training else None

    def slopes() -> Array:
        w: Array = _C.empty(flat.shape if training else (1,), flat.dtype)
        if stream is None:
            w.fill((lower + upper) / 2)
        else:
            _C.random_uniform(w, *stream, lower, upper)
        return w

    def rectified(x: Array) -> Array:
        y: Array = _C.empty_like(x)
        if x.size:
            _C.prelu_fwd(x, slopes(), y)
        return y

    def backward(dy: Array, needs: Needs) -> Grads:
        given, dx = order.flat(dy), _C.empty_like(flat)
        if flat.size:
            w = slopes()
            _C.prelu_bwd(given, flat, w, dx, _C.empty_like(w))
        return (order.restore(dx),)

    return order.restore(rectified(flat)), backward


def gumbel_softmax(
    logits: Tensor,
    tau: float = 1.0,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """A differentiable random vector near one-hot, `softmax((logits + g) / tau)`, as softmax(logits) would draw it.

    g is Gumbel noise, `-log(-log(u))`. The lower the temperature, the closer to one-hot.

    Args:
        logits: scores, float32 or float64.
        tau: the temperature, above 0.
        hard: return the one-hot vector of the largest element; its gradient is that of the soft one.
        eps: ignored, as in PyTorch.
        dim: the dimension of the classes.
        generator: where random numbers come from, the default generator if None.

    Shape:
        logits: any; the result has the same and sums to 1 along `dim`.

    Raises:
        ValueError: if `tau` is not positive.

    Source: Jang, Gu, Poole, arXiv:1611.01144; Maddison, Mnih, Teh, arXiv:1611.00712.
    """
    if not tau > 0:
        raise ValueError(f"gumbel_softmax: expected tau above 0, got {tau}")
    scores = logits if isinstance(logits, Tensor) else Tensor(logits)
    noise = generator_for(generator).rng().gumbel(size=scores.shape).astype(scores.dtype)
    soft = softmax((scores + Tensor(noise)) / tau, dim)
    if not hard:
        return soft
    best = np.expand_dims(soft.data.argmax(dim), dim)
    one_hot = np.zeros_like(soft.data)
    np.put_along_axis(one_hot, best, 1, dim)
    return Tensor(one_hot - soft.data) + soft
