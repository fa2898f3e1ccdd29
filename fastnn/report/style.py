"""How pictures on a page look: colours that colour-blind readers tell apart, and SVG that follows the page's theme."""

from __future__ import annotations

import io
import re
import warnings
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from .base import new_figure

__all__ = ["COLORS", "INK", "color", "literal", "picture", "svg"]

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette ("Color universal design", 2008), the darker ones first; on a page `var(--c0)` and so on."""
INK = "#0b0d0f"
"""Text and lines; on a page the colour of the text around the picture."""
_LARGEST_PICTURE = 96
_SETTINGS = {
    "svg.fonttype": "none", "svg.hashsalt": "fastnn", "font.family": "DejaVu Sans", "font.size": 9.0,
    "axes.titlesize": 10.0, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.18,
    "grid.linewidth": 0.7, "grid.color": INK, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK,
    "axes.titlecolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.linewidth": 0.7, "lines.linewidth": 1.6,
    "legend.frameon": False, "legend.fontsize": 8.5, "axes.facecolor": "none", "figure.facecolor": "none",
    "savefig.facecolor": "none", "xtick.labelsize": 8.5, "ytick.labelsize": 8.5,
}  # fmt: skip


def color(place: int) -> str:
    """The colour of the run at a place, the same in every picture and table; they repeat after six."""
    return COLORS[place % len(COLORS)]


def literal(text: str) -> str:
    """Text that matplotlib draws as it is: "$" does not begin a formula, control characters become spaces."""
    return "".join(each if each.isprintable() else " " for each in text).replace("$", r"\$")


def svg(draw: Callable[[Any], None], size: tuple[float, float], label: str) -> str:
    """A figure as an SVG element for a page: transparent, its texts as text, its ink and colours the page's.

    Args:
        draw: draws on an empty matplotlib figure, such as `Report.draw`.
        size: width and height in inches.
        label: what a reader who does not see it is told, HTML-escaped.

    Raises:
        ImportError: without matplotlib.
    """
    figure = new_figure(*size)
    import matplotlib as mpl
    from cycler import cycler

    text = io.StringIO()
    settings: Any = {**_SETTINGS, "axes.prop_cycle": cycler(color=COLORS)}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # Characters that the font lacks are drawn by the browser, with its own.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.set_facecolor("none")
        draw(figure)
        figure.savefig(text, format="svg", metadata={"Date": None})
    return _for_a_page(text.getvalue(), label)


def _for_a_page(text: str, label: str) -> str:
    """The SVG element alone, without fixed size, metadata and digits that nobody sees, in the page's colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(d|points)="([^"]*)"', lambda found: f'{found[1]}="{_shorter(found[2])}"', text)
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    width = re.search(r'width="([\d.]+)pt"', head)
    assert box is not None
    assert width is not None
    # Ids are the same in all figures of a page unless each has names of its own.
    mark = f"f{crc32(text.encode()):08x}"
    rest = re.sub(r'\bid="([^"]+)"', rf'id="{mark}-\1"', rest)
    rest = re.sub(r'(url\(|href=")#', rf"\1#{mark}-", rest)
    rest = re.sub(r"font: (\d[\d.]*px) [^;\"]*", r"font-size: \1", rest).replace(INK, "currentColor")
    for place, value in enumerate(COLORS):
        rest = rest.replace(value, f"var(--c{place})")
    natural = float(width[1]) * 4 / 3
    return f'<svg {box[0]} role="img" aria-label="{label}" style="max-width:{natural:.0f}px">{rest.strip()}'


def _shorter(path: str) -> str:
    return re.sub(r"(\.\d\d)\d+", r"\1", " ".join(path.split()))


def picture(image: npt.NDArray[np.uint8]) -> str:
    """An image, (H, W, C), as the data URI of a PNG; a large one is reduced to what a page shows.

    Raises:
        ImportError: without Pillow, which comes with matplotlib.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("pictures of images need Pillow: pip install fastnn[images]") from None
    shown = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    shown.thumbnail((_LARGEST_PICTURE, _LARGEST_PICTURE))
    content = io.BytesIO()
    shown.save(content, format="png", optimize=True)
    return "data:image/png;base64," + b64encode(content.getvalue()).decode()
