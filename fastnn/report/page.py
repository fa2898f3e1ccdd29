"""The page as a whole: one HTML file without anything from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .comparison import comparison_sections
from .markup import dot, text
from .sections import run_sections
from .theme import STYLE

if TYPE_CHECKING:
    from .run import RunReport
    from .runs import RunsReport

__all__ = ["page"]


def page(report: RunsReport) -> str:
    """The page of a report.

    One run is shown section by section. Several are compared first; then each has its own sections, folded.
    """
    runs = report.runs
    if len(runs) == 1:
        title, sections, folded = runs[0].name, run_sections(runs[0], ""), ""
        kicker = f"training run · model {runs[0].settings['model']} · data {runs[0].settings['dataset']}"
    else:
        title, kicker = " · ".join(run.name for run in runs), f"{len(runs)} training runs"
        sections = comparison_sections(report)
        folded = "".join(_folded(run, place) for place, run in enumerate(runs))
        sections.append(("runs", "Run by run", folded))
    contents = "".join(f'<a href="#{name}">{text(heading)}</a>' for name, heading, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{text(heading)}</h2>{html}</section>' for name, heading, html in sections)
    folders = "; ".join(run.folder for run in runs)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>\n"
        f'<body><header><p class="kicker">{text(kicker)}</p><h1>{text(title)}</h1><nav>{contents}</nav></header>\n'
        f"<main>{body}</main>\n"
        f"<footer>Written by fastnn {text(report.fastnn)} from {text(folders)}</footer></body></html>\n"
    )


def _folded(run: RunReport, place: int) -> str:
    """A run among others."""
    inside = "".join(
        f'<section id="{name}"><h2>{text(heading)}</h2>{html}</section>'
        for name, heading, html in run_sections(run, f"run{place}-")
    )
    return f'<details class="run"><summary>{dot(place)}{text(run.name)}</summary>{inside}</details>'
