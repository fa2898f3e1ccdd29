"""What the scripts of the lecture lab share: a finding with its claims, the style of the figures, the command line.

A script measures something, states what it shows as claims that are computed from the measurement, and draws it:

    @dataclass(frozen=True)
    class Zigzag(Finding):
        size = (9.0, 4.0)                       # inches
        points: np.ndarray                      # whatever was measured

        def claims(self) -> dict[str, bool]:    # sentence -> whether the numbers bear it out
        def draw(self, figure) -> None:         # on an empty matplotlib figure

    def measure(quick: bool = False) -> Zigzag:

    if __name__ == "__main__":
        main(measure)
"""

from __future__ import annotations

import argparse
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from fastnn.report import Report
from fastnn.serialization import json_text, write_file

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures" / "lab"

BLUE, ORANGE, GREEN, RED, SKY, PURPLE, YELLOW, GREY, BLACK = COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#F0E442", "#7F7F7F", "#000000",
)  # fmt: skip
"""Okabe and Ito's colours, which colour-blind readers can tell apart, and grey; yellow is too pale for thin lines."""

STYLE: dict[str, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "legend.frameon": False,
    "figure.titlesize": 12.0,
    "lines.linewidth": 1.6,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
"""Matplotlib's settings for every figure; what has to differ says so where it is drawn."""

Item = TypeVar("Item")


class Finding(Report):
    """What a script has measured: a dataclass with a picture, and with claims computed from its numbers.

    A subclass is a frozen dataclass, may set `size` (width and height in inches), and defines `claims` and `draw`.
    """

    @abstractmethod
    def claims(self) -> dict[str, bool]:
        """Sentences about the measurement, with its numbers in them, and whether they hold."""

    def plot(self, path: str | Path) -> None:
        """Draw as PNG in the lab's style; see `Report.plot`."""
        try:
            from matplotlib import rc_context
        except ImportError:
            raise ImportError("plots need matplotlib: pip install fastnn[plot]") from None
        with rc_context(STYLE):
            super().plot(path)


def progress(items: Iterable[Item], what: str) -> Iterable[Item]:
    """The same items, with a bar on a terminal while they are gone through; nothing in a log file."""
    from tqdm import tqdm

    bar: Iterable[Item] = tqdm(items, desc=what, leave=False, disable=None)
    return bar


def main(measure: Callable[[bool], Finding]) -> None:
    """The command line of a script: measure, draw, print the claims; exits with 1 if one does not hold.

    Args:
        measure: the script's function; True asks for the quick form, which the tests run: smaller, the same claims.
    """
    name = Path(sys.argv[0]).stem
    about = (sys.modules[measure.__module__].__doc__ or "").strip()
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"the picture (default: docs/pictures/lab/{name}.png)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the claims and the numbers measured")
    parser.add_argument("--quick", action="store_true", help="measure less, in a second or two")
    args = parser.parse_args()
    try:
        # Before the work, so that a mistyped path does not cost it.
        for path in (args.out, args.json):
            if path is not None and not path.absolute().parent.is_dir():
                parser.error(f"there is no folder {path.absolute().parent}")
        sys.exit(_run(measure, args.out or _default(name), args.json, args.quick))
    except (ImportError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(2)


def _default(name: str) -> Path:
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES / f"{name}.png"


def _run(measure: Callable[[bool], Finding], picture: Path, numbers: Path | None, quick: bool) -> int:
    """Measure, write, print; the exit code."""
    found = measure(quick)
    claims = found.claims()
    found.plot(picture)
    if numbers is not None:
        text = json_text({"claims": claims, "found": found.to_dict()}, indent=1)
        write_file(numbers, (text + "\n").encode())
    for sentence, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}  {sentence}")
    return 0 if all(claims.values()) else 1
