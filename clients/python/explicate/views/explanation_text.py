"""An explanation as plain text, for pipes, logs and terminals without rich.

Each value is a signed bar around a centre line, with its interval as whiskers: `░░├──●──┤` and its mirror.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explicate.views import amounts, tables, wording
from explicate.views.added import change_words, pair_table
from explicate.views.kinds import explained
from explicate.views.kinds.text_in_sections import in_sections

if TYPE_CHECKING:
    from explicate.results import Contribution, ExplainResult

_BAR_HALF = 16  # characters on each side of the centre line
_WORD_WIDTH = 24
BESIDE_WIDTH = 32
_FILL, _CENTRE, _VALUE, _WHISKER, _LOW, _HIGH = "█", "│", "●", "─", "├", "┤"


def lines(result: ExplainResult, top: int, *, more: str = "--top 0") -> Iterator[str]:
    """The prediction, how it was explained, the `top` features of every output, and all of it in plain words; 0 means
    all features, which `more` gives.
    The sentences of a long text come before its words.
    """
    yield from header(result)
    for output, attribution in enumerate(result.explanation.attributions):
        yield ""
        yield tables.printable(wording.outcome(attribution, result))
        if sections := in_sections(result):
            yield from _listed(sections, output, top, more)
            yield ""
        yield from _listed(result, output, top, more)
        yield from pair_table.lines(result, output)
    if result.explanation.sentences:
        yield from ("", *map(tables.printable_sentence, result.explanation.sentences))
    for number, line in enumerate(change_words.lines(result, beside_sentences=True)):
        yield from [] if number else [""]
        yield tables.printable(line)


def _listed(result: ExplainResult, output: int, top: int, more: str) -> Iterator[str]:
    shown = strongest(result, output, top)
    if shown:
        yield from _table(shown, result).splitlines()
    if hidden := hidden_features(result, shown, more=more):
        yield hidden


def header(result: ExplainResult) -> Iterator[str]:
    """What answered, how, at what cost, and what to beware of."""
    model, rule = result.model, wording.decided_by(result.prediction)
    by = f" ({rule})" if rule else ""
    yield tables.printable(
        f"{wording.prediction(result.prediction)}{by}  ({model.model} version {model.version},"
        f" {model.runtime}, {model.precision})"
    )
    yield wording.method(result)
    if compared := wording.baseline(result):
        yield tables.printable(compared)
    yield from map(tables.printable, wording.players(result))
    if told := explained(result).not_words:
        yield tables.printable(told)
    yield from wording.quality(result)
    if note := wording.unsaid(result):
        yield tables.printable(note)


def strongest(result: ExplainResult, output: int, top: int) -> tuple[Contribution, ...]:
    """The features to list for one output."""
    return result.explanation.top(top or len(result.explanation.features), output)


def hidden_features(result: ExplainResult, shown: Sequence[Contribution], *, more: str = "--top 0") -> str:
    """How many features the list leaves out; empty when it leaves out none."""
    rest = len(result.explanation.features) - len(shown)
    nouns = explained(result).noun if rest == 1 else explained(result).nouns
    return f"and {rest} more {nouns} with less ({more} lists all)" if rest else ""


def progress(result: ExplainResult) -> str:
    """One line for an estimate that more will follow."""
    widths = [c.half_width for i in range(len(result.explanation.attributions)) for c in strongest(result, i, 0)]
    widest = max((width for width in widths if not math.isnan(width)), default=None)
    interval = f", widest interval ± {widest:.{amounts.decimals(result)}f}" if widest is not None else ""
    return f"{result.explanation.evaluations:,} evaluations{interval}"


def _table(shown: Sequence[Contribution], result: ExplainResult) -> str:
    full_scale, told = bar_scale(shown), explained(result)
    columns = {
        told.noun: tables.names([c.feature for c in shown], _WORD_WIDTH),
        told.beside_heading: [tables.shortened(told.beside(c.feature), BESIDE_WIDTH) for c in shown],
        axis(full_scale, _BAR_HALF): ["".join(cell.character for cell in bar(c, full_scale, _BAR_HALF)) for c in shown],
        told.figures_heading: [amounts.number(c.value, told.decimals) for c in shown],
    }
    if not told.beside_heading:
        del columns[""]
    header = [heading.upper() for heading in columns]
    widths = [amounts.half_width(c, told.decimals) for c in shown]
    return tables.table([*header, ""], zip(*columns.values(), widths, strict=True), right=(len(header) - 1,))


def axis(full_scale: float, half: int) -> str:
    """The bars' heading: the scale's ends and its 0."""
    low, high = f"{-full_scale:.2g}", f"{full_scale:+.2g}"
    left = low + " " * (half - len(low))
    return left + "0" + " " * (half - len(high)) + high


@dataclass(frozen=True)
class Cell:
    """One character of a bar; `filled` between the centre line and the value, where a terminal may colour it."""

    character: str
    filled: bool


def bar_scale(contributions: Sequence[Contribution]) -> float:
    """The largest distance from 0 that must fit on a bar: of any value or end of an interval; 1 when all are 0."""
    ends = [abs(end) for c in contributions for end in (c.value, c.lower, c.upper) if math.isfinite(end)]
    return max(ends, default=0.0) or 1.0


def bar(contribution: Contribution, full_scale: float, half: int) -> list[Cell]:
    """`2 * half + 1` cells for a scale from -`full_scale` to `full_scale`."""
    centre = half
    value = _place(contribution.value, full_scale, half)
    characters = [" "] * (2 * half + 1)
    filled = range(min(centre, value), max(centre, value) + 1)
    for i in filled:
        characters[i] = _FILL
    characters[centre] = _CENTRE
    if math.isfinite(contribution.lower) and math.isfinite(contribution.upper):
        low, high = (_place(end, full_scale, half) for end in (contribution.lower, contribution.upper))
        if low < high:  # an interval narrower than a character has no whiskers
            for i in range(low, high + 1):
                characters[i] = _WHISKER
            characters[low], characters[high] = _LOW, _HIGH
            characters[value] = _VALUE
    return [Cell(character, i in filled and i != centre) for i, character in enumerate(characters)]


def _place(value: float, full_scale: float, half: int) -> int:
    if math.isnan(value):
        return half
    share = max(-1.0, min(1.0, value / full_scale))
    return half + round(share * half)
