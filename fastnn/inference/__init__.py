"""Networks that are called for their results only: recorded once, then computed by a program in C.

`compile` is the one thing to know. Behind it: `trace` records the operations, `lower` turns them into the steps of
csrc/program.h, `fuse` joins steps, `build` lays out memory, folds batch norm into filters and prepares these.
"""

from .compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
