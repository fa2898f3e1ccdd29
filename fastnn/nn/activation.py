"""Activation layers: one class per activation function, each calling the operation of its name.

`inplace` is accepted where PyTorch has it; the input is never changed, since the tape may need it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy.typing as npt

from ..autograd.tensor import Tensor
from ..random import Generator
from . import functional as F
from .module import Module
from .parameter import allocate


class _Plain(Module):
    """An activation without options. A subclass names the operation."""

    _function: Callable[..., Tensor]

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._function(input)


class _InPlace(_Plain):
    """An activation whose only option is `inplace`."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """max(x, 0), elementwise: (*) -> (*). Nair and Hinton, ICML 2010."""

    _function = staticmethod(F.relu)


class ReLU6(_InPlace):
    """min(max(x, 0), 6), elementwise: (*) -> (*). MobileNet, arXiv:1704.04861."""

    _function = staticmethod(F.relu6)


class SELU(_InPlace):
    """s x for x > 0, s α (eˣ - 1) otherwise, elementwise, s ≈ 1.0507, α ≈ 1.6733: (*) -> (*).

    Source: Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515.
    """

    _function = staticmethod(F.selu)


class SiLU(_InPlace):
    """x sigmoid(x), elementwise, also called swish: (*) -> (*). Elfwing et al., arXiv:1702.03118."""

    _function = staticmethod(F.silu)


class Mish(_InPlace):
    """x tanh(softplus(x)), elementwise: (*) -> (*). Misra, arXiv:1908.08681."""

    _function = staticmethod(F.mish)


class Hardsigmoid(_InPlace):
    """min(max(x + 3, 0), 6) / 6, elementwise: (*) -> (*). MobileNetV3, arXiv:1905.02244."""

    _function = staticmethod(F.hardsigmoid)


class Hardswish(_InPlace):
    """x hardsigmoid(x), elementwise: (*) -> (*). MobileNetV3, arXiv:1905.02244."""

    _function = staticmethod(F.hardswish)


class Sigmoid(_Plain):
    """1 / (1 + e⁻ˣ), elementwise: (*) -> (*)."""

    _function = staticmethod(F.sigmoid)


class Tanh(_Plain):
    """tanh(x), elementwise: (*) -> (*)."""

    _function = staticmethod(F.tanh)


class LogSigmoid(_Plain):
    """log(1 / (1 + e⁻ˣ)), elementwise and without overflow: (*) -> (*)."""

    _function = staticmethod(F.logsigmoid)


class Softsign(_Plain):
    """x / (1 + |x|), elementwise: (*) -> (*)."""

    _function = staticmethod(F.softsign)


class Tanhshrink(_Plain):
    """x - tanh(x), elementwise: (*) -> (*)."""

    _function = staticmethod(F.tanhshrink)


class LeakyReLU(Module):
    """x for x > 0, `negative_slope` x otherwise, elementwise: (*) -> (*). Maas et al., 2013."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class RReLU(Module):
    """x for x > 0, otherwise w x with w from U(lower, upper), drawn anew for every element: (*) -> (*).

    In evaluation mode w is the mean, (lower + upper) / 2.

    Args:
        lower: the least slope.
        upper: the largest slope.
        inplace: accepted as in PyTorch; the input is never changed.
        generator: where random numbers come from; None means the default generator.

    Raises:
        ValueError: if `lower` is above `upper`.

    Source: Xu et al., "Empirical evaluation of rectified activations", arXiv:1505.00853.
    """

    def __init__(
        self,
        lower: float = 1.0 / 8,
        upper: float = 1.0 / 3,
        inplace: bool = False,
        *,
        generator: Generator | None = None,
    ) -> None:
        if not lower <= upper:
            raise ValueError(f"RReLU: expected lower <= upper, got {lower} and {upper}")
        self.lower = lower
        self.upper = upper
        self.inplace = inplace
        self.generator = generator

    def forward(self, input: Tensor) -> Tensor:
        return F.rrelu(input, self.lower, self.upper, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x for x > 0, weight x otherwise, where the slope `weight` is trained.

    Args:
        num_parameters: 1 slope for all, or one per channel.
        init: the slope at first.
        device: None or "cpu".
        dtype: float32 (default) or float64.

    Shape:
        (N, C, *) -> the same

    Source: He et al., "Delving deep into rectifiers", arXiv:1502.01852.
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self.num_parameters = num_parameters
        self.init = init
        self.weight = allocate("PReLU", (num_parameters,), device, dtype)
        self.weight.data[...] = init

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class ELU(Module):
    """x for x > 0, α (eˣ - 1) otherwise, elementwise: (*) -> (*). Clevert et al., arXiv:1511.07289."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(Module):
    """x for x > 0, α (e^(x/α) - 1) otherwise, elementwise: (*) -> (*). Barron, arXiv:1704.07483."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """x Φ(x), Φ the normal distribution function, elementwise: (*) -> (*).

    Args:
        approximate: "none" for the exact function, "tanh" for x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))).

    Source: Hendrycks and Gimpel, arXiv:1606.08415.
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: expected approximate 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Hardtanh(Module):
    """min(max(x, min_val), max_val), elementwise: (*) -> (*)."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if not min_val < max_val:
            raise ValueError(f"Hardtanh: expected min_val < max_val, got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class Softplus(Module):
    """log(1 + e^(βx)) / β, elementwise, and x itself where βx is above `threshold`: (*) -> (*)."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Tensor) -> Tensor:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


def _class_dim(layer: str, dim: int | None, input: Tensor) -> int:
    if dim is None:
        raise ValueError(f"{layer}: expected a dim, got None for an input of shape {input.shape}; say dim=1 or -1")
    return dim


class Softmax(Module):
    """e^x / Σ e^x over dimension `dim`, without overflow: (*) -> (*).

    Raises:
        ValueError: at the call, if `dim` is None: PyTorch guesses it then, and warns.
    """

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, _class_dim("Softmax", self.dim, input))

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(_Plain):
    """`Softmax` over the channels of every point: (N, C, H, W) or (C, H, W) -> the same."""

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected (N, C, H, W) or (C, H, W), got shape {input.shape}")
        return F.softmax(input, -3)


class LogSoftmax(Module):
    """log of `Softmax`, computed as x - log Σ e^x, without overflow: (*) -> (*).

    Raises:
        ValueError: at the call, if `dim` is None.
    """

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, _class_dim("LogSoftmax", self.dim, input))

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """`Softmax` of -x: (*) -> (*).

    Raises:
        ValueError: at the call, if `dim` is None.
    """

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, _class_dim("Softmin", self.dim, input))

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
