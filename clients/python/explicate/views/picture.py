"""Images as pictures to draw an explanation on: upright, in pale grey, what the model did not see in the dark.

Pillow is imported here only when a picture is wanted: the client itself needs none.

An explanation of an image as a picture: each segment coloured by what it adds, and a legend with the scale.

Orange raises and blue lowers the output, as in every view, told apart with every common kind of colour blindness. The
stronger the colour, the more a segment adds or takes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from explicate.errors import UsageError
from explicate.explanation import Attribution, SegmentMap
from explicate.inputs import Image
from explicate.results import ExplainResult
from explicate.views import words as wording
from explicate.views.words import LOWERS_RGB, RAISES_RGB

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_GREY_SHARE = 0.85  # colours of the picture's own would be taken for those of the values
_WHITE_SHARE = 0.45  # so that a colour looks about as strong on what is dark as on what is light
_UNSEEN_RGB, _UNSEEN_SHARE = (24, 24, 28), 0.75


@dataclass(frozen=True)
class Canvas:
    """A picture to draw on, and the box of it that the model saw: left, upper, right and lower edge in its pixels.

    enlarged: whether the image's own pixels are shown as squares.
    """

    picture: Picture
    box: tuple[int, int, int, int]
    enlarged: bool


def pillow() -> Any:  # Any: the module PIL.Image
    """`PIL.Image`; raises UsageError when Pillow is not installed."""
    try:
        import PIL.Image
    except ImportError as error:
        raise UsageError("drawing an image needs the Pillow package: pip install 'explicate[cli]'") from error
    return PIL.Image


def explained_image(result: ExplainResult) -> tuple[Image, SegmentMap]:
    """The image and its segments; raises UsageError for an explanation that is not of an image."""
    shape = result.explanation.segment_map
    if result.image is None or shape is None or not shape.ids or len(shape.ids) != shape.width * shape.height:
        raise UsageError("only an explanation of an image can be drawn over one, and this one has none with segments")
    return result.image, shape


def upright(image: Image) -> Picture:
    """The first picture of the file, upright as its EXIF says, transparent parts on white, as RGB.

    What the server does before it resizes. Raises UsageError for bytes that are no image.
    """
    pil = pillow()
    from PIL import ImageOps

    try:
        with pil.open(io.BytesIO(image.content)) as opened:
            picture = _eight_bit(ImageOps.exif_transpose(opened))
            if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
                over = picture.convert("RGBA")
                picture = pil.alpha_composite(pil.new("RGBA", over.size, "white"), over)
            return picture.convert("RGB")
    except UsageError:
        raise
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error and others
        what = image.name or "the image"
        raise UsageError(f"{what} cannot be drawn: Pillow cannot decode it ({type(error).__name__})") from error


def _eight_bit(picture: Picture) -> Picture:
    """Of grey values with 16 bits the upper 8, of floats in [0, 1] or [0, 255] as many; others as they are."""
    if picture.mode.startswith("I"):
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.mode == "F":
        _low, high = picture.getextrema()
        scale = 255.0 if isinstance(high, float) and high <= 1 else 1.0
        return picture.point(lambda value: value * scale).convert("L")
    return picture


def canvas(result: ExplainResult, *, shortest: int, longest: int) -> Canvas:
    """The image to draw on; its longer edge has from `shortest` to `longest` pixels."""
    pil = pillow()
    image, shape = explained_image(result)
    picture = upright(image)
    scale = _scale(max(picture.size), shortest, longest)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    # What is enlarged is shown by its own pixels, which is all there is.
    how = pil.Resampling.NEAREST if scale > 1 else pil.Resampling.LANCZOS
    seen = _pale(picture.resize(size, how))
    usage = result.prediction.image_usage
    width, height = (usage.width, usage.height) if usage else (shape.width, shape.height)
    left, top = wording.on_image(result, 0, 0)
    right, bottom = wording.on_image(result, shape.width, shape.height)
    box = (
        *(round(left * size[0] / width), round(top * size[1] / height)),
        *(round(right * size[0] / width), round(bottom * size[1] / height)),
    )
    drawn = pil.blend(seen, pil.new("RGB", size, _UNSEEN_RGB), _UNSEEN_SHARE)
    drawn.paste(seen.crop(box), box[:2])
    return Canvas(drawn, box, enlarged=scale > 1)


def borders(shape: SegmentMap) -> Iterator[tuple[int, int, int, int]]:
    """The edges between pixels of different segments: from (x, y) to (x, y) on the map, one pixel long."""
    for y in range(shape.height):
        for x in range(shape.width):
            place = y * shape.width + x
            own = shape.ids[place]
            if x and shape.ids[place - 1] != own:
                yield x, y, x, y + 1
            if y and shape.ids[place - shape.width] != own:
                yield x, y, x + 1, y


def _scale(longer: int, shortest: int, longest: int) -> float:
    """What brings the longer edge between the two; enlarged by a whole number, so that pixels stay alike."""
    if longer < shortest:
        return -(-shortest // longer)
    return min(1.0, longest / longer)


def _pale(picture: Picture) -> Picture:
    pil = pillow()
    grey = pil.blend(picture, picture.convert("L").convert("RGB"), _GREY_SHARE)
    paled: Picture = pil.blend(grey, pil.new("RGB", picture.size, "white"), _WHITE_SHARE)
    return paled


if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_SHORTEST, _LONGEST = 512, 1600  # pixels of the picture's longer edge: the legend can be read, the file stays small
_OPACITY = 0.72  # of the strongest segment, through which the image is still seen
_BORDER = (150, 150, 150, 190)  # seen on light and on dark images
_MOST_LINES = 3  # of words below the image
_INK, _PAPER = (40, 40, 40), (255, 255, 255)
_FONTS = ("DejaVuSans.ttf", "Arial.ttf", "Helvetica.ttc")  # where there are none, Pillow's own, which knows ASCII only


def picture(result: ExplainResult, output: int = 0) -> Picture:
    """The picture for `explanation.attributions[output]`; raises UsageError as `ExplainResult.to_image` says."""
    drawn_on = canvas(result, shortest=_SHORTEST, longest=_LONGEST)
    _, shape = explained_image(result)
    attribution = result.explanation.attributions[output]
    _colour(drawn_on, shape, attribution)
    _draw_borders(drawn_on, shape)
    return _with_legend(drawn_on.picture, attribution, result)


def _colour(canvas: Canvas, shape: SegmentMap, attribution: Attribution) -> None:
    scale = wording.largest(attribution)
    colours = [_rgba(value / scale) for value in attribution.values]
    layer = pillow().frombytes("RGBA", (shape.width, shape.height), b"".join(colours[segment] for segment in shape.ids))
    left, top, right, bottom = canvas.box
    _lay_over(canvas, layer.resize((max(right - left, 1), max(bottom - top, 1)), pillow().Resampling.NEAREST))


def _rgba(strength: float) -> bytes:
    if math.isnan(strength):
        return bytes(4)
    hue = RAISES_RGB if strength > 0 else LOWERS_RGB
    return bytes((*hue, round(min(abs(strength), 1.0) * _OPACITY * 255)))


def _draw_borders(canvas: Canvas, shape: SegmentMap) -> None:
    from PIL import ImageDraw

    left, top, right, bottom = canvas.box
    width, height = max(right - left, 1), max(bottom - top, 1)
    layer = pillow().new("RGBA", (width, height))
    draw = ImageDraw.Draw(layer)
    thick = max(round(max(width, height) / 800), 1)
    across, down = width / shape.width, height / shape.height
    for x0, y0, x1, y1 in borders(shape):
        draw.line((x0 * across, y0 * down, x1 * across, y1 * down), fill=_BORDER, width=thick)
    _lay_over(canvas, layer)


def _lay_over(canvas: Canvas, layer: Picture) -> None:
    canvas.picture.paste(layer, canvas.box[:2], layer)


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
    largest, places = wording.largest(attribution), wording.decimals(result)
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
    """The text in lines of so many pixels; what is over _MOST_LINES is left out."""
    words, lines = text.split(), [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]} ..."]
