"""`fastnn bench`: measurements; the work is `fastnn.bench`'s."""

from __future__ import annotations

import argparse

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from ..bench.cli import add_arguments as add

    add(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from ..bench.cli import run as measure

    return measure(args)
