"""Many models as one: bagging, boosting, snapshots of a cyclic training, averages of checkpoints.

Each gives a `fastnn.train.Predictor`, which averages or votes, over test-time views too. Models that were trained one
by one need no more than that class: `Predictor([model, another], combine="probabilities")`.
"""

from .bagging import Bagging, bagging
from .boosting import Boosting, boosting
from .snapshots import Snapshots, average_checkpoints, average_states, snapshot_schedule

__all__ = [
    "Bagging",
    "Boosting",
    "Snapshots",
    "average_checkpoints",
    "average_states",
    "bagging",
    "boosting",
    "snapshot_schedule",
]
