"""Images as pictures to draw an explanation on: upright, in pale grey, and dark where the model did not see them.

Pillow is imported here only when a picture is wanted: the client itself does not need it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from explicate.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from explicate.inputs import Image
    from explicate.results import ExplainResult, SegmentMap

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
    """The image, and which feature each pixel belongs to, by its place; one past the last for what is fixed.

    Raises UsageError for an explanation that is not of an image.
    """
    shape = result.explanation.segment_map
    if result.image is None or shape is None or not shape.ids or len(shape.ids) != shape.width * shape.height:
        raise UsageError("only an explanation of an image can be drawn over one, and this one does not have segments")
    if not result.image.content:
        raise UsageError(
            f"the JSON has only the name of the image ({result.image.name}): write it with to_json(files=True), or "
            "give the image again with dataclasses.replace(result, image=explicate.Image.open(path))"
        )
    places = result.explanation.segment_places
    return result.image, replace(shape, ids=tuple(places[segment] for segment in shape.ids))


def upright(image: Image) -> Picture:
    """The first picture of the file, upright as its EXIF says, transparent parts on white, as RGB.

    What the server does before it resizes. Raises UsageError for bytes that are not an image.
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
    """8 bits a value: the upper 8 of 16, floats in [0, 1] or [0, 255] scaled; other pictures as they are."""
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
    left, top = on_image(result, 0, 0)
    right, bottom = on_image(result, shape.width, shape.height)
    box = (
        *(round(left * size[0] / width), round(top * size[1] / height)),
        *(round(right * size[0] / width), round(bottom * size[1] / height)),
    )
    drawn = pil.blend(seen, pil.new("RGB", size, _UNSEEN_RGB), _UNSEEN_SHARE)
    drawn.paste(seen.crop(box), box[:2])
    return Canvas(drawn, box, enlarged=scale > 1)


def on_image(result: ExplainResult, x: float, y: float) -> tuple[float, float]:
    """A place on the segment map as one on the upright image; as it is when the server did not say what was seen."""
    usage, shape = result.prediction.image_usage, result.explanation.segment_map
    if usage is None or shape is None or not (shape.width and shape.height):
        return x, y
    across, down = (usage.right - usage.left) / shape.width, (usage.bottom - usage.top) / shape.height
    return usage.left + x * across, usage.top + y * down


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
