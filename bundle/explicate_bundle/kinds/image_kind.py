"""Bundles of models that read images.

``golden.npz`` holds ``contents`` uint8[bytes], all image files one after the other, and ``content_offsets``
int64[images + 1], where each begins and ends.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any  # arrays of several types

from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.files.array_files import pack_bytes, unpack_bytes
from explicate_bundle.images import MAX_EDGE, MAX_SHORTEST_EDGE
from explicate_bundle.kinds.kind import Arrays, Check, InputTalk
from explicate_bundle.model_inputs import ImageInput, ModelInput

_CONTENTS, _OFFSETS = "contents", "content_offsets"


class ImageKind:
    """See :class:`explicate_bundle.kinds.kind.InputKind`."""

    name = "image"
    number: int = bundle_pb2.INPUT_KIND_IMAGE
    field = "image"
    talk = InputTalk(
        "image",
        "images",
        "looks at a picture",
        "places in the picture",
        "taken in another way, of other things, or of much worse quality",
    )
    plural = "images"
    outputs_array = "outputs"
    attributed_array = "attribution_images"
    has_segments = True

    def files(self, manifest: bundle_pb2.Bundle) -> Sequence[str]:  # noqa: ARG002
        """None: all that the model makes of an image is in the graph and the manifest."""
        return []

    def checks(self, manifest: bundle_pb2.Bundle) -> Iterator[Check]:
        """What must hold of the sizes that the model reads."""
        image = manifest.image
        yield 1 <= image.width <= MAX_EDGE, f"image.width is {image.width}"
        yield 1 <= image.height <= MAX_EDGE, f"image.height is {image.height}"
        yield 0 <= image.shortest_edge <= MAX_SHORTEST_EDGE, f"image.shortest_edge is {image.shortest_edge}"
        edge = image.shortest_edge
        cut = edge >= max(image.width, image.height)
        yield cut or not image.stretched, f"image.stretched with an image.shortest_edge of {edge}"
        known = image.resampling in bundle_pb2.Resampling.values() and image.resampling
        yield bool(known), f"image.resampling {image.resampling} is not known"
        patch = image.patch_size
        yield 0 <= patch <= min(image.width, image.height), f"image.patch_size is {patch}"

    def check_contents(self, folder: Path, manifest: bundle_pb2.Bundle) -> None:
        """It has no files of its own."""

    def pack(self, inputs: Sequence[ModelInput], manifest: bundle_pb2.Bundle) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """The files."""
        return pack_bytes([value.content for value in inputs if isinstance(value, ImageInput)], _CONTENTS, _OFFSETS)

    def unpack(self, arrays: Arrays, manifest: bundle_pb2.Bundle) -> tuple[ModelInput, ...]:  # noqa: ARG002
        """The files."""
        return tuple(map(ImageInput, unpack_bytes(arrays, _CONTENTS, _OFFSETS)))


IMAGE = ImageKind()
