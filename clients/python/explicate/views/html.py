"""An explanation as HTML, for notebooks and for a file: the input, each feature coloured by what it adds.

Colours are laid translucently over whatever background there is, at most 55 % opaque, so that the text keeps its own
colour and stays legible on light and on dark pages. Everything that comes from a user or a server is escaped; there is
no script. `kinds` has what differs between kinds of input; this file has the page and its one style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from explicate.views import wording
from explicate.views.amounts import translucent
from explicate.views.kinds import explained
from explicate.views.kinds.explained import Explained

if TYPE_CHECKING:
    from explicate.results import ExplainResult

# Scoped by class name, because a notebook shows many outputs on one page. "inherit" takes the notebook's theme.
STYLE = """<style>
.explicate{font-family:system-ui,sans-serif;font-size:14px;line-height:1.45;color:inherit;
max-width:60em;padding:.5em 0;overflow-x:auto}
.explicate h4{font-size:1.1em;font-weight:600;margin:0 0 .15em}
.explicate p{margin:.1em 0}
.explicate .output{margin-top:.8em}
.explicate .faint{opacity:.8;font-size:.9em}
.explicate .note{border-left:3px solid #e66101;padding-left:.5em;margin:.3em 0}
.explicate .text{font-size:1.1em;line-height:1.9;margin:.5em 0;white-space:pre-wrap;overflow-wrap:anywhere}
.explicate .word{border-radius:3px;padding:.1em .1em;-webkit-box-decoration-break:clone;box-decoration-break:clone}
.explicate .unsure{border-bottom:1px dashed currentColor}
.explicate .unread{opacity:.45}
.explicate .key{display:inline-block;border-radius:3px;padding:0 .4em;margin-right:.3em}
.explicate table{border-collapse:collapse;margin:.5em 0;color:inherit}
.explicate th{text-align:left;font-weight:600;opacity:.8;font-size:.9em}
.explicate th,.explicate td{padding:.15em .7em;border:0;overflow-wrap:break-word;background-color:transparent}
.explicate td.figure,.explicate th.figure{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.explicate .side{min-width:8em;padding:.15em 0}
@media(max-width:32em){.explicate .side{min-width:3em}.explicate th,.explicate td{padding:.15em .35em}}
.explicate .bar{display:block;height:1.1em;border-radius:2px}
.explicate .lowers .bar{margin-left:auto}
.explicate svg{display:block;max-width:100%;height:auto;margin:.5em 0}
.explicate svg .borders{fill:none;stroke:#969696;stroke-opacity:.75;stroke-width:1px;vector-effect:non-scaling-stroke}
.explicate svg .segment:hover{stroke:currentColor;stroke-width:1.5px;vector-effect:non-scaling-stroke}
</style>"""


def fragment(result: ExplainResult) -> str:
    """One explanation as a `<div>` with its own style, to be set into any page."""
    return f'{STYLE}<div class="explicate">{_body(result)}</div>'


def drawing(result: ExplainResult, output: int = 0, *, most: int | None = None) -> str:
    """The input alone, coloured by what each part adds to one output; the page that it is set into needs `STYLE`.

    most: of a table only so many of its strongest columns.
    """
    told = explained(result)
    drawn = told.table(output, most=most) if told.has_figures else told.drawer()(output)
    return f'<div class="explicate">{drawn}</div>'


def document(results: Sequence[ExplainResult], title: str = "Explanations") -> str:
    """A whole page with one section per explanation."""
    sections = "<hr>".join(f'<div class="explicate">{_body(result)}</div>' for result in results)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="color-scheme" content="light dark"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title>{STYLE}</head><body>{sections}</body></html>\n"
    )


def _body(result: ExplainResult) -> str:
    prediction, model = result.prediction, result.model
    told = explained(result)
    head = [
        f"<h4>{escape(wording.prediction(prediction))}</h4>",
        _paragraph(f"{model.model} version {model.version} on {model.runtime}, {model.precision}"),
        _paragraph(wording.method(result)),
        _paragraph(wording.baseline(result)),
        _paragraph(told.not_words),
        *(_paragraph(line) for line in wording.quality(result)),
        _paragraph(wording.unread(result), "note"),
    ]
    draw = told.drawer()
    outputs = [
        f'<p class="output">{escape(wording.outcome(attribution, result))}</p>{draw(output)}'
        for output, attribution in enumerate(result.explanation.attributions)
    ]
    return "".join(head + outputs) + _legend(told)


def _paragraph(text: str, css_class: str = "faint") -> str:
    return f'<p class="{css_class}">{escape(text)}</p>' if text else ""


def _legend(told: Explained) -> str:
    unsure = f'<span class="unsure">dashed</span>: the {told.explanation.options.confidence:.3g} interval holds 0'
    hover = "" if told.has_figures else f"; hover a {told.noun} for its figures"
    return (
        f'<p class="faint"><span class="key" style="background:{translucent(1)}">raises</span>'
        f'<span class="key" style="background:{translucent(-1)}">lowers</span>{unsure}{hover}</p>'
    )
