"""Optimisers, learning-rate schedules and gradient clipping, with PyTorch's names and semantics.

Every optimiser updates all parameters of a group by one call of a fused kernel, in one pass over memory, and
gives the same bits for any number of threads. The formulas are in `fastnn.reference.optim` in readable form.
"""

from . import lr_scheduler
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .clip import clip_grad_norm_, clip_grad_value_
from .optimizer import Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lr_scheduler",
]
