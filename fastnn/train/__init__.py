"""Training: the loop, its callbacks, metrics, checkpoints, plots, and whole runs from a configuration.

`Trainer` takes any model, optimiser and loaders. `Config` and `Run` put together what the command line trains.
"""

from .averaging import (
    AveragedModel,
    WeightAverage,
    get_ema_avg_fn,
    get_ema_multi_avg_fn,
    get_swa_avg_fn,
    get_swa_multi_avg_fn,
    update_bn,
)
from .callbacks import Callback, EarlyStopping, LearningRateMonitor, MetricsWriter, StepResult
from .checkpoint import Checkpoints, read_checkpoint, write_checkpoint
from .config import Config
from .evaluation import evaluate, predict
from .final_average import FinalAverage, LookaheadAverage
from .freeze import Freeze
from .learner import Learner, NetworkLearner
from .lr_range import LearningRateRange, lr_range_test
from .metrics import Accuracy, ConfusionMatrix, Mean, Metric, TopK
from .monte_carlo import MonteCarlo, predict_monte_carlo
from .noise import AdaptiveClipping, GradientNoise, WeightNoise
from .plots import Plots, plot_curves, plot_mistakes
from .predictor import Predictions, Predictor
from .progress import Progress
from .run import Run
from .trainer import DivergedError, Trainer

__all__ = [
    "Accuracy",
    "AdaptiveClipping",
    "AveragedModel",
    "Callback",
    "Checkpoints",
    "Config",
    "ConfusionMatrix",
    "DivergedError",
    "EarlyStopping",
    "FinalAverage",
    "Freeze",
    "GradientNoise",
    "Learner",
    "LearningRateMonitor",
    "LearningRateRange",
    "LookaheadAverage",
    "Mean",
    "Metric",
    "MetricsWriter",
    "MonteCarlo",
    "NetworkLearner",
    "Plots",
    "Predictions",
    "Predictor",
    "Progress",
    "Run",
    "StepResult",
    "TopK",
    "Trainer",
    "WeightAverage",
    "WeightNoise",
    "evaluate",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "lr_range_test",
    "plot_curves",
    "plot_mistakes",
    "predict",
    "predict_monte_carlo",
    "read_checkpoint",
    "update_bn",
    "write_checkpoint",
]
