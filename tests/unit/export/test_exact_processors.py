"""What a server makes of an image is what transformers' own processors make of it, to the pixel, whatever its shape."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from explicate.errors import UsageError
from explicate_bundle.images import Preparation, decode
from explicate_training.image.processor import read_exactly
from support.families import write_pictures

_SIZE = {"height": 32, "width": 32}
PROCESSORS: dict[str, dict[str, Any]] = {
    "stretched": {"image_processor_type": "ViTImageProcessor", "size": _SIZE, "resample": 2},
    "stretched, Lanczos": {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 24, "width": 40},
        "resample": 1,
    },
    "shortest edge, cut": {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 37},
        "crop_size": _SIZE,
        "resample": 3,
    },
    "stretched, then cut": {
        "image_processor_type": "DeiTImageProcessor",
        "size": {"height": 37, "width": 37},
        "crop_size": _SIZE,
        "do_center_crop": True,
        "resample": 3,
    },
    "ConvNeXt below 384": {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 32},
        "crop_pct": 0.875,
    },
    "ConvNeXt from 384 on": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
    "nearest": {
        "image_processor_type": "MobileNetV2ImageProcessor",
        "size": {"shortest_edge": 40},
        "crop_size": _SIZE,
        "resample": 0,
    },
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_every_pixel_is_that_of_transformers(name: str, tmp_path: Path) -> None:
    settings = PROCESSORS[name]
    processor: Any = getattr(transformers, f"{settings['image_processor_type']}Pil")(**settings)
    found = read_exactly(processor.to_dict(), "a model").preparation
    assert Preparation.of(found.schema(0)) == found
    for path in sorted(write_pictures(tmp_path / "pictures", 6).iterdir()):
        image = decode(path.read_bytes())
        told = processor(images=image, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
        np.testing.assert_array_equal(found.pixels(image), np.moveaxis(told, 0, -1))


def test_a_rectangle_that_is_cut_afterwards_is_refused() -> None:
    settings = {"size": {"height": 40, "width": 50}, "crop_size": _SIZE, "do_center_crop": True, "do_normalize": False}
    with pytest.raises(UsageError, match="stretched to a rectangle before the middle is cut out"):
        read_exactly(settings, "a model")
