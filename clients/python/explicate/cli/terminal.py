"""An explanation for a terminal, drawn with rich: bars in colour, and of a text its words coloured in their place.

Orange raises and blue lowers the output, as in the HTML view; what lowers is underlined too, for terminals without
colour. rich itself heeds NO_COLOR.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from explicate.views import amounts, explanation_text, tables, wording
from explicate.views.added import change_words, pair_table
from explicate.views.kinds import explained
from explicate.views.kinds.explained import Explained
from explicate.views.kinds.explained_text import ExplainedText, Segment
from explicate.views.kinds.text_in_sections import in_sections
from explicate.views.look.palette import LOWERS_LIGHT_RGB, LOWERS_RGB, RAISES_RGB

if TYPE_CHECKING:
    from explicate.results import Attribution, Contribution, ExplainResult

_BAR_HALF = 18
_WORD_WIDTH = 24
_FAINT_BELOW = 0.05  # share of the strongest word below which a word is left uncoloured
_PALE = 0.85  # share of white in the colour of the weakest coloured word


def view(result: ExplainResult, top: int) -> RenderableType:
    """Everything about one explanation; `top` features are listed for each output, 0 meaning all."""
    told = explained(result)
    first, *rest = explanation_text.header(result)
    parts: list[RenderableType] = [Text(first, style="bold"), *(Text(line, style="dim") for line in rest)]
    for output, attribution in enumerate(result.explanation.attributions):
        parts += [Text(), Text(tables.printable(wording.outcome(attribution, result)))]
        if sections := in_sections(result):
            parts += [*_listed(sections, output, top), Text()]
        parts += _listed(result, output, top)
        if isinstance(told, ExplainedText):
            for number in range(len(told.texts)):
                parts += [Text(), _sentence(told.pieces(number), attribution)]
        parts += map(Text, pair_table.lines(result, output))
    if result.explanation.sentences:
        parts += [Text(), *(Text(tables.printable_sentence(each)) for each in result.explanation.sentences)]
    for number, line in enumerate(change_words.lines(result, beside_sentences=True)):
        parts += [Text(tables.printable(line), style="dim")] if number else [Text(), Text(tables.printable(line))]
    return Group(*parts)


def _listed(result: ExplainResult, output: int, top: int) -> list[RenderableType]:
    """The strongest features, and how many more there are."""
    shown = explanation_text.strongest(result, output, top)
    hidden = explanation_text.hidden_features(result, shown)
    return [_table(shown, explained(result)), *([Text(hidden, style="dim")] if hidden else [])]


def show_live(estimates: Iterable[ExplainResult], top: int) -> ExplainResult:
    """Draw each estimate of a stream in place of the one before it; the last one stays and is returned."""
    # Words are data: not to be highlighted, nor read as markup.
    console = Console(highlight=False, markup=False, emoji=False)
    # Estimates under way are cut to the screen, for what scrolls away could not be drawn over.
    live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
    last: ExplainResult | None = None
    try:
        for last in estimates:
            if not last.final:
                live.start()  # does nothing once it runs
                live.update(view(last, top), refresh=True)
    finally:
        live.stop()
    assert last is not None, "a server's answer has at least one estimate"
    console.print(view(last, top), Text())
    return last


def _table(shown: Sequence[Contribution], told: Explained) -> Table:
    full_scale = explanation_text.bar_scale(shown)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(told.noun, max_width=_WORD_WIDTH)
    if told.beside_heading:
        table.add_column(told.beside_heading, max_width=explanation_text.BESIDE_WIDTH)
    table.add_column(explanation_text.axis(full_scale, _BAR_HALF), no_wrap=True)
    table.add_column(told.figures_heading, justify="right")
    table.add_column("")
    for name, contribution in zip(tables.names([c.feature for c in shown], _WORD_WIDTH), shown, strict=True):
        beside = tables.shortened(told.beside(contribution.feature), explanation_text.BESIDE_WIDTH)
        table.add_row(
            Text(name),
            *([Text(beside)] if told.beside_heading else []),
            _bar(contribution, full_scale),
            Text(amounts.number(contribution.value, told.decimals)),
            Text(amounts.half_width(contribution, told.decimals), style="dim"),
        )
    return table


def _bar(contribution: Contribution, full_scale: float) -> Text:
    colour = _hex(RAISES_RGB if contribution.value > 0 else LOWERS_RGB)
    text = Text()
    for cell in explanation_text.bar(contribution, full_scale, _BAR_HALF):
        # Where whiskers lie over the bar, the bar shows as their background.
        text.append(cell.character, style=Style(color="white", bgcolor=colour) if cell.filled else Style())
        if cell.filled and cell.character == "█":
            text.stylize(Style(color=colour), len(text) - 1)
    return text


def _sentence(pieces: Sequence[Segment], attribution: Attribution) -> Text:
    largest = amounts.largest(attribution)
    text = Text()
    for piece in pieces:
        value = 0.0 if piece.feature is None else attribution.values[piece.feature] / largest
        text.append(tables.printable(piece.text), style=_word_style(value) if piece.is_read else Style(dim=True))
    return text


def _word_style(strength: float) -> Style:
    """Black on a colour mixed with white, readable whatever the terminal's own colours are."""
    if math.isnan(strength) or abs(strength) < _FAINT_BELOW:
        return Style()
    white = _PALE * (1 - min(abs(strength), 1.0))
    hue = RAISES_RGB if strength > 0 else LOWERS_LIGHT_RGB
    mixed = tuple(round(255 * white + part * (1 - white)) for part in hue)
    return Style(color="black", bgcolor=_hex(mixed), underline=strength < 0)


def _hex(rgb: Sequence[int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in rgb)
