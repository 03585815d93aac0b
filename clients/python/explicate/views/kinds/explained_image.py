"""An explanation of an image; in HTML a drawing (SVG) of it with its segments, each with its figures to hover.

The image itself is inside, small and as PNG or JPEG of our own making: nothing of the given file reaches the page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

from explicate.errors import UsageError
from explicate.views import amounts
from explicate.views.amounts import OVERLAY_OPACITY, translucent
from explicate.views.canvas import Canvas, borders, canvas, explained_image, on_image, pillow, upright
from explicate.views.kinds.explained import Explained

if TYPE_CHECKING:
    import shap

    from explicate.described.usage import ImageUsage
    from explicate.results import ExplainResult, Feature, ImageSegment, Prediction, SegmentMap

_SHORTEST, _LONGEST = 384, 768  # pixels of the longer edge
_LISTED = 15  # segments with their places below the drawing
_SIDE_BY_SIDE = ("left", "", "right"), ("upper", "", "lower")


class ExplainedImage(Explained):
    """Features are segments, or the patches that the model itself reads."""

    end = "as it is"
    says_unread = False
    beside_heading = "where"
    csv_columns = ("pixels", "left", "top", "right", "bottom")

    @classmethod
    def explains(cls, result: ExplainResult) -> bool:
        return result.explanation.segment_map is not None

    @property
    def noun(self) -> str:
        """ "segment" or "patch"."""
        return "patch" if self.explanation.options.granularity == "patch" else "segment"

    def beside(self, feature: Feature) -> str:
        return place(self.result, feature)

    @property
    def unread(self) -> str:
        usage = self.result.prediction.image_usage
        return "" if usage is None else _cut(usage)

    @staticmethod
    def not_as_given(answer: Prediction) -> str:
        usage = answer.image_usage
        if usage is None or usage.frames <= 1:
            return ""
        return f"the file has {usage.frames:,} pictures: the model saw the first one only"

    def csv_cells(self, feature: Feature) -> tuple[object, ...]:
        """The pixels of a segment on the map, and its box on the upright image."""
        segment = whole(feature)
        if segment is None:
            return super().csv_cells(feature)
        left_top = on_image(self.result, segment.left, segment.top)
        return (segment.pixels, *left_top, *on_image(self.result, segment.right, segment.bottom))

    def drawer(self) -> Callable[[int], str]:
        """The drawing over a table of the strongest segments; where it cannot be drawn, why not over the table."""
        try:
            draw = self._svg()
        except UsageError as error:
            note = f'<p class="note">{escape(str(error))}</p>'
            return lambda output: note + self.table(output, most=_LISTED)
        return lambda output: draw(output) + self.table(output, most=_LISTED)

    def _svg(self) -> Callable[[int], str]:
        """What draws an output; what all outputs share is made once. Raises UsageError, as without Pillow."""
        drawn_on = canvas(self.result, shortest=_SHORTEST, longest=_LONGEST)
        _, shape = explained_image(self.result)
        regions = _regions(shape)
        (width, height), (left, top, right, bottom) = drawn_on.picture.size, drawn_on.box
        across, down = (right - left) / shape.width, (bottom - top) / shape.height
        before = (
            f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"'
            ' aria-label="The image, its segments coloured by what they add">'
            f'<image href="{_data_uri(drawn_on)}" width="{width}" height="{height}"/>'
            f'<g transform="translate({left} {top}) scale({across:.6g} {down:.6g})" shape-rendering="crispEdges">'
        )
        lines = "".join(f"M{x0} {y0}L{x1} {y1}" for x0, y0, x1, y1 in borders(shape))
        after = f'<path class="borders" d="{lines}"/></g></svg>'
        return lambda output: before + self._coloured(regions, output) + after

    def _coloured(self, regions: dict[int, str], output: int) -> str:
        largest = amounts.largest(self.explanation.attributions[output])
        return "".join(
            f'<path class="segment {amounts.sign(contribution.value)}"'
            f' fill="{translucent(contribution.value / largest, OVERLAY_OPACITY)}"'
            f' d="{regions.get(segment, "")}"><title>{escape(self.tooltip(contribution))}</title></path>'
            for segment, contribution in enumerate(self.explanation.contributions(output))
        )

    def to_shap(self, shap: Any, np: Any) -> shap.Explanation:
        """The `shap.Explanation` of an image that the model saw with h x w pixels, for m outputs.

        `values`, `lower_bounds`, `upper_bounds` and `error_std` are float64 [1, h, w, 1, m]: what a segment adds is
        spread evenly over its pixels, as shap's own image masker has it, so that for SHAP methods the values of all
        pixels sum to the output minus its base value. `base_values` is float64 [1, m], `data` uint8 [1, h, w, 3] the
        part of the image that the model saw, resized to its size. Raises UsageError when Pillow is not installed.
        """
        _, shape = explained_image(self.result)
        outputs = self.explanation.attributions
        ids = np.asarray(shape.ids, dtype=np.intp)
        sizes = np.bincount(ids, minlength=len(self.explanation.features) + 1)

        def spread(field: str) -> Any:
            of_outputs = [[*getattr(output, field), 0.0] for output in outputs]  # the last of what is fixed
            by_segment = np.array(of_outputs, dtype=np.float64).T  # [segments, m]
            by_pixel = (by_segment / np.maximum(sizes, 1)[:, None])[ids]  # [h * w, m]
            return by_pixel.reshape(1, shape.height, shape.width, 1, len(outputs))

        return shap.Explanation(
            values=spread("values"),
            base_values=np.array([[output.baseline_value for output in outputs]]),
            **self.shap_data(np),
            output_names=[output.name for output in outputs],
            lower_bounds=spread("lower"),
            upper_bounds=spread("upper"),
            error_std=spread("standard_errors"),
        )

    def shap_data(self, np: Any) -> dict[str, Any]:
        """`data` is the part of the image that the model saw, resized to its size, uint8 [1, h, w, 3]."""
        image, shape = explained_image(self.result)
        picture, usage = upright(image), self.result.prediction.image_usage
        seen = (0, 0, *picture.size) if usage is None else (usage.left, usage.top, usage.right, usage.bottom)
        pixels = picture.resize((shape.width, shape.height), pillow().Resampling.BILINEAR, box=seen)
        return {"data": np.asarray(pixels)[None]}


def whole(feature: Feature) -> ImageSegment | None:
    """A segment; of a group all of its segments as one."""
    parts = [part.segment for part in feature.parts if part.segment]
    if len(parts) < 2:
        return parts[0] if parts else None
    return replace(
        parts[0],
        pixels=sum(part.pixels for part in parts),
        left=min(part.left for part in parts),
        top=min(part.top for part in parts),
        right=max(part.right for part in parts),
        bottom=max(part.bottom for part in parts),
    )


def place(result: ExplainResult, feature: Feature) -> str:
    """Where a segment lies, such as "upper left, 0,0 to 96,64", the corners of its box on the upright image."""
    segment, shape = whole(feature), result.explanation.segment_map
    if segment is None or shape is None:
        return ""
    centre = ((segment.left + segment.right) / 2 / shape.width, (segment.top + segment.bottom) / 2 / shape.height)
    across, down = (names[min(int(share * 3), 2)] for names, share in zip(_SIDE_BY_SIDE, centre, strict=True))
    left, top = on_image(result, segment.left, segment.top)
    right, bottom = on_image(result, segment.right, segment.bottom)
    return f"{' '.join(filter(None, (down, across))) or 'middle'}, {left:.0f},{top:.0f} to {right:.0f},{bottom:.0f}"


def _cut(usage: ImageUsage) -> str:
    """What was cut off an image; empty when nothing was, but for half a pixel of rounding."""
    box = (usage.left, usage.top, usage.width - usage.right, usage.height - usage.bottom)
    if max(box) < 0.5:
        return ""
    seen = f"{usage.left:.0f},{usage.top:.0f} to {usage.right:.0f},{usage.bottom:.0f}"
    return f"the model saw the part from {seen} of {usage.width} x {usage.height} pixels"


def _regions(shape: SegmentMap) -> dict[int, str]:
    """The area of each segment as an SVG path on the map: a rectangle for each run of its pixels in a row."""
    paths: dict[int, list[str]] = {}
    for y in range(shape.height):
        x = 0
        for segment, run in groupby(shape.ids[y * shape.width : (y + 1) * shape.width]):
            length = sum(1 for _ in run)
            paths.setdefault(segment, []).append(f"M{x} {y}h{length}v1h-{length}z")
            x += length
    return {segment: "".join(parts) for segment, parts in paths.items()}


def _data_uri(drawn_on: Canvas) -> str:
    """The picture as JPEG; as PNG where it shows pixels as squares, which that keeps sharp and small."""
    kind, file = "png" if drawn_on.enlarged else "jpeg", io.BytesIO()
    drawn_on.picture.save(file, format=kind.upper(), **({} if drawn_on.enlarged else {"quality": 85}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
