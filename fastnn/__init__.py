"""fastnn: small convolutional networks on a CPU, on kernels of its own."""

from . import autograd, ops
from .autograd import Tensor, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
