"""Many models as one: bagging, boosting, snapshots of a cyclic training, averages of checkpoints.

Each gives a `fastnn.train.Predictor`, which averages or votes, over test-time views too. Models that were trained one
by one need no more than that class: `Predictor([model, another], combine="probabilities")`. `load_members` finds the
networks that runs of the command line left.
"""

from .bagging import Bagging, bagging
from .boosting import Boosting, boosting
from .runs import Member, average_members, load_members
from .snapshots import Snapshots, average_checkpoints, average_states, snapshot_schedule

__all__ = [
    "Bagging",
    "Boosting",
    "Member",
    "Snapshots",
    "average_checkpoints",
    "average_members",
    "average_states",
    "bagging",
    "boosting",
    "load_members",
    "snapshot_schedule",
]
