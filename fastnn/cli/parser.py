"""The argument parser of all commands, and the types of their arguments."""

from __future__ import annotations

import argparse
import math
import sys
from typing import NoReturn, get_args

__all__ = ["OneLineParser", "add_prediction_arguments", "count", "names", "newest", "positive", "rate", "seed", "seeds"]


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line; abbreviated options are not accepted."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with code 2."""
        print(f"{self.prog}: error: {' '.join(message.split())} (see --help)", file=sys.stderr)
        sys.exit(2)


def add_prediction_arguments(parser: argparse.ArgumentParser) -> None:
    """What `eval` and `predict` have in common: which networks, how they are put together, on which views."""
    from ..train.predictor import Combine
    from ..transforms import VIEWS

    group = parser.add_argument_group("networks and views")
    group.add_argument("--checkpoint", choices=("last", "best"), default="last", help="default: last")
    group.add_argument(
        "--snapshots", type=newest, metavar="N", help="take the newest N snapshots of each run instead, or `all`"
    )
    group.add_argument("--average", action="store_true", help="average the weights of all networks into one")
    group.add_argument(
        "--combine",
        choices=get_args(Combine),
        default="probabilities",
        help="what of several networks and views is averaged (default: probabilities)",
    )
    group.add_argument(
        "--views", choices=VIEWS, default="none", help="show every image in several ways (default: none)"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="where the dataset's files are, if they were moved")
    parser.add_argument("--threads", type=count, metavar="N", help="threads of the kernels")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def newest(text: str) -> int:
    """A whole number of at least 1, or "all", which is 0."""
    return 0 if text == "all" else _whole(text, 1)


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
