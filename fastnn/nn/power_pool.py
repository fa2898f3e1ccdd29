"""Power-average (Lp) pooling layers."""

from __future__ import annotations

from collections.abc import Callable

from ..autograd.tensor import Tensor
from . import functional as F
from .conv import Ints, per_dimension
from .module import Module


class _LPPool(Module):
    """The power average of each window, (Σ x^p)^(1/p): the sum for p = 1, the Euclidean norm for p = 2, the maximum of
    |x| for infinity.

    Args:
        norm_type: the exponent p, not 0.
        kernel_size: the window's size, an int or one per dimension.
        stride: the window's step; None means `kernel_size`.
        ceil_mode: keep a last window that reaches over the edge.

    Shape:
        (N, C, *sizes) -> (N, C, *sizes'), s' = (s - kernel) // stride + 1.

    Source: Sermanet, Chintala, LeCun, ICPR 2012, arXiv:1204.3968.
    """

    _pool: Callable[..., Tensor]
    _dimensions: int

    def __init__(
        self, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
    ) -> None:
        if norm_type == 0:
            raise ValueError(f"{type(self).__name__}: expected norm_type other than 0")
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode
        per_dimension(type(self).__name__, "kernel_size", kernel_size, self._dimensions)
        if stride is not None:
            per_dimension(type(self).__name__, "stride", stride, self._dimensions)

    def forward(self, input: Tensor) -> Tensor:
        return type(self)._pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    __doc__ = _LPPool.__doc__
    _dimensions = 1
    _pool = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    __doc__ = _LPPool.__doc__
    _dimensions = 2
    _pool = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    __doc__ = _LPPool.__doc__
    _dimensions = 3
    _pool = staticmethod(F.lp_pool3d)
