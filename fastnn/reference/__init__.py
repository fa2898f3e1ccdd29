"""The readable NumPy definition of every kernel of fastnn.

Read this package first. Each module defines one family of operations with plain functions over ndarrays, and
nothing but NumPy: no Tensor, no autograd, no C. The tests hold the C kernels against it, the benchmarks
measure them against it, and where a formula needs explaining, it is explained here.

Conventions, the same in every module:

- Shapes are PyTorch's: activations ``(N, C, *spatial)``, convolution weights ``(out, in / groups, *kernel)``.
- A module is named after its family (`pool`, `norm`, `loss` ...) and holds all of it, be it by import.
- ``<op>_fwd`` computes the output and, where the backward pass needs them, the values it saves.
- ``<op>_bwd`` takes ``dy``, the gradient of a scalar loss with respect to the output, first, and returns the
  gradients of the inputs: ``dx`` of the input, ``dw`` of the weight, ``db`` of the bias.
- Work is done in the dtype of the input: float64 in, float64 out.
- Inputs are never changed in place.

Example:
    >>> import numpy as np
    >>> from fastnn.reference import conv
    >>> x, w = np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3))
    >>> conv.conv_fwd(x, w, padding=1, stride=2).shape
    (1, 4, 4, 4)
"""

from . import (
    activation,
    augment,
    augment_pixels,
    bfloat16,
    conv,
    dropout,
    elementwise,
    linear,
    loss,
    norm,
    optim,
    pool,
    random,
    reduce,
    window,
)

__all__ = [
    "activation",
    "augment",
    "augment_pixels",
    "bfloat16",
    "conv",
    "dropout",
    "elementwise",
    "linear",
    "loss",
    "norm",
    "optim",
    "pool",
    "random",
    "reduce",
    "window",
]
