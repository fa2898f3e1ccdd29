"""Training: the loop, its callbacks, metrics, checkpoints, plots, and whole runs from a configuration.

`Trainer` takes any model, optimiser and loaders. `Config` and `Run` put together what the command line trains.
"""

from .callbacks import Callback, EarlyStopping, LearningRateMonitor, MetricsWriter, StepResult
from .checkpoint import Checkpoints, read_checkpoint, write_checkpoint
from .config import Config
from .evaluation import evaluate, predict
from .learner import Learner, NetworkLearner
from .metrics import Accuracy, ConfusionMatrix, Mean, Metric, TopK
from .plots import Plots, plot_curves, plot_mistakes
from .predictor import Predictor
from .progress import Progress
from .run import Run
from .trainer import DivergedError, Trainer

__all__ = [
    "Accuracy",
    "Callback",
    "Checkpoints",
    "Config",
    "ConfusionMatrix",
    "DivergedError",
    "EarlyStopping",
    "Learner",
    "LearningRateMonitor",
    "Mean",
    "Metric",
    "MetricsWriter",
    "NetworkLearner",
    "Plots",
    "Predictor",
    "Progress",
    "Run",
    "StepResult",
    "TopK",
    "Trainer",
    "evaluate",
    "plot_curves",
    "plot_mistakes",
    "predict",
    "read_checkpoint",
    "write_checkpoint",
]
