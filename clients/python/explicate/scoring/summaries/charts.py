"""Pictures of many explanations as SVG: a bar for each feature, and a swarm of dots, one for each row.

No library and no script; each picture has its own background and ink for light and for dark pages. Bars and words have
the hues of every view, orange where a feature raises the output and blue where it lowers it. A dot of a table has the
colour of what its own column holds: green for the least, purple for the most (of ColorBrewer's PRGn, told apart with
every common kind of colour blindness), grey for what has no order, hollow for what is missing.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from html import escape
from typing import Literal

from explicate.inputs import GivenValue
from explicate.scoring.summaries.attribution_sums import FeatureFigures
from explicate.scoring.summaries.row_sample import SampledRow
from explicate.views.amounts import decimals_for
from explicate.views.characters import begun
from explicate.views.look.palette import LEAST_RGB, MIDDLE_RGB, MOST_RGB, Rgb, hexadecimal
from explicate.views.look.sheets import chart_style

_WIDTH, _NAMES, _RIGHT, _TOP, _BOTTOM = 640, 170, 16, 34, 36
_ROW, _DOT = 26, 2.2
_MOST_NAME = 22  # characters
_TICKS = 6
_Paint = Rgb | Literal["raises", "lowers"]  # a colour of its own, or the class of a hue of every view


@dataclass(frozen=True)
class _Scale:
    """From an amount to pixels from the left."""

    least: float
    most: float

    @staticmethod
    def over(amounts: Sequence[float]) -> _Scale:
        """A scale of all amounts and 0, with a little room at either end."""
        least, most = min([0.0, *amounts]), max([0.0, *amounts])
        room = 0.03 * ((most - least) or 1.0)
        return _Scale(least - room if least < 0 else 0.0, most + room)

    def x(self, amount: float) -> float:
        share = (amount - self.least) / ((self.most - self.least) or 1.0)
        return _NAMES + (_WIDTH - _NAMES - _RIGHT) * share

    def ticks(self) -> list[float]:
        """Round amounts, about `_TICKS` of them."""
        rough = (self.most - self.least) / _TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
        first, last = math.ceil(self.least / step - 1e-9), math.floor(self.most / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def bars(title: str, figures: Sequence[FeatureFigures], *, unit: str) -> str:
    """The mean size of what each feature adds, with its interval; its hue is that of the mean value."""
    ends = [end for one in figures for end in (one.mean_size, *(one.mean_size_interval or ()))]
    scale = _Scale.over(ends)
    parts = [_axes(scale, len(figures), unit), *_names([one.feature for one in figures])]
    for number, one in enumerate(figures):
        y, left, right = _middle(number), scale.x(0), scale.x(one.mean_size)
        parts.append(
            f'<rect x="{left:.1f}" y="{y - 8:.1f}" width="{right - left:.1f}" height="16" rx="1.5" '
            f"{_paint(_hue(one.mean_value))}><title>{escape(_told(one))}</title></rect>"
        )
        if one.mean_size_interval:
            low, high = (scale.x(max(end, 0.0)) for end in one.mean_size_interval)
            strokes = f"M{low:.1f} {y:.1f}H{high:.1f}M{low:.1f} {y - 3:.1f}v6M{high:.1f} {y - 3:.1f}v6"
            parts += [f'<path class="{kind}" d="{strokes}" fill="none"/>' for kind in ("halo", "whisker")]
    legend = _legend([("raises the output on average", "raises"), ("lowers it", "lowers")])
    return _svg(title, len(figures), [*parts, legend])


def swarm(title: str, features: Sequence[str], label: str, rows: Sequence[SampledRow], *, unit: str) -> str:
    """A dot for each row at what each feature adds to the class `label`, coloured by what its column holds."""
    added = {name: [(row.added[label, name], row) for row in rows if (label, name) in row.added] for name in features}
    scale = _Scale.over([amount for dots in added.values() for amount, _ in dots])
    parts = [_axes(scale, len(features), unit), *_names(features)]
    has_values = any(name in row.values for name in features for row in rows[:1])
    for number, (name, dots) in enumerate(added.items()):
        known = bool(dots) and name in dots[0][1].values
        colours = _colours([row.values[name] for _, row in dots]) if known else [MIDDLE_RGB] * len(dots)
        places = _stacked([scale.x(amount) for amount, _ in dots])
        for (amount, _), (x, offset), colour in zip(dots, places, colours, strict=True):
            parts.append(_dot(x, _middle(number) + offset, colour if has_values else _hue(amount)))
    scheme: list[tuple[str, _Paint]] = [
        ("column holds the least", LEAST_RGB),
        ("the most", MOST_RGB),
        ("no order", MIDDLE_RGB),
    ]
    legend = _legend(scheme if has_values else [("raises the output", "raises"), ("lowers it", "lowers")])
    return _svg(title, len(features), [*parts, legend])


def _stacked(xs: Sequence[float]) -> list[tuple[float, float]]:
    """Where dots go that would lie on one another: up and down from the middle of their line, while there is room."""
    held: dict[int, int] = {}
    places = []
    for x in xs:
        column = round(x / (2 * _DOT))
        number = held[column] = held.get(column, -1) + 1
        step = (number + 1) // 2 * (1 if number % 2 else -1) * _DOT * 1.6
        room = _ROW / 2 - _DOT - 1
        places.append((x, max(-room, min(room, step))))
    return places


def _colours(values: Sequence[GivenValue]) -> list[Rgb | None]:
    """The colour of each value by its place among the different ones; None for one that is missing.

    By its place, so that one outlier does not take the colours of the others.
    """
    told = [None if value is None or _is_nan(value) else value for value in values]
    numbers = [None if value is None else _number(value) for value in told]
    if numbers.count(None) > told.count(None):
        return [None if value is None else MIDDLE_RGB for value in told]
    different = sorted({number for number in numbers if number is not None})
    last = len(different) - 1
    return [
        None if number is None else _between(bisect_left(different, number) / last if last else 0.5)
        for number in numbers
    ]


def _number(value: object) -> float | None:
    """A value that has an order as a number: also true and false, and dates."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).toordinal() + (value.hour + value.minute / 60) / 24
    if isinstance(value, date):
        return float(value.toordinal())
    return float(value) if isinstance(value, int | float | Decimal) else None


