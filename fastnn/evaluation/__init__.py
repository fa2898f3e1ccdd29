"""How good a model is, and how certain that is: splits and folds, intervals, and what an error consists of.

Folds and stratified splits are scikit-learn's (the extra `sklearn`), bootstrap intervals and temperatures come from
SciPy (`scipy`). Results are `fastnn.report.Report`s: data, `to_json` and `plot`.
"""

from .bias_variance import BiasVariance, bias_variance, learner_bias_variance
from .calibration import Calibration, calibration, fit_temperature
from .confusion import Confusion, confusion
from .intervals import Interval, bootstrap_interval, wilson_interval
from .learning_curve import LearningCurve, learning_curve
from .paired import PairedComparison, compare_predictions
from .splits import CrossValidation, Fold, accuracy, cross_validate, k_fold, split

__all__ = [
    "BiasVariance",
    "Calibration",
    "Confusion",
    "CrossValidation",
    "Fold",
    "Interval",
    "LearningCurve",
    "PairedComparison",
    "accuracy",
    "bias_variance",
    "bootstrap_interval",
    "calibration",
    "compare_predictions",
    "confusion",
    "cross_validate",
    "fit_temperature",
    "k_fold",
    "learner_bias_variance",
    "learning_curve",
    "split",
    "wilson_interval",
]
