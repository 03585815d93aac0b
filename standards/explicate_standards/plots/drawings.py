"""The drawings of an evaluation, each as an SVG: no library, so that whoever can measure a bundle can draw it.

In the light colours of a run's report, with letters that stay letters; a page takes it in with its own
colours (`explicate.views.look.inlined`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from math import floor, log10

import numpy as np

from explicate.v1 import bundle_pb2
from explicate.views.look.palette import AREA, FIRST, LIGHT, QUIET, SECOND, THIRD

OURS, OTHER, MARK, GREY, INK = FIRST, SECOND, THIRD, QUIET, LIGHT.ink
_WIDTH, _HEIGHT = 340, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 24, 40
_TICKS = 6
_LEGEND_ROOM = 0.25  # above what is drawn, of its height


def drawn(plot: bundle_pb2.InterpretabilityPlot) -> str:
    """A plot's lines over one pair of axes, or its histogram; its title also says so to who cannot see it."""
    return _svg(plot.title, _histogram(plot) if plot.bins else _curves(plot))


def _curves(plot: bundle_pb2.InterpretabilityPlot) -> list[str]:
    """Lines with a whisker at each point."""
    points = [point for line in plot.lines for point in line.points]
    xs = [point.x for point in points]
    ys = [0.0, *(value for point in points for value in (point.y, point.interval.lower, point.interval.upper))]
    panel = _Panel(0.0, max(xs), min(ys), max(ys) + _LEGEND_ROOM * (max(ys) - min(ys)))
    parts = [panel.frame(plot.title, plot.x, plot.y)]
    for number, line in enumerate(plot.lines):
        color, dash = (GREY, ' stroke-dasharray="5 3"') if line.dashed else (OURS, "")
        places = [(panel.x(point.x), panel.y(point.y), point.interval) for point in line.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6"{dash}/>')
        for a, b, interval in places:
            parts.append(_stroke(a, panel.y(interval.lower), a, panel.y(interval.upper), color))
            parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.6" fill="{color}"/>')
        parts.append(_legend(number, line.name, color))
    return parts


def _histogram(plot: bundle_pb2.InterpretabilityPlot) -> list[str]:
    """Bars as high as their counts, with a line at each mark."""
    most = max(step.count for step in plot.bins)
    panel = _Panel(0.0, plot.bins[-1].upper, 0.0, (1 + _LEGEND_ROOM) * float(max(most, 1)))
    parts = [panel.frame(plot.title, plot.x, plot.y)]
    for step in plot.bins:
        left, top = panel.x(step.lower), panel.y(step.count)
        width, height = panel.x(step.upper) - left - 1, panel.y(0) - top
        parts.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{AREA}"/>')
    for number, mark in enumerate(plot.marks):
        color, place = (OTHER, MARK)[number % 2], panel.x(mark.value)
        parts.append(_stroke(place, panel.y(0), place, panel.y(most), color, dash="4 3"))
        parts.append(_legend(number, f"{mark.name} {mark.value:.3g}", color))
    return parts


@dataclass(frozen=True)
class _Panel:
    """Axes from the least to the greatest value of each direction."""

    least_x: float
    most_x: float
    least_y: float
    most_y: float

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - self.least_x) / ((self.most_x - self.least_x) or 1.0)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return (
            _HEIGHT
            - _BOTTOM
            - (_HEIGHT - _TOP - _BOTTOM) * (value - self.least_y) / ((self.most_y - self.least_y) or 1.0)
        )

    def frame(self, title: str, x: str, y: str) -> str:
        """Title, axes, ticks and their names."""
        parts = [
            _text(_LEFT, 14, title, size=11, weight="600"),
            _stroke(_LEFT, _HEIGHT - _BOTTOM, _WIDTH - _RIGHT, _HEIGHT - _BOTTOM, INK),
            _stroke(_LEFT, _TOP, _LEFT, _HEIGHT - _BOTTOM, INK),
            _text((_LEFT + _WIDTH) / 2, _HEIGHT - 8, x, anchor="middle"),
            f'<g transform="translate(12 {(_TOP + _HEIGHT - _BOTTOM) / 2}) rotate(-90)">',
            f"{_text(0, 0, y, anchor='middle')}</g>",
        ]
        for value in _ticks(self.least_x, self.most_x):
            parts.append(_text(self.x(value), _HEIGHT - _BOTTOM + 13, f"{value:g}", anchor="middle", size=9))
        for value in _ticks(self.least_y, self.most_y):
            parts.append(_text(_LEFT - 4, self.y(value) + 3, f"{value:g}", anchor="end", size=9))
            parts.append(_stroke(_LEFT - 2, self.y(value), _LEFT, self.y(value), INK))
        if self.least_y < 0:
            parts.append(_stroke(_LEFT, self.y(0), _WIDTH - _RIGHT, self.y(0), GREY))
        return "".join(parts)


def _ticks(least: float, most: float) -> list[float]:
    """Round numbers from the least to the greatest, about _TICKS of them."""
    if not most > least:
        return [least]
    rough = (most - least) / _TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = int(np.ceil(least / step - 1e-9)), int(np.floor(most / step + 1e-9))
    return [round(number * step, 12) for number in range(first, last + 1)]


def _legend(number: int, name: str, color: str) -> str:
    y = _TOP + 8 + 13 * number
    return _stroke(_WIDTH - 118, y - 3, _WIDTH - 104, y - 3, color) + _text(_WIDTH - 100, y, name, size=9)


def _stroke(x1: float, y1: float, x2: float, y2: float, color: str, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{dashes}/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 10, weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'fill="{INK}">{escape(text)}</text>'
    )


def _svg(title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" aria-label="{escape(title)}" style="max-width:100%;height:auto" '
        f'font-family="system-ui, sans-serif"><rect width="100%" height="100%" fill="{LIGHT.paper}"/>'
        f"{''.join(parts)}</svg>"
    )
