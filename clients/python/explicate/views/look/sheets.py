"""The style sheets: of pages, of the marks of an explanation, and of charts that stand alone.

The rules are in `page.css`, `drawings.css` and `marks.css` beside this file; the colours are those of `palette`,
written before them as custom properties. A page is light or dark as its reader's system is, and light on paper.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from explicate.views.look.palette import DARK, LIGHT, Theme


@cache
def style_sheet() -> str:
    """What every page has, as CSS: the console serves it to its own."""
    return f"{_colours()}\n{_rules('page.css')}\n"


@cache
def page_style() -> str:
    """The same as a `<style>` for the head of a page that needs nothing else: a report, a leaderboard.

    With drawings and the marks of explanations, which the console draws by itself.
    """
    drawings = f"{_colours(drawn=True)}\n{_rules('drawings.css')}\n"
    return f"<style>\n{style_sheet()}{drawings}{_rules('marks.css')}\n</style>"


@cache
def marks_style() -> str:
    """A `<style>` for explanations, which a notebook or any other page holds, and which leaves the rest of it alone."""
    return f"<style>\n{_rules('marks.css')}\n</style>"


@cache
def chart_style() -> str:
    """A `<style>` inside of an SVG chart that also stands alone: its class is `explicate-chart`."""
    rules = [".explicate-chart{color-scheme:light dark;font-family:system-ui,sans-serif}"]
    rules += [".explicate-chart .halo{stroke-width:3px;stroke-opacity:.85}", _chart_rules(LIGHT)]
    rules.append(f"@media screen and (prefers-color-scheme:dark){{{_chart_rules(DARK)}}}")
    return f"<style>{''.join(rules)}</style>"


def _chart_rules(theme: Theme) -> str:
    fills = {"page": theme.paper, "raises": theme.raises, "lowers": theme.lowers}
    strokes = {"line": theme.edge, "faint": theme.line, "whisker": theme.ink, "halo": theme.paper}
    rules = [f".explicate-chart .{name}{{fill:{colour}}}" for name, colour in fills.items()]
    rules += [f".explicate-chart .{name}{{stroke:{colour}}}" for name, colour in strokes.items()]
    return f".explicate-chart text{{fill:{theme.ink}}}{''.join(rules)}"


def _colours(*, drawn: bool = False) -> str:
    """The palette; a dark one for dark screens only, because paper is white."""
    light, dark = (theme.variables(drawn=drawn) for theme in (LIGHT, DARK))
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _rules(name: str) -> str:
    """A style sheet without its comments, for many a notebook output holds it."""
    text = (files("explicate.views.look") / name).read_text(encoding="utf-8")
    without = re.sub(r"/\*.*?\*/\s*", "", text, flags=re.DOTALL)
    return re.sub(r"\s*([{};])\s*", r"\1", without).replace(";}", "}").replace("}", "}\n").replace("}\n}", "}}").strip()
