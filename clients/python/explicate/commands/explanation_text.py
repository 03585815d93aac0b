"""An explanation as plain text, for pipes, logs and terminals without rich."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from explicate import wording
from explicate.commands import bars, tables
from explicate.explanation import Contribution
from explicate.results import ExplainResult

_BAR_HALF = 16  # characters on each side of the centre line
_WORD_WIDTH = 24


def lines(result: ExplainResult, top: int) -> Iterator[str]:
    """The prediction, how it was explained, and the `top` features of every output; 0 means all."""
    yield from header(result)
    for output, attribution in enumerate(result.explanation.attributions):
        yield ""
        yield tables.printable(wording.outcome(attribution, result))
        shown = strongest(result, output, top)
        if shown:
            yield from _table(shown, wording.feature_noun(result)).splitlines()
        if hidden := hidden_features(result, shown):
            yield hidden


def header(result: ExplainResult) -> Iterator[str]:
    """What answered, how, at what cost, and what to beware of."""
    prediction, model = result.prediction, result.model
    yield tables.printable(
        f"{prediction.label} {prediction.probability:.3f}  ({model.model} version {model.version},"
        f" {model.runtime}, {model.precision})"
    )
    yield wording.method(result)
    yield from wording.quality(result)
    if note := wording.truncation(result):
        yield note


def strongest(result: ExplainResult, output: int, top: int) -> tuple[Contribution, ...]:
    """The features to list for one output."""
    return result.explanation.top(top or len(result.explanation.features), output)


def hidden_features(result: ExplainResult, shown: Sequence[Contribution]) -> str:
    """How many features the list leaves out; empty when it leaves out none."""
    rest = len(result.explanation.features) - len(shown)
    more = f"more {wording.feature_noun(result)}{'' if rest == 1 else 's'}"
    return f"and {rest} {more} with less (--top 0 lists all)" if rest else ""


def names(shown: Sequence[Contribution], width: int) -> list[str]:
    """The features, cut to `width` columns; one that is listed twice with the place where it starts, "was @12"."""
    counts = Counter(contribution.feature.text for contribution in shown)
    marks = [f" @{c.feature.spans[0].start}" if counts[c.feature.text] > 1 else "" for c in shown]
    return [tables.shortened(c.feature.text, width - len(m)) + m for c, m in zip(shown, marks, strict=True)]


def progress(result: ExplainResult) -> str:
    """One line for an estimate that more will follow."""
    widths = [c.half_width for i in range(len(result.explanation.attributions)) for c in strongest(result, i, 0)]
    widest = max((width for width in widths if not math.isnan(width)), default=None)
    interval = f", widest interval ± {widest:.3f}" if widest is not None else ""
    return f"{result.explanation.evaluations:,} evaluations{interval}"


def _table(shown: Sequence[Contribution], noun: str) -> str:
    full_scale = bars.scale(shown)
    body = [
        (
            name,
            "".join(cell.character for cell in bars.bar(contribution, full_scale, _BAR_HALF)),
            wording.number(contribution.value),
            wording.half_width(contribution),
        )
        for name, contribution in zip(names(shown, _WORD_WIDTH), shown, strict=True)
    ]
    return tables.table((noun.upper(), axis(full_scale, _BAR_HALF), "VALUE", ""), body, right=(2,))


def axis(full_scale: float, half: int) -> str:
    """The bars' heading: the scale's ends and its 0."""
    low, high = f"{-full_scale:.2g}", f"{full_scale:+.2g}"
    left = low + " " * (half - len(low))
    return left + "0" + " " * (half - len(high)) + high
