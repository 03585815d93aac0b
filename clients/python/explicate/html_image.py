"""The part of the HTML view for an image: a drawing (SVG) of it with its segments, each with its figures to hover.

The image itself is inside, small and as PNG or JPEG of our own making: nothing of the given file reaches the page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from html import escape
from itertools import groupby

from explicate import html_table, pictures, wording
from explicate.colours import LOWERS_RGB, RAISES_RGB
from explicate.errors import UsageError
from explicate.explanation import Contribution, SegmentMap
from explicate.pictures import Canvas
from explicate.results import ExplainResult

STYLE = """
.explicate svg{display:block;max-width:100%;height:auto;margin:.5em 0}
.explicate svg .borders{fill:none;stroke:#969696;stroke-opacity:.75;stroke-width:1px;vector-effect:non-scaling-stroke}
.explicate svg .segment:hover{stroke:currentColor;stroke-width:1.5px;vector-effect:non-scaling-stroke}"""

LISTED = 15  # segments with their figures below the drawing
_SHORTEST, _LONGEST = 384, 768  # pixels of the longer edge
_OPACITY = 0.72  # as in the picture that `to_image` draws


def drawing(result: ExplainResult, output: int, tooltip: Callable[[Contribution], str]) -> str:
    """One output: the drawing, and a table of the strongest segments; without Pillow the table and how to get it."""
    table = html_table.table(result, output, most=LISTED)
    try:
        canvas = pictures.canvas(result, shortest=_SHORTEST, longest=_LONGEST)
    except UsageError as error:
        return f'<p class="note">{escape(str(error))}</p>{table}'
    return f"{_svg(canvas, result, output, tooltip)}{table}"


def _svg(canvas: Canvas, result: ExplainResult, output: int, tooltip: Callable[[Contribution], str]) -> str:
    _, shape = pictures.explained_image(result)
    (width, height), (left, top, right, bottom) = canvas.picture.size, canvas.box
    across, down = (right - left) / shape.width, (bottom - top) / shape.height
    largest = wording.largest(result.explanation.attributions[output])
    regions = _regions(shape)
    segments = "".join(
        f'<path class="segment" fill="{_fill(contribution.value / largest)}" d="{regions.get(segment, "")}">'
        f"<title>{escape(tooltip(contribution))}</title></path>"
        for segment, contribution in enumerate(result.explanation.contributions(output))
    )
    lines = "".join(f"M{x0} {y0}L{x1} {y1}" for x0, y0, x1, y1 in pictures.borders(shape))
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
        f'<image href="{_data_uri(canvas)}" width="{width}" height="{height}"/>'
        f'<g transform="translate({left} {top}) scale({across:.6g} {down:.6g})" shape-rendering="crispEdges">'
        f'{segments}<path class="borders" d="{lines}"/></g></svg>'
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
    """The picture as JPEG, or as PNG where that is smaller, as it is for drawings and enlarged pixels."""
    files = {}
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": 85})):
        file = io.BytesIO()
        canvas.picture.save(file, format=kind.upper(), **options)
        files[kind] = file.getvalue()
    kind = min(files, key=lambda name: len(files[name]))
    return f"data:image/{kind};base64,{base64.b64encode(files[kind]).decode()}"