def _is_nan(value: object) -> bool:
    return value != value


def _between(share: float) -> Rgb:
    """From the low over the middle to the high colour."""
    first, second, part = (LEAST_RGB, MIDDLE_RGB, 2 * share) if share < 0.5 else (MIDDLE_RGB, MOST_RGB, 2 * share - 1)
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _hue(amount: float) -> _Paint:
    return "raises" if amount > 0 else "lowers"


def _paint(paint: _Paint) -> str:
    return f'class="{paint}"' if isinstance(paint, str) else f'fill="{hexadecimal(paint)}"'


def _dot(x: float, y: float, colour: _Paint | None) -> str:
    if colour is None:
        return f'<circle class="line" cx="{x:.1f}" cy="{y:.1f}" r="{_DOT}" fill="none"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_DOT}" {_paint(colour)} fill-opacity=".8"/>'


def _axes(scale: _Scale, rows: int, unit: str) -> str:
    bottom = _TOP + rows * _ROW
    ticks = scale.ticks()
    decimals = decimals_for(abs(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0, digits=1)
    parts = []
    for tick in ticks:
        x, kind = scale.x(tick), "line" if tick == 0 else "faint"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 14, f"{tick:.{decimals}f}", size=10, anchor="middle"))
    middle = (_NAMES + _WIDTH - _RIGHT) / 2
    return "".join(parts) + _text(middle, bottom + 29, unit, size=11, anchor="middle")


def _names(features: Sequence[str]) -> list[str]:
    return [
        f"<g><title>{escape(name)}</title>{text}</g>"
        for number, name in enumerate(features)
        for text in [_text(_NAMES - 8, _middle(number) + 4, _short(name), size=12, anchor="end")]
    ]


def _short(name: str) -> str:
    return name if len(name) <= _MOST_NAME else f"{begun(name, _MOST_NAME - 1)}…"


def _legend(items: Sequence[tuple[str, _Paint]]) -> str:
    """What the colours say, at the upper left, where it is seen before a narrow page is scrolled."""
    parts, left = [], 8.0
    for told, colour in items:
        parts.append(f'<circle cx="{left:.1f}" cy="16" r="4" {_paint(colour)}/>')
        parts.append(_text(left + 8, 20, told, size=11))
        left += 32 + 6.0 * len(told)
    return "".join(parts)


def _middle(number: int) -> float:
    return _TOP + _ROW * (number + 0.5)


def _told(one: FeatureFigures) -> str:
    return f"{one.feature}: {one.mean_size:.4g} on average over {one.rows:,} rows"


def _text(x: float, y: float, text: str, *, size: int, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, rows: int, parts: Sequence[str]) -> str:
    height = _TOP + rows * _ROW + _BOTTOM
    return (
        f'<svg class="explicate-chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">{chart_style()}'
        f'<rect class="page" width="100%" height="100%"/>{"".join(parts)}</svg>'
    )


def pictures(
    title: str, figures: Sequence[FeatureFigures], label: str, rows: Sequence[SampledRow], *, unit: str
) -> Mapping[str, str]:
    """Both pictures by their names: "bars" and "swarm"."""
    names = [one.feature for one in figures]
    return {
        "bars": bars(f"{title}: mean size", figures, unit=f"mean |{unit}|"),
        "swarm": swarm(f"{title}: each row", names, label, rows, unit=unit),
    }
