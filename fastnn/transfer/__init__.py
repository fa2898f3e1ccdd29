"""Transfer learning: what a network has learnt on one task, put to use on another.

Which parts are trained: `freeze`, `unfreeze`, `GradualUnfreezing`, over the `stages` or `layers` of a network. How
fast: `parameter_groups`. On what: `load_backbone` takes over weights, `replace_head` makes room for other classes,
`extract_features`, `fit_linear` and `fit_head` train a linear classifier on what a network sees.
"""

from .features import extract_features, fit_head, fit_linear
from .freezing import freeze, is_frozen, unfreeze
from .groups import parameter_groups
from .head import find_head, replace_head
from .loading import LoadedKeys, load_backbone, trained_model
from .stages import Stage, layers, stages
from .unfreezing import GradualUnfreezing

__all__ = [
    "GradualUnfreezing",
    "LoadedKeys",
    "Stage",
    "extract_features",
    "find_head",
    "fit_head",
    "fit_linear",
    "freeze",
    "is_frozen",
    "layers",
    "load_backbone",
    "parameter_groups",
    "replace_head",
    "stages",
    "trained_model",
    "unfreeze",
]
