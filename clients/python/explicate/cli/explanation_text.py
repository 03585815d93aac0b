"""An explanation as plain text, for pipes, logs and terminals without rich."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from explicate.cli import bars, tables
from explicate.explanation import Contribution
from explicate.results import ExplainResult
from explicate.views import words as wording

_BAR_HALF = 16  # characters on each side of the centre line
_WORD_WIDTH = 24
BESIDE_WIDTH = 32


def lines(result: ExplainResult, top: int) -> Iterator[str]:
    """The prediction, how it was explained, and the `top` features of every output; 0 means all."""
    yield from header(result)
    for output, attribution in enumerate(result.explanation.attributions):
        yield ""
        yield tables.printable(wording.outcome(attribution, result))
        shown = strongest(result, output, top)
        if shown:
            yield from _table(shown, result).splitlines()
        if hidden := hidden_features(result, shown):
            yield hidden


def header(result: ExplainResult) -> Iterator[str]:
    """What answered, how, at what cost, and what to beware of."""
    model = result.model
    yield tables.printable(
        f"{wording.prediction(result.prediction)}  ({model.model} version {model.version},"
        f" {model.runtime}, {model.precision})"
    )
    yield wording.method(result)
    yield from wording.quality(result)
    if note := wording.unread(result):
        yield tables.printable(note)


def strongest(result: ExplainResult, output: int, top: int) -> tuple[Contribution, ...]:
    """The features to list for one output."""
    return result.explanation.top(top or len(result.explanation.features), output)


def hidden_features(result: ExplainResult, shown: Sequence[Contribution]) -> str:
    """How many features the list leaves out; empty when it leaves out none."""
    rest = len(result.explanation.features) - len(shown)
    more = wording.feature_noun(result) if rest == 1 else wording.feature_nouns(result)
    return f"and {rest} more {more} with less (--top 0 lists all)" if rest else ""


def names(shown: Sequence[Contribution], width: int) -> list[str]:
    """The features, cut to `width` columns; one that is listed twice with the place where it starts, "was @12"."""
    counts = Counter(contribution.feature.name for contribution in shown)
    marks = [f" @{c.feature.spans[0].start}" if counts[c.feature.name] > 1 and c.feature.spans else "" for c in shown]
    return [tables.shortened(c.feature.name, width - len(m)) + m for c, m in zip(shown, marks, strict=True)]


def beside(result: ExplainResult, shown: Sequence[Contribution]) -> tuple[str, list[str]] | None:
    """A heading and what stands beside the names of the features, cut to the width of its column."""
    told = wording.beside(result)
    if told is None:
        return None
    by_feature = {id(feature): cell for feature, cell in zip(result.explanation.features, told[1], strict=True)}
    return told[0], [tables.shortened(by_feature[id(c.feature)], BESIDE_WIDTH) for c in shown]


def figures_heading(result: ExplainResult) -> str:
    """The heading of the attributions: of a table "value" is what a column holds."""
    return "value" if result.row is None else "adds"


def progress(result: ExplainResult) -> str:
    """One line for an estimate that more will follow."""
    widths = [c.half_width for i in range(len(result.explanation.attributions)) for c in strongest(result, i, 0)]
    widest = max((width for width in widths if not math.isnan(width)), default=None)
    interval = f", widest interval ± {widest:.{wording.decimals(result)}f}" if widest is not None else ""
    return f"{result.explanation.evaluations:,} evaluations{interval}"


def _table(shown: Sequence[Contribution], result: ExplainResult) -> str:
    full_scale, places = bars.scale(shown), wording.decimals(result)
    columns = [
        names(shown, _WORD_WIDTH),
        ["".join(cell.character for cell in bars.bar(c, full_scale, _BAR_HALF)) for c in shown],
        [wording.number(c.value, places) for c in shown],
        [wording.half_width(c, places) for c in shown],
    ]
    header = [wording.feature_noun(result), axis(full_scale, _BAR_HALF), figures_heading(result), ""]
    if told := beside(result, shown):
        header.insert(1, told[0])
        columns.insert(1, told[1])
    header = [heading.upper() for heading in header]
    return tables.table(header, zip(*columns, strict=True), right=(len(header) - 2,))


def axis(full_scale: float, half: int) -> str:
    """The bars' heading: the scale's ends and its 0."""
    low, high = f"{-full_scale:.2g}", f"{full_scale:+.2g}"
    left = low + " " * (half - len(low))
    return left + "0" + " " * (half - len(high)) + high
