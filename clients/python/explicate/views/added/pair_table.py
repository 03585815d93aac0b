"""The strongest interactions: which two features, what they add together, and whether that may be nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from explicate.views import amounts, tables
from explicate.views.amounts import translucent
from explicate.views.kinds import explained

if TYPE_CHECKING:
    from explicate.described.interaction import Interaction
    from explicate.results import ExplainResult

_NAME_WIDTH = 24
_UNSURE = "may be 0"


def lines(result: ExplainResult, output: int) -> Iterator[str]:
    """Those of one output as a table, after a sentence that says what they are; nothing where none were asked for."""
    if not _wanted(result):
        return
    yield ""
    pairs = result.explanation.attributions[output].interactions
    if not pairs:
        yield _none(result)
        return
    yield f"{_heading(result)}:"
    names = _names(result)
    decimals = explained(result).decimals
    body = [
        (
            *(names[pair.first], "+", names[pair.second]),
            amounts.number(pair.value, decimals),
            _interval(pair, decimals),
            "" if pair.is_certain else _UNSURE,
        )
        for pair in pairs
    ]
    header = (explained(result).noun.upper(), "", explained(result).noun.upper(), "TOGETHER", "", "")
    yield from tables.table(header, body, right=(3,)).splitlines()


def html(result: ExplainResult, output: int) -> str:
    """The same as an HTML table, in the order of size; empty where none were asked for."""
    if not _wanted(result):
        return ""
    pairs = result.explanation.attributions[output].interactions
    if not pairs:
        return f'<p class="faint">{escape(_none(result))}</p>'
    largest = max(abs(pair.value) for pair in pairs) or 1.0
    names = _names(result)
    told = explained(result)
    head = (
        f'<th>{escape(told.noun)}</th><th>{escape(told.noun)}</th><th></th><th></th><th class="figure">together</th>'
        f'<th class="figure">{result.explanation.options.confidence:.3g} interval</th>'
    )
    body = "".join(_line(pair, names, pair.value / largest, told.decimals) for pair in pairs)
    return f'<p class="faint">{escape(_heading(result))}</p><table class="pairs"><tr>{head}</tr>{body}</table>'


def _line(pair: Interaction, names: Sequence[str], strength: float, decimals: int) -> str:
    colour = translucent(1.0 if strength > 0 else -1.0, most=1)
    bar = f'<span class="bar" style="width:{abs(strength):.1%};background:{colour}"></span>' if strength else ""
    unsure = "" if pair.is_certain else ' class="unsure"'
    return (
        f'<tr><td dir="auto">{escape(names[pair.first])}</td><td dir="auto">{escape(names[pair.second])}</td>'
        f'<td class="side lowers">{bar if strength < 0 else ""}</td><td class="side">{bar if strength > 0 else ""}</td>'
        f'<td class="figure"><span{unsure}>{amounts.number(pair.value, decimals)}</span></td>'
        f'<td class="figure">{_interval(pair, decimals)}</td></tr>'
    )


def _wanted(result: ExplainResult) -> bool:
    return result.final and bool(result.explanation.options.interactions) and len(result.explanation.features) > 1


def _heading(result: ExplainResult) -> str:
    return f"what two {explained(result).nouns} add together, beyond what each adds alone"


def _none(result: ExplainResult) -> str:
    why = "there was no time left" if result.explanation.stop_reason == "deadline" else "too little was evaluated"
    return f"no interactions of {explained(result).nouns} are told: {why}"


def _names(result: ExplainResult) -> list[str]:
    return tables.names(result.explanation.features, _NAME_WIDTH)


def _interval(pair: Interaction, decimals: int) -> str:
    if pair.half_width == 0:
        return "exact"
    return f"{amounts.number(pair.lower, decimals)} to {amounts.number(pair.upper, decimals)}"
