"""The part of the HTML view for a row of a table or an image: a list of columns with their values, or of segments with
their places, and what each adds on a coloured bar.
"""

from __future__ import annotations

import math
from html import escape

from explicate.explanation import Contribution
from explicate.results import ExplainResult
from explicate.views import words as wording
from explicate.views.words import translucent

STYLE = """
.explicate table{border-collapse:collapse;margin:.5em 0;color:inherit}
.explicate th{text-align:left;font-weight:600;opacity:.8;font-size:.9em}
.explicate th,.explicate td{padding:.15em .7em;border:0;overflow-wrap:anywhere;background-color:transparent}
.explicate td.figure,.explicate th.figure{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.explicate .side{min-width:8em;padding:.15em 0}
.explicate .bar{display:block;height:1.1em;border-radius:2px}
.explicate .lowers .bar{margin-left:auto}"""


def table(result: ExplainResult, output: int, *, most: int | None = None) -> str:
    """One output's columns or segments, the strongest first; at most `most`, else all."""
    shown = result.explanation.top(len(result.explanation.features) if most is None else most, output)
    scale = wording.largest(result.explanation.attributions[output])
    confidence = f"{result.explanation.options.confidence:.3g} interval"
    noun = escape(wording.feature_noun(result))
    figures = f'<th class="figure">adds</th><th class="figure">{confidence}</th>'
    heading, cells = wording.beside(result) or ("", [""] * len(result.explanation.features))
    beside = {id(feature): cell for feature, cell in zip(result.explanation.features, cells, strict=True)}
    head = f"<th>{noun}</th><th>{heading}</th><th></th><th></th>{figures}"
    places = wording.decimals(result)
    lines = [_line(c, beside[id(c.feature)], scale, places) for c in shown]
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _line(contribution: Contribution, beside: str, scale: float, places: int) -> str:
    strength = contribution.value / scale
    unsure = ' class="unsure"' if contribution.lower <= 0 <= contribution.upper else ""
    return (
        f"<tr><td>{escape(contribution.feature.name)}</td><td>{escape(beside)}</td>"
        f'<td class="side lowers">{_bar(strength) if strength < 0 else ""}</td>'
        f'<td class="side">{_bar(strength) if strength > 0 else ""}</td>'
        f'<td class="figure"><span{unsure}>{wording.number(contribution.value, places)}</span></td>'
        f'<td class="figure">{_interval(contribution, places)}</td></tr>'
    )


def _bar(strength: float) -> str:
    colour = translucent(math.copysign(1, strength))
    return f'<span class="bar" style="width:{abs(strength):.1%};background:{colour}"></span>'


def _interval(contribution: Contribution, places: int) -> str:
    if math.isnan(contribution.half_width):
        return ""
    if contribution.half_width == 0:
        return "exact"
    return f"{wording.number(contribution.lower, places)} to {wording.number(contribution.upper, places)}"
