"""An explanation for a terminal, drawn with rich: bars in colour, and of a text its words coloured in their place.

Orange raises and blue lowers the output, as in the HTML view; what lowers is underlined too, for terminals without
colour. rich itself heeds NO_COLOR.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from explicate.cli import bars, explanation_text, tables
from explicate.explanation import Contribution
from explicate.results import ExplainResult
from explicate.views import words as wording
from explicate.views.words import LOWERS_RGB, RAISES_RGB, segments

_BAR_HALF = 18
_WORD_WIDTH = 24
_FAINT_BELOW = 0.05  # share of the strongest word below which a word is left uncoloured
_PALE = 0.85  # share of white in the colour of the weakest coloured word


def view(result: ExplainResult, top: int) -> RenderableType:
    """Everything about one explanation; `top` features are listed for each output, 0 meaning all."""
    first, *rest = explanation_text.header(result)
    parts: list[RenderableType] = [Text(first, style="bold"), *(Text(line, style="dim") for line in rest)]
    for output, attribution in enumerate(result.explanation.attributions):
        parts += [Text(), Text(tables.printable(wording.outcome(attribution, result)))]
        shown = explanation_text.strongest(result, output, top)
        parts.append(_table(shown, result))
        if hidden := explanation_text.hidden_features(result, shown):
            parts.append(Text(hidden, style="dim"))
        if result.text:
            parts += [Text(), _sentence(result, output)]
        if result.text_pair is not None:
            parts += [Text(), _sentence(result, output, in_pair=True)]
    return Group(*parts)


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


def _table(shown: Sequence[Contribution], result: ExplainResult) -> Table:
    full_scale, places = bars.scale(shown), wording.decimals(result)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(wording.feature_noun(result), max_width=_WORD_WIDTH)
    told = explanation_text.beside(result, shown)
    if told:
        table.add_column(told[0], max_width=explanation_text.BESIDE_WIDTH)
    table.add_column(explanation_text.axis(full_scale, _BAR_HALF), no_wrap=True)
    table.add_column(explanation_text.figures_heading(result), justify="right")
    table.add_column("")
    names = explanation_text.names(shown, _WORD_WIDTH)
    for i, (name, contribution) in enumerate(zip(names, shown, strict=True)):
        table.add_row(
            Text(name),
            *([Text(told[1][i])] if told else []),
            _bar(contribution, full_scale),
            Text(wording.number(contribution.value, places)),
            Text(wording.half_width(contribution, places), style="dim"),
        )
    return table


def _bar(contribution: Contribution, full_scale: float) -> Text:
    colour = _hex(RAISES_RGB if contribution.value > 0 else LOWERS_RGB)
    text = Text()
    for cell in bars.bar(contribution, full_scale, _BAR_HALF):
        # Where whiskers lie over the bar, the bar shows as their background.
        text.append(cell.character, style=Style(color="white", bgcolor=colour) if cell.filled else Style())
        if cell.filled and cell.character == "█":
            text.stylize(Style(color=colour), len(text) - 1)
    return text


def _sentence(result: ExplainResult, output: int, *, in_pair: bool = False) -> Text:
    attribution = result.explanation.attributions[output]
    largest = wording.largest(attribution)
    read_until = wording.read_until(result, in_pair=in_pair)
    text = Text()
    shown = (result.text_pair or "") if in_pair else result.text
    for piece in segments(shown, result.explanation.features, in_pair=in_pair):
        value = 0.0 if piece.feature is None else attribution.values[piece.feature] / largest
        unread = piece.start >= read_until
        text.append(tables.printable(piece.text), style=Style(dim=True) if unread else _word_style(value))
    return text


def _word_style(strength: float) -> Style:
    """Black on a colour mixed with white, readable whatever the terminal's own colours are."""
    if math.isnan(strength) or abs(strength) < _FAINT_BELOW:
        return Style()
    white = _PALE * (1 - min(abs(strength), 1.0))
    hue = RAISES_RGB if strength > 0 else (103, 169, 207)  # the scale's lighter blue: black stays legible on it
    mixed = tuple(round(255 * white + part * (1 - white)) for part in hue)
    return Style(color="black", bgcolor=_hex(mixed), underline=strength < 0)


def _hex(rgb: Sequence[int]) -> str:
    return "#" + "".join(f"{part:02x}" for part in rgb)
