"""What examinations and runs come to: data that turn into JSON and pictures, and whole runs as one HTML page.

`Report` is the base class of every result. `report_runs` looks at the folders of training runs, `RunsReport` is what it
finds: `fastnn report` writes its page.
"""

import importlib
from typing import TYPE_CHECKING

from .base import Report, new_figure, save_figure

__all__ = ["Comparison", "Report", "RunReport", "RunsReport", "new_figure", "report_runs", "save_figure"]

_OF_RUNS = {"Comparison": "compare", "RunReport": "run", "RunsReport": "runs", "report_runs": "runs"}

if TYPE_CHECKING:
    from .compare import Comparison
    from .run import RunReport
    from .runs import RunsReport, report_runs
else:

    def __getattr__(name: str) -> object:
        """What stands on top of `train` and its like, which import this package for `Report`, is imported late."""
        if name in _OF_RUNS:
            return getattr(importlib.import_module(f"{__name__}.{_OF_RUNS[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
