"""Benchmarks: kernels and whole steps beside NumPy, PyTorch and ONNX Runtime, with one timer and one table.

`fastnn bench kernels | train | infer | optim | augment` is the command; `fastnn.bench.cases` holds a row for every
kernel, one module per family. docs/performance.md says what is measured and how to read it.
"""

from .case import Case, Contenders
from .timer import Timing, Work, measure

__all__ = ["Case", "Contenders", "Timing", "Work", "measure"]
