"""The pieces of a page. Whatever comes from a run, names of classes and folders above all, is escaped here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from .predictions import Example
from .style import picture, svg

__all__ = [
    "Markup", "axes", "bar", "card", "dot", "figure", "gallery", "missing", "named", "note", "number", "percent",
    "switch", "table", "text", "value",
]  # fmt: skip


class Markup(str):
    """HTML that is done: `text` leaves it as it is."""

    __slots__ = ()


class _Bar(Markup):
    """A bar, which wants a broad cell."""

    __slots__ = ()


def text(content: object) -> str:
    """Anything as text of a page."""
    return str(content) if isinstance(content, Markup) else escape(str(content), quote=True)


def percent(share: float | None, digits: int = 2) -> str:
    """A share in per cent; a dash for none and for NaN."""
    return "–" if share is None or share != share else f"{100 * share:.{digits}f} %"


def number(amount: float | None, form: str = ".4g") -> str:
    """A number; a dash for none and for NaN."""
    return "–" if amount is None or amount != amount else format(amount, form)


def value(setting: object) -> str:
    """A setting as a user would write it."""
    if setting is None:
        return "none"
    if isinstance(setting, bool):
        return "yes" if setting else "no"
    if isinstance(setting, list | tuple):
        return ", ".join(map(value, setting)) or "none"
    return f"{setting:g}" if isinstance(setting, float) else str(setting)


def note(words: str) -> str:
    """A remark in small print."""
    return f'<p class="note">{text(words)}</p>'


def missing(what: str, why: str) -> str:
    """One line in place of what is not there."""
    return f'<p class="missing">{text(what)} left out: {text(why)}</p>'


def card(label: str, content: str, below: str = "", words: bool = False) -> str:
    """A figure with its name above and a remark below."""
    kind = ' class="words"' if words else ""
    more = f"<span>{text(below)}</span>" if below else ""
    return f'<div class="card"><span>{text(label)}</span><b{kind}>{text(content)}</b>{more}</div>'


def dot(place: int) -> Markup:
    """The colour of a run."""
    return Markup(f'<span class="dot" style="background:var(--c{place % 6})"></span>')


def named(place: int, name: str) -> Markup:
    """The name of a run, after its colour."""
    return Markup(f"{dot(place)}{text(name)}")


def bar(share: float) -> Markup:
    """A bar as long as a share of its cell."""
    return _Bar(f'<span class="bar" style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></span>')


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    texts: Sequence[int] = (0,),
    marked: Sequence[int] = (),
    caption: str = "",
) -> str:
    """A table.

    Args:
        head: the heads of the columns.
        rows: cells; `Markup` is taken as it is.
        texts: the columns that hold words and stand at the left.
        marked: rows with a coloured ground.
        caption: said above it.
    """

    def line(cells: Sequence[object], kind: str) -> str:
        made = []
        for place, cell in enumerate(cells):
            look = ' class="text"' if place in texts else ' class="span"' if isinstance(cell, _Bar) else ""
            made.append(f"<{kind}{look}>{text(cell)}</{kind}>")
        return "".join(made)

    body = "".join(
        f"<tr{' class=mark' if place in marked else ''}>{line(row, 'td')}</tr>" for place, row in enumerate(rows)
    )
    above = f"<caption>{text(caption)}</caption>" if caption else ""
    return (
        f'<div class="wide"><table>{above}<thead><tr>{line(head, "th")}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def figure(
    draw: Callable[[Any], None], size: tuple[float, float], label: str, caption: str = "", wide: bool = False
) -> str:
    """A picture that matplotlib draws, or one line without it.

    Args:
        draw: see `svg`.
        size: in inches.
        label: what it shows, for those who do not see it.
        caption: said below it.
        wide: rather scroll sideways on a narrow screen than become too small.
    """
    try:
        made = svg(draw, size, text(label))
    except ImportError as error:
        return missing(label, str(error))
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f"<figure{' class=wide' if wide else ''}>{made}{below}</figure>"


def axes(draw: Callable[[Any], None]) -> Callable[[Any], None]:
    """What draws on axes, as what draws on a figure."""
    return lambda figure: draw(figure.subplots())


def switch(name: str, choices: Sequence[tuple[str, str]]) -> str:
    """One of two contents, chosen by a click, without a script.

    Args:
        name: unique in the page.
        choices: two labels with their HTML.
    """
    buttons = "".join(
        f'<input type="radio" name="{name}" id="{name}-{place}"{" checked" if place == 0 else ""}>'
        f'<label for="{name}-{place}">{text(label)}</label>'
        for place, (label, _) in enumerate(choices)
    )
    return (
        f'<div class="switch">{buttons}{"".join(f"<div class=panel>{content}</div>" for _, content in choices)}</div>'
    )


def gallery(examples: Sequence[Example], classes: Sequence[str], empty: str = "none") -> str:
    """Images with right class, predicted class and probability."""
    if not examples:
        return note(empty)
    made = []
    for each in examples:
        right, given = classes[each.label], classes[each.predicted]
        try:
            shown = f'<img src="{picture(each.image)}" alt="test image {each.row}: {text(right)}" loading="lazy">'
        except ImportError as error:
            shown = note(str(error))
        said = f"<b>{text(right)}</b>"
        if each.label != each.predicted:
            said += f" taken for <b>{text(given)}</b>"
        made.append(
            f"<figure>{shown}<figcaption>{said}<br>{percent(each.probability, 1)} · #{each.row}</figcaption></figure>"
        )
    return f'<div class="images">{"".join(made)}</div>'
