"""Images asked about by the client on a real server: what it draws lies where the server cut, on the image as given."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import explicate
from explicate.v1 import bundle_pb2
from explicate.views import explanation_text
from explicate.views.canvas import canvas, upright
from explicate.views.html import fragment
from explicate_bundle.images import read_image
from support.harness import running_server
from support.tiny_image_bundle import HEIGHT, WIDTH, pictures, png, tiny_images

EXIF_ORIENTATION = 0x0112
CUT = tiny_images(shortest_edge=24)  # of a square image the model sees a band across the middle


def saved(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, **{"format": "PNG", **options})
    return file.getvalue()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    CUT.publish(tmp_path, "animals")
    return tmp_path


async def explained(repository: Path, content: bytes, **options: Any) -> explicate.ExplainResult:
    async with running_server(repository) as running, explicate.AsyncClient(running.target) as client:
        return await client.explain("animals", explicate.Image(content, "a.png"), **options)


async def test_the_pixels_of_an_exact_explanation_sum_to_the_output(repository: Path) -> None:
    options = {"method": "exact-shap", "granularity": "grid", "segments": 6}
    result = await explained(repository, png(pictures(1, seed=3)[0]), target=explicate.ALL, **options)
    assert len(result.explanation.attributions) == 3
    for output, attribution in enumerate(result.explanation.attributions):
        total = attribution.instance_value - attribution.baseline_value
        assert sum(attribution.values) == pytest.approx(total, abs=1e-6)
        assert result.to_image(output).width >= 512
    assert fragment(result).count("<svg") == 3


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
async def test_shap_has_the_same_sum_pixel_by_pixel(repository: Path) -> None:
    result = await explained(
        repository, png(pictures(1, seed=3)[0]), method="exact-shap", granularity="grid", segments=6
    )
    attribution, converted = result.explanation.attributions[0], result.to_shap()
    assert converted.values.shape == (1, HEIGHT, WIDTH, 1, 1)
    assert converted.values.sum() == pytest.approx(attribution.instance_value - attribution.baseline_value, abs=1e-6)


async def test_the_colours_lie_on_the_part_of_the_upright_image_that_the_model_saw(repository: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    content = saved(Image.new("RGB", (96, 48), "white"), exif=exif)  # upright it is 48 x 96
    result = await explained(repository, content, granularity="grid", segments=4)
    # The shorter edge becomes 24, so the image 24 x 48, of which the middle 24 x 16 is seen: rows 32 to 64 of 96.
    assert result.prediction.image_usage == explicate.ImageUsage(48, 96, 0, 32, 48, 64, 1)
    drawn = canvas(result, shortest=1, longest=96)
    assert (drawn.picture.size, drawn.box) == ((48, 96), (0, 32, 48, 64))
    assert "0,32 to 48,64 of 48 x 96 pixels" in "\n".join(explanation_text.lines(result, 5))


async def test_a_value_and_several_labels_have_pictures(image_repository: Path) -> None:
    image = explicate.Image(png(pictures(1, seed=4)[0]))
    async with running_server(image_repository) as running, explicate.AsyncClient(running.target) as client:
        age, tags = [await client.explain(model, image, segments=6) for model in ("ages", "tags")]
    assert age.prediction.value is not None
    assert age.explanation.options.output_space == "value"
    assert tags.prediction.labels is not None
    assert len(tags.prediction.scores) == 3
    assert age.to_image().size[0] == tags.to_image().size[0] >= 512


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("RGB", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("I;16", "PNG")),
        *(("RGB", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "WEBP"), ("P", "GIF"), ("F", "TIFF"), ("RGB", "BMP")),
    ],
)
@pytest.mark.parametrize("orientation", [1, 5, 8])
def test_what_is_drawn_on_is_what_the_server_decodes(mode: str, kind: str, orientation: int) -> None:
    content = _file(mode, kind, orientation)
    drawn = np.asarray(upright(explicate.Image(content)))
    height, width = drawn.shape[:2]
    as_it_is = bundle_pb2.ImageSchema(width=width, height=height, resampling=bundle_pb2.RESAMPLING_NEAREST)
    read = read_image(content, as_it_is, max_pixels=10_000)
    assert read.size == (width, height)
    # Floats are rounded by the one and cut by the other.
    np.testing.assert_allclose(drawn.astype(int), read.pixels.astype(int), atol=1 if mode == "F" else 0)


def _file(mode: str, kind: str, orientation: int) -> bytes:
    noise = np.random.Generator(np.random.Philox(7)).integers(0, 256, (6, 9, 4), dtype=np.uint8)
    image = Image.fromarray(noise) if mode in ("RGBA", "LA") else Image.fromarray(noise[..., :3])
    if mode == "I;16":
        image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(noise[..., 0].astype(np.float32) / 255)
    elif mode != image.mode:
        image = image.convert(mode)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    return saved(image, format=kind, **({"exif": exif} if kind in ("PNG", "JPEG", "WEBP") else {}))
