"""Numbers and cells as every view writes them, and the colour behind them."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING

from explicate.views.look.palette import LOWERS_RGB, RAISES_RGB

OVERLAY_OPACITY = 0.72  # of the strongest segment, through which what is below is still seen
_BEHIND_TEXT_OPACITY = 0.55


def translucent(strength: float, most: float = _BEHIND_TEXT_OPACITY) -> str:
    """The CSS colour for a value in [-1, 1], 0 and NaN being transparent; text on it keeps its own colour legible.

    most: the opacity of the strongest.
    """
    if math.isnan(strength):
        return "transparent"
    red, green, blue = RAISES_RGB if strength > 0 else LOWERS_RGB
    return f"rgba({red},{green},{blue},{min(abs(strength), 1.0) * most:.3f})"


def sign(value: float) -> str:
    """The class of a mark: "raises", "lowers", or nothing for 0 and NaN."""
    return "raises" if value > 0 else "lowers" if value < 0 else ""


if TYPE_CHECKING:
    from explicate.inputs import GivenValue, TableRow
    from explicate.results import Attribution, Contribution, ExplainResult

_MOST_DECIMALS = 6  # of probabilities and logits, which float32 models know no finer


def number(value: float, decimals: int = 3) -> str:
    """A signed attribution, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:+.{decimals}f}"


def plain_number(value: float, decimals: int = 3) -> str:
    """A figure, or a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{decimals}f}"


def half_width(contribution: Contribution, decimals: int = 3) -> str:
    """The half-width of an interval, such as "± 0.012", "exact" for 0, or nothing when it is not known."""
    if math.isnan(contribution.half_width):
        return ""
    return f"± {contribution.half_width:.{decimals}f}" if contribution.half_width > 0 else "exact"


def interval(contribution: Contribution, decimals: int = 3) -> str:
    """The ends of an interval, such as "+0.010 to +0.034"."""
    return f"{number(contribution.lower, decimals)} to {number(contribution.upper, decimals)}"


def decimals(result: ExplainResult) -> int:
    """How many decimals its figures have: as many as matter for a regression, else three, or more for small figures.

    A model that is sure has probabilities that hardly move: 0.0012 and 0.0007 are not both to read 0.001.
    """
    attributed = (value for attribution in result.explanation.attributions for value in attribution.values)
    largest_value = max((abs(value) for value in attributed if math.isfinite(value)), default=0.0)
    if result.explanation.options.output_space == "value":
        return decimals_for(largest_value, digits=3)
    return min(max(decimals_for(largest_value, digits=2), 3), _MOST_DECIMALS)


def decimals_for(value: float, digits: int) -> int:
    """The decimals with which `value` shows `digits` significant digits; none for what is larger."""
    size = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    return min(max(digits - 1 - size, 0), 12)


def largest(attribution: Attribution) -> float:
    """The largest absolute value, for scaling colours; 1 when there is none above 0."""
    return max((abs(value) for value in attribution.values if not math.isnan(value)), default=0.0) or 1.0


def cell(value: GivenValue) -> str:
    """A value of a column as a table shows it, such as "34", "clerk", "2020-12-31" or "missing"."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"


def row(given: TableRow) -> str:
    """A row on one line, such as "age=34, job=clerk"; a missing value is left empty."""
    return ", ".join(f"{column}={'' if value is None else cell(value)}" for column, value in given.items())
