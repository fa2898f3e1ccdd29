"""Reverse-mode automatic differentiation: Tensor, the tape, and how operations are defined.

`op` makes a function on arrays a differentiable operation; `grad`, `Tensor.backward` and the switches
`no_grad`, `enable_grad`, `set_grad_enabled` are PyTorch's. Imports NumPy only.
"""

from .autocast import autocast, is_autocast_enabled
from .dtype import Array, Operand
from .engine import Backward, Grads, Needs
from .gradient import backward, grad
from .methods import OPS
from .mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from .numeric import gradcheck, hessian, hvp, jacobian
from .observe import observe
from .op import op, varying_op
from .reuse import ADDED, NOTHING, Deferred, Reuse, reusing
from .tensor import Tensor

__all__ = [
    "ADDED", "NOTHING", "OPS", "Array", "Backward", "Deferred", "Grads", "Needs", "Operand", "Reuse", "Tensor",
    "autocast", "backward", "enable_grad", "grad", "gradcheck", "hessian", "hvp", "is_autocast_enabled",
    "is_grad_enabled", "jacobian", "no_grad", "observe", "op", "reusing", "set_grad_enabled", "varying_op",
]  # fmt: skip
