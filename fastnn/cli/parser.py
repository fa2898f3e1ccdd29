"""The argument parser of all commands, and the types of their arguments."""

from __future__ import annotations

import argparse
import math
import sys
from typing import NoReturn

__all__ = ["OneLineParser", "add_run_arguments", "count", "names", "positive", "rate", "seed", "seeds"]


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line; abbreviated options are not accepted."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with code 2."""
        print(f"{self.prog}: error: {' '.join(message.split())} (see --help)", file=sys.stderr)
        sys.exit(2)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """What `eval` and `predict` have in common."""
    parser.add_argument("folder", metavar="RUN", help="folder of a training run")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last", help="default: last")
    parser.add_argument("--threads", type=count, metavar="N", help="threads of the kernels")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def count(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def names(text: str) -> tuple[str, ...]:
    """Names, separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def positive(text: str) -> float:
    """A finite number above 0."""
    value = rate(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"expected a number > 0, got {text!r}")
    return value


def seeds(text: str) -> tuple[int, ...]:
    """Different seeds, separated by commas."""
    values = tuple(seed(name) for name in names(text))
    if not values or len(set(values)) < len(values):
        raise argparse.ArgumentTypeError(f"expected different seeds, separated by commas, got {text!r}")
    return values


def seed(text: str) -> int:
    """A whole number from 0 to 2**64 - 1."""
    value = _whole(text, 0)
    if value >= 2**64:
        raise argparse.ArgumentTypeError(f"expected a whole number below 2**64, got {text!r}")
    return value


def rate(text: str) -> float:
    """A finite number that is not negative."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"expected a finite number >= 0, got {text!r}")
    return value


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number >= {least}, got {text!r}")
    return value
