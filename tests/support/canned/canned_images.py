"""Answers for images that follow from the request by simple formulas, for `canned_server`.

Model "animals" gives "cat" the probability of the file's size mod 10, over 10. It sees the middle square of the upright
image as 8 x 6 pixels, cut into 4 segments: upper left, upper right, lower left, lower right. Segment i is worth what
word i of a text is. Model "brightness" predicts the file's size in bytes.
"""

from __future__ import annotations

import io
from math import log

from PIL import Image, ImageOps

from explicate.v1 import bundle_pb2 as bundle_pb
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import inference_service_pb2 as inference_pb

CLASSIFIER, REGRESSION = "animals", "brightness"
MODELS = (CLASSIFIER, REGRESSION)
LABELS = ("dog", "cat")
TARGET = "bytes"
WIDTH, HEIGHT = 8, 6
MAX_BYTES = 100_000  # what GetModel says


def picture(width: int = 40, height: int = 20, *, colour: str = "seagreen", **options) -> bytes:
    """A file with one colour; `format` and what else Pillow's `save` takes."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, **{"format": "PNG", **options})
    return file.getvalue()


def bundle(model: str) -> bundle_pb.Bundle:
    return bundle_pb.Bundle(
        class_labels=LABELS if model == CLASSIFIER else (),
        target_name=TARGET if model == REGRESSION else None,
        image=bundle_pb.ImageSchema(width=WIDTH, height=HEIGHT, shortest_edge=8, patch_size=2),
        precision="fp32",
    )


def violations(content: bytes, path: str) -> list[tuple[str, str]]:
    try:
        Image.open(io.BytesIO(content)).close()
    except OSError:
        return [(f"{path}.image.content", "is no image")]
    return []


def cat_probability(content: bytes) -> float:
    return len(content) % 10 / 10


def prediction(model: str, content: bytes) -> inference_pb.Prediction:
    usage = _usage(content)
    if model == REGRESSION:
        return inference_pb.Prediction(regression=inference_pb.Regression(value=len(content)), image_usage=usage)
    cat = cat_probability(content)
    scores = [
        inference_pb.ClassScore(index=i, label=label, probability=p, logit=log(p + 0.1))
        for i, (label, p) in enumerate(zip(LABELS, (1 - cat, cat), strict=True))
    ]
    index = int(cat > 0.5)
    outcome = inference_pb.Classification(predicted_index=index, predicted_label=LABELS[index], scores=scores)
    return inference_pb.Prediction(classification=outcome, image_usage=usage)


def _usage(content: bytes) -> inference_pb.ImageUsage:
    with Image.open(io.BytesIO(content)) as opened:
        frames = getattr(opened, "n_frames", 1)
        width, height = ImageOps.exif_transpose(opened).size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return inference_pb.ImageUsage(
        width=width, height=height, left=left, top=top, right=left + side, bottom=top + side, frames=frames
    )


def features() -> list[explanation_pb.Feature]:
    half_width, half_height = WIDTH // 2, HEIGHT // 2
    corners = [(left, top) for top in (0, half_height) for left in (0, half_width)]
    return [
        explanation_pb.Feature(
            segment=explanation_pb.SegmentFeature(
                id=i,
                pixels=half_width * half_height,
                left=left,
                top=top,
                right=left + half_width,
                bottom=top + half_height,
            )
        )
        for i, (left, top) in enumerate(corners)
    ]


def segment_map() -> explanation_pb.SegmentMap:
    ids = [2 * (y >= HEIGHT // 2) + (x >= WIDTH // 2) for y in range(HEIGHT) for x in range(WIDTH)]
    return explanation_pb.SegmentMap(
        width=WIDTH,
        height=HEIGHT,
        encoding=explanation_pb.SEGMENT_ID_ENCODING_UINT16_LITTLE_ENDIAN,
        ids=b"".join(number.to_bytes(2, "little") for number in ids),
    )
