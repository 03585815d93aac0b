"""An explanation as HTML, for notebooks and for a file: the text, each feature coloured by what it adds.

Colours are laid translucently over whatever background there is, at most 55 % opaque, so that the text keeps its own
colour and stays legible on light and on dark pages. Everything that comes from a user or a server is escaped; there is
no script. `html_table` has the part for tables, `html_image` that for images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from html import escape

from explicate.errors import UsageError
from explicate.explanation import Contribution
from explicate.results import ExplainResult
from explicate.views import html_image, html_table
from explicate.views import words as wording
from explicate.views.words import Segment, segments, translucent

_Tooltip = Callable[[Contribution], str]

_LISTED_SEGMENTS = 15  # of an image, with their places
_LISTED = 5  # features with their figures below the text, for paper and touch screens, which cannot hover
_LISTED_CHARACTERS = 40  # of each; a sentence is too long to be repeated

# Scoped by class name, because a notebook shows many outputs on one page. "inherit" takes the notebook's theme.
_FRAME_STYLE = """
.explicate{font-family:system-ui,sans-serif;font-size:14px;line-height:1.45;color:inherit;max-width:60em;padding:.5em 0}
.explicate h4{font-size:1.1em;font-weight:600;margin:0 0 .15em}
.explicate p{margin:.1em 0}
.explicate .output{margin-top:.8em}
.explicate .faint{opacity:.8;font-size:.9em}
.explicate .note{border-left:3px solid #e66101;padding-left:.5em;margin:.3em 0}
.explicate .text{font-size:1.1em;line-height:1.9;margin:.5em 0;white-space:pre-wrap;overflow-wrap:anywhere}
.explicate .word{border-radius:3px;padding:.1em .1em;-webkit-box-decoration-break:clone;box-decoration-break:clone}
.explicate .unsure{border-bottom:1px dashed currentColor}
.explicate .unread{opacity:.45}
.explicate .key{display:inline-block;border-radius:3px;padding:0 .4em;margin-right:.3em}"""
_STYLE = f"<style>{_FRAME_STYLE}{html_table.STYLE}{html_image.STYLE}\n</style>"


def fragment(result: ExplainResult) -> str:
    """One explanation as a `<div>` with its own style, to be set into any page."""
    return f'{_STYLE}<div class="explicate">{_body(result)}</div>'


def document(results: Sequence[ExplainResult], title: str = "Explanations") -> str:
    """A whole page with one section per explanation."""
    sections = "<hr>".join(f'<div class="explicate">{_body(result)}</div>' for result in results)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="color-scheme" content="light dark"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title>{_STYLE}</head><body>{sections}</body></html>\n"
    )


def _body(result: ExplainResult) -> str:
    prediction, model = result.prediction, result.model
    head = [
        f"<h4>{escape(wording.prediction(prediction))}</h4>",
        _line(f"{model.model} version {model.version} on {model.runtime}, {model.precision}"),
        _line(wording.method(result)),
        *(_line(line) for line in wording.quality(result)),
        _line(wording.unread(result), "note"),
    ]
    show = _shower(result)
    outputs = [
        f'<p class="output">{escape(wording.outcome(attribution, result))}</p>{show(output)}'
        for output, attribution in enumerate(result.explanation.attributions)
    ]
    return "".join(head + outputs) + _legend(result)


def _shower(result: ExplainResult) -> Callable[[int], str]:
    """What shows an output of this kind of input."""
    if result.row is not None:
        return partial(html_table.table, result)
    return partial(_texts, result) if result.image is None else _image(result)


def _image(result: ExplainResult) -> Callable[[int], str]:
    """The drawing over a table of the strongest segments; where it cannot be drawn, why not over the table."""
    tooltip = _tooltips(result)
    try:
        sheet = html_image.sheet(result)
    except UsageError as error:
        note = _line(str(error), "note")
        return lambda output: note + html_table.table(result, output, most=_LISTED_SEGMENTS)

    def show(output: int) -> str:
        drawing = html_image.drawing(sheet, result, output, tooltip)
        return drawing + html_table.table(result, output, most=_LISTED_SEGMENTS)

    return show


def _line(text: str, css_class: str = "faint") -> str:
    return f'<p class="{css_class}">{escape(text)}</p>' if text else ""


def _texts(result: ExplainResult, output: int) -> str:
    """The text, or both of a pair, over the figures of the strongest features."""
    shown = _text(result, result.text, output)
    if result.text_pair is not None:
        shown += _text(result, result.text_pair, output, in_pair=True)
    places = wording.decimals(result)
    # A phrase may hold commas, so they cannot part the phrases.
    return shown + _line(" · ".join(_figures(each, places) for each in result.explanation.top(_LISTED, output)))


def _text(result: ExplainResult, text: str, output: int, *, in_pair: bool = False) -> str:
    contributions = result.explanation.contributions(output)
    scale = wording.largest(result.explanation.attributions[output])
    tooltip = _tooltips(result)
    read_until = wording.read_until(result, in_pair=in_pair)
    words = [
        _piece(piece, contributions, scale, tooltip, read_until=read_until)
        for piece in segments(text, result.explanation.features, in_pair=in_pair)
    ]
    return f'<div class="text">{"".join(words)}</div>'


def _figures(contribution: Contribution, places: int) -> str:
    text = contribution.feature.text
    shown = text if len(text) <= _LISTED_CHARACTERS else f"{text[: _LISTED_CHARACTERS - 1].rstrip()}…"
    figures = f"{shown} {wording.number(contribution.value, places)} {wording.half_width(contribution, places)}"
    return figures.rstrip()


def _piece(
    piece: Segment, contributions: Sequence[Contribution], scale: float, tooltip: _Tooltip, *, read_until: int
) -> str:
    if piece.start >= read_until:
        return f'<span class="unread">{escape(piece.text)}</span>'
    if piece.feature is None:
        seen = max(read_until - piece.start, 0)
        rest = piece.text[seen:]
        return escape(piece.text[:seen]) + (f'<span class="unread">{escape(rest)}</span>' if rest else "")
    contribution = contributions[piece.feature]
    unsure = " unsure" if contribution.lower <= 0 <= contribution.upper else ""
    return (
        f'<span class="word{unsure}" style="background:{translucent(contribution.value / scale)}"'
        f' title="{escape(tooltip(contribution))}">{escape(piece.text)}</span>'
    )


def _tooltips(result: ExplainResult) -> _Tooltip:
    """What is shown of each feature that is hovered."""
    return partial(_tooltip, confidence=result.explanation.options.confidence, places=wording.decimals(result))


def _tooltip(contribution: Contribution, *, confidence: float, places: int) -> str:
    text = f"{contribution.feature.name}: {wording.number(contribution.value, places)}"
    if not math.isnan(contribution.half_width):
        interval = f"{wording.number(contribution.lower, places)} to {wording.number(contribution.upper, places)}"
        text += f" ({confidence:.3g} interval {interval})"
    return text


def _legend(result: ExplainResult) -> str:
    unsure = f'<span class="unsure">dashed</span>: the {result.explanation.options.confidence:.3g} interval holds 0'
    hover = f"; hover a {wording.feature_noun(result)} for its figures" if result.row is None else ""
    return (
        f'<p class="faint"><span class="key" style="background:{translucent(1)}">raises</span>'
        f'<span class="key" style="background:{translucent(-1)}">lowers</span>{unsure}{hover}</p>'
    )
