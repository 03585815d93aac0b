"""An explanation as HTML, for notebooks and for a file: the input, each feature coloured by what it adds.

Colours are laid translucently over whatever background there is, at most 55 % opaque, so that the text keeps its own
colour and stays legible on light and on dark pages. Everything that comes from a user or a server is escaped; there is
no script. `kinds` has what differs between kinds of input, `look` the style sheet; this file has the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from explicate.views import wording
from explicate.views.added import change_words, pair_table
from explicate.views.amounts import translucent
from explicate.views.kinds import explained
from explicate.views.kinds.explained import Explained
from explicate.views.look.sheets import marks_style, page_style

if TYPE_CHECKING:
    from explicate.results import ExplainResult, Explanation


def fragment(result: ExplainResult) -> str:
    """One explanation as a `<div>` with its own style, to be set into any page."""
    return f'{marks_style()}<div class="explicate">{_body(result)}</div>'


def drawing(result: ExplainResult, output: int = 0, *, most: int | None = None) -> str:
    """The input alone, coloured by what each part adds to one output; its page has the sheet of `look`.

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
        f"<title>{escape(title)}</title>{page_style()}</head><body>{sections}</body></html>\n"
    )


def _body(result: ExplainResult) -> str:
    prediction, model = result.prediction, result.model
    told = explained(result)
    head = [
        f"<h4>{escape(wording.prediction(prediction))}</h4>",
        _in_words(result.explanation),
        _paragraph(f"{model.model} version {model.version} on {model.runtime}, {model.precision}"),
        _paragraph(wording.method(result)),
        _paragraph(wording.baseline(result)),
        *(_paragraph(line) for line in wording.players(result)),
        _paragraph(told.not_words),
        *(_paragraph(line) for line in wording.quality(result)),
        _paragraph(wording.unsaid(result), "note"),
    ]
    draw = told.drawer()
    outputs = [
        f'<p class="output">{escape(wording.outcome(attribution, result))}</p>{draw(output)}'
        f"{pair_table.html(result, output)}"
        for output, attribution in enumerate(result.explanation.attributions)
    ]
    return "".join(head + outputs) + _legend(told) + change_words.html(result)


def _in_words(explanation: Explanation) -> str:
    """The answer's sentences, each name in them apart from its neighbours whatever way it is written."""
    told = " ".join(map(escape, explanation.sentences))
    return f'<p class="told" lang="{escape(explanation.options.language or "")}">{told}</p>' if told else ""


def _paragraph(text: str, css_class: str = "faint") -> str:
    return f'<p class="{css_class}">{escape(text)}</p>' if text else ""


def _legend(told: Explained) -> str:
    unsure = f'<span class="unsure">dashed</span>: the {told.explanation.options.confidence:.3g} interval holds 0'
    hover = "" if told.has_figures else f"; hover a {told.noun} for its figures"
    return (
        f'<p class="legend"><span class="key raises" style="background:{translucent(1)}">raises</span>'
        f'<span class="key lowers" style="background:{translucent(-1)}">lowers</span>{unsure}{hover}</p>'
    )
