"""Reverse-mode automatic differentiation: Tensor, the tape, and how operations are defined.

`op` makes a function on arrays a differentiable operation; `grad`, `Tensor.backward` and the switches
`no_grad`, `enable_grad`, `set_grad_enabled` are PyTorch's. Imports NumPy only.
"""

from .dtype import Array, Operand
from .engine import Backward, Grads, Needs
from .methods import OPS
from .mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .op import op
from .tensor import Tensor

__all__ = [
    "OPS",
    "Array",
    "Backward",
    "Grads",
    "Needs",
    "Operand",
    "Tensor",
    "enable_grad",
    "is_grad_enabled",
    "no_grad",
    "op",
    "set_grad_enabled",
]
