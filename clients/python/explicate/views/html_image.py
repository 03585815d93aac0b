"""The part of the HTML view for an image: a drawing (SVG) of it with its segments, each with its figures to hover.

The image itself is inside, small and as PNG or JPEG of our own making: nothing of the given file reaches the page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from itertools import groupby

from explicate.explanation import Contribution, SegmentMap
from explicate.results import ExplainResult
from explicate.views import picture as pictures
from explicate.views import words as wording
from explicate.views.picture import Canvas
from explicate.views.words import LOWERS_RGB, RAISES_RGB

STYLE = """
.explicate svg{display:block;max-width:100%;height:auto;margin:.5em 0}
.explicate svg .borders{fill:none;stroke:#969696;stroke-opacity:.75;stroke-width:1px;vector-effect:non-scaling-stroke}
.explicate svg .segment:hover{stroke:currentColor;stroke-width:1.5px;vector-effect:non-scaling-stroke}"""

_SHORTEST, _LONGEST = 384, 768  # pixels of the longer edge
_OPACITY = 0.72  # as in the picture that `to_image` draws


@dataclass(frozen=True)
class Sheet:
    """What the drawings of all outputs share: the picture as a data URI, its size and the box that the model saw.

    regions: the area of each segment as an SVG path on the map; lines: the borders between them, as one.
    """

    data_uri: str
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    shape: SegmentMap
    regions: dict[int, str]
    lines: str


def sheet(result: ExplainResult) -> Sheet:
    """The sheet of an explained image; raises UsageError when it cannot be drawn, as without Pillow."""
    canvas = pictures.canvas(result, shortest=_SHORTEST, longest=_LONGEST)
    _, shape = pictures.explained_image(result)
    lines = "".join(f"M{x0} {y0}L{x1} {y1}" for x0, y0, x1, y1 in pictures.borders(shape))
    return Sheet(_data_uri(canvas), canvas.picture.size, canvas.box, shape, _regions(shape), lines)


def drawing(sheet: Sheet, result: ExplainResult, output: int, tooltip: Callable[[Contribution], str]) -> str:
    """One output as an SVG; `tooltip` says what is shown of a segment that is hovered."""
    (width, height), (left, top, right, bottom) = sheet.size, sheet.box
    across, down = (right - left) / sheet.shape.width, (bottom - top) / sheet.shape.height
    largest = wording.largest(result.explanation.attributions[output])
    segments = "".join(
        f'<path class="segment" fill="{_fill(contribution.value / largest)}" d="{sheet.regions.get(segment, "")}">'
        f"<title>{escape(tooltip(contribution))}</title></path>"
        for segment, contribution in enumerate(result.explanation.contributions(output))
    )
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
        f'<image href="{sheet.data_uri}" width="{width}" height="{height}"/>'
        f'<g transform="translate({left} {top}) scale({across:.6g} {down:.6g})" shape-rendering="crispEdges">'
        f'{segments}<path class="borders" d="{sheet.lines}"/></g></svg>'
    )


def _regions(shape: SegmentMap) -> dict[int, str]:
    """The area of each segment as an SVG path: a rectangle for each run of its pixels in a row."""
    paths: dict[int, list[str]] = {}
    for y in range(shape.height):
        x = 0
        for segment, run in groupby(shape.ids[y * shape.width : (y + 1) * shape.width]):
            length = sum(1 for _ in run)
            paths.setdefault(segment, []).append(f"M{x} {y}h{length}v1h-{length}z")
            x += length
    return {segment: "".join(parts) for segment, parts in paths.items()}


def _fill(strength: float) -> str:
    """The colour of a value in [-1, 1]; what is transparent still shows its figures when hovered."""
    red, green, blue = RAISES_RGB if strength > 0 else LOWERS_RGB
    opacity = min(abs(strength), 1.0) * _OPACITY if strength == strength else 0.0
    return f"rgba({red},{green},{blue},{opacity:.3f})"


def _data_uri(canvas: Canvas) -> str:
    """The picture as JPEG; as PNG where it shows pixels as squares, which that keeps sharp and small."""
    kind, file = "png" if canvas.enlarged else "jpeg", io.BytesIO()
    canvas.picture.save(file, format=kind.upper(), **({} if canvas.enlarged else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
