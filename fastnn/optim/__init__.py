"""Optimisers, learning-rate schedules, gradient clipping and averaging, with PyTorch's names and semantics.

Every first-order optimiser updates all parameters of a group by one call of a fused kernel, in one pass over memory,
and gives the same bits for any number of threads. The formulas are in `fastnn.reference.optim` in readable form.
`LBFGS`, `BFGS`, `Newton` and `NewtonCG` use second-order information and are for problems of few parameters.
"""

from . import lr_scheduler
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .average import Lookahead, lerp_
from .bfgs import BFGS
from .clip import adaptive_clip_grad_, clip_grad_norm_, clip_grad_value_
from .constrain import max_norm_
from .lamb import LAMB
from .lars import LARS
from .lbfgs import LBFGS
from .lion import Lion
from .muon import Muon
from .nadam import NAdam
from .nesterov import Nesterov
from .newton import Newton, NewtonCG
from .noise import add_grad_noise_, weight_noise
from .optimizer import Optimizer
from .radam import RAdam
from .rmsprop import RMSprop
from .scaler import GradScaler
from .sgd import SGD

__all__ = [
    "BFGS",
    "LAMB",
    "LARS",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GradScaler",
    "Lion",
    "Lookahead",
    "Muon",
    "NAdam",
    "Nesterov",
    "Newton",
    "NewtonCG",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "adaptive_clip_grad_",
    "add_grad_noise_",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lerp_",
    "lr_scheduler",
    "max_norm_",
    "weight_noise",
]
