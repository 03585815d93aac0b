"""An explanation of an image as a picture: each segment coloured by what it adds, and a legend with the scale.

Orange raises and blue lowers the output, as in every view. The stronger the colour, the more a segment adds or takes.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from explicate.views import amounts, wording
from explicate.views.amounts import OVERLAY_OPACITY
from explicate.views.canvas import Canvas, borders, canvas, explained_image, pillow
from explicate.views.look.palette import LOWERS_RGB, RAISES_RGB

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from explicate.results import Attribution, ExplainResult, SegmentMap

_SHORTEST, _LONGEST = 512, 1600  # pixels of the picture's longer edge: the legend can be read, the file stays small
_BORDER = (150, 150, 150, 190)  # seen on light and on dark images
_MOST_LINES = 3  # of words below the image
_INK, _PAPER = (40, 40, 40), (255, 255, 255)
_FONTS = ("DejaVuSans.ttf", "Arial.ttf", "Helvetica.ttc")  # else Pillow's own, which has ASCII only


def picture(result: ExplainResult, output: int = 0) -> Picture:
    """The picture for `explanation.attributions[output]`; raises UsageError as `ExplainResult.to_image` says."""
    drawn_on = canvas(result, shortest=_SHORTEST, longest=_LONGEST)
    _, shape = explained_image(result)
    attribution = result.explanation.attributions[output]
    _colour(drawn_on, shape, attribution)
    _draw_borders(drawn_on, shape)
    return _with_legend(drawn_on.picture, attribution, result)


def _colour(drawn_on: Canvas, shape: SegmentMap, attribution: Attribution) -> None:
    scale = amounts.largest(attribution)
    colours = [*(_rgba(value / scale) for value in attribution.values), bytes(4)]  # what is fixed has no colour
    layer = pillow().frombytes("RGBA", (shape.width, shape.height), b"".join(colours[segment] for segment in shape.ids))
    left, top, right, bottom = drawn_on.box
    _lay_over(drawn_on, layer.resize((max(right - left, 1), max(bottom - top, 1)), pillow().Resampling.NEAREST))


def _rgba(strength: float) -> bytes:
    if math.isnan(strength):
        return bytes(4)
    hue = RAISES_RGB if strength > 0 else LOWERS_RGB
    return bytes((*hue, round(min(abs(strength), 1.0) * OVERLAY_OPACITY * 255)))


def _draw_borders(drawn_on: Canvas, shape: SegmentMap) -> None:
    from PIL import ImageDraw

    left, top, right, bottom = drawn_on.box
    width, height = max(right - left, 1), max(bottom - top, 1)
    layer = pillow().new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    thick = max(round(max(width, height) / 800), 1)
    across, down = width / shape.width, height / shape.height
    for x0, y0, x1, y1 in borders(shape):
        draw.line((x0 * across, y0 * down, x1 * across, y1 * down), fill=_BORDER, width=thick)
    _lay_over(drawn_on, layer)


def _lay_over(drawn_on: Canvas, layer: Picture) -> None:
    drawn_on.picture.paste(layer, drawn_on.box[:2], layer)


def _with_legend(drawn: Picture, attribution: Attribution, result: ExplainResult) -> Picture:
    """The picture over a strip of paper: what is explained, and a bar from what lowers it to what raises it."""
    from PIL import ImageDraw

    text_px = max(round(drawn.width / 46), 12)
    margin, line = text_px, round(text_px * 1.5)
    lines = _wrapped(_sentence(attribution, result), _font(text_px), drawn.width - 2 * margin)
    bar_top = drawn.height + margin + line * len(lines) + margin // 3
    sheet = pillow().new("RGB", (drawn.width, bar_top + line + line + margin // 2), _PAPER)
    sheet.paste(drawn)
    draw = ImageDraw.Draw(sheet)
    for number, words in enumerate(lines):
        draw.text((margin, drawn.height + margin + number * line), words, fill=_INK, font=_font(text_px))
    _draw_scale(draw, attribution, result, (margin, bar_top, drawn.width - margin, bar_top + text_px), text_px)
    finished: Picture = sheet
    return finished


def _draw_scale(
    draw: Any, attribution: Attribution, result: ExplainResult, box: tuple[int, int, int, int], text_px: int
) -> None:
    left, top, right, bottom = box
    largest, places = amounts.largest(attribution), amounts.decimals(result)
    for x in range(left, right):
        strength = 2 * (x - left) / max(right - left - 1, 1) - 1
        *hue, opacity = _rgba(strength)
        share = opacity / 255
        draw.line((x, top, x, bottom), fill=tuple(round(part * share + 236 * (1 - share)) for part in hue))
    font, below = _font(text_px), bottom + text_px // 3
    for place, words, anchor in (
        (left, f"{-largest:.{places}f} lowers", "la"),
        ((left + right) // 2, "0", "ma"),
        (right, f"raises +{largest:.{places}f}", "ra"),
    ):
        draw.text((place, below), words, fill=_INK, font=font, anchor=anchor)


def _sentence(attribution: Attribution, result: ExplainResult) -> str:
    sentence = wording.outcome(attribution, result).replace("→", "to")
    predicted = result.prediction.label
    return sentence if predicted in ("", attribution.class_label) else f"{sentence}; predicted: {predicted}"


@cache
def _font(size: int) -> Any:  # Any: Pillow has a type for each kind of font
    from PIL import ImageFont

    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    """The text in lines of at most `width` pixels; what is over _MOST_LINES is left out."""
    words, lines = text.split(), [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]} ..."]
