"""Images: files become the pixels that the model reads; segments of these become players.

Scaling and normalising are in the graph. A row of a coalition waits as the coalition itself, and becomes
pixels when its batch is formed: 256 rows of 224 x 224 would be 38 MB.
"""

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from explicate.options import PixelBox, PixelPolygon, Segment
from explicate.v1.bundle_pb2 import ImageSchema
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.images import (
    MASKINGS,
    MAX_SEGMENTS,
    Pixels,
    SegmentMap,
    UnreadableImage,
    check_head,
    even_grid,
    grid,
    hidden_pixels,
    read_image,
)
from explicate_bundle.model_inputs import ImageInput, ModelInput
from explicate_server.errors import Violation
from explicate_server.explain.game import Asked
from explicate_server.modalities.modality import (
    BaselineChoices,
    EncodedInput,
    Game,
    ImageUsage,
    Modality,
    SegmentPlayer,
    StandIn,
    Usage,
)
from explicate_server.modalities.parts import Part, PartProblem, Place, RegionProblem, covered
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import BUCKET_TOKENS, Row
from explicate_server.settings import Settings

# Quickshift takes 11 µs a pixel, so 3 s here, and nothing can stop it.
_MOST_QUICKSHIFT_PIXELS = 512 * 512
# lime 0.2.0.1 cuts images with these. The seed is the one that scikit-image takes by itself today, as lime's own is
# dropped on the way: it names the argument `random_seed`, which scikit-image no longer knows.
_LIME_QUICKSHIFT = {"kernel_size": 4, "max_dist": 200, "ratio": 0.2, "rng": 42}
# scikit-image's own weight of nearness against colour, then heavier ones: noise falls into dust at the first, which is
# swept together into a few segments or a single one.
_SLIC_COMPACTNESS = (10.0, 100.0, 1000.0)


def load_library() -> None:
    """Import what cuts images: half a second that the first explanation would wait, and other models do without."""
    import skimage.segmentation  # noqa: F401


def segmented(pixels: Pixels, granularity: str, *, segments: int, patch_size: int) -> SegmentMap:
    """intp[height, width], the segment of each pixel of uint8[height, width, 3]; every number from 0 on is there.

    Args:
        pixels: what the model reads.
        granularity: one of those that `granularities` gives.
        segments: about how many, for "slic" and "grid".
        patch_size: pixels of a patch's edge, for "patch".
    """
    height, width = pixels.shape[:2]
    match granularity:
        case "slic":
            return _slic(pixels, segments)
        case "quickshift":
            return _quickshift(pixels)
        case "patch":
            return grid(height, width, rows=math.ceil(height / patch_size), columns=math.ceil(width / patch_size))
        case _:
            return even_grid(height, width, segments)


def granularities(height: int, width: int, patch_size: int) -> tuple[str, ...]:
    """How images of a size can be cut, the default first; ``patch_size`` is 0 for a model that reads no patches."""
    patches = math.ceil(height / patch_size) * math.ceil(width / patch_size) if patch_size else 0
    offered = {
        "slic": True,
        "quickshift": height * width <= _MOST_QUICKSHIFT_PIXELS,
        "grid": True,
        "patch": 2 <= patches <= MAX_SEGMENTS,
    }
    return tuple(name for name, possible in offered.items() if possible)


def _slic(pixels: Pixels, segments: int) -> SegmentMap:
    """SLIC superpixels (Achanta et al., 2012); a grid where there is nothing to follow or too little room."""
    from skimage.segmentation import slic

    for compactness in _SLIC_COMPACTNESS:
        found = _numbered(slic(pixels, n_segments=segments, compactness=compactness, start_label=0))
        if max(2, segments // 2) <= found.max() + 1 <= MAX_SEGMENTS:
            return found
    return even_grid(pixels.shape[0], pixels.shape[1], segments)


def _quickshift(pixels: Pixels) -> SegmentMap:
    """Quick shift (Vedaldi and Soatto, 2008) as lime asks for it; a grid of four where it finds a single segment."""
    from skimage.segmentation import quickshift

    found = _numbered(quickshift(pixels, **_LIME_QUICKSHIFT))  # type: ignore[no-untyped-call]
    return found if found.max() else even_grid(pixels.shape[0], pixels.shape[1], 4)


def _numbered(labels: NDArray[np.integer]) -> SegmentMap:
    """The same segments with the numbers from 0 on, in the order of their labels."""
    return np.asarray(np.unique(labels, return_inverse=True)[1].reshape(labels.shape), dtype=np.intp)


# All rows of a model cost the same. The queue tells lengths apart in steps of this many.
ROW_LENGTH = BUCKET_TOKENS
# Until it is measured, this many pixels are assumed to cost as much as a token of a text: a patch of a ViT.
_PIXELS_OF_A_TOKEN = 16 * 16
# Two, so that a batch's own cost can be told from that of its rows.
_LEAST_BATCH_ROWS = 2


@dataclass(frozen=True)
class EncodedImage:
    """An image as the model sees it, and what of the file that is."""

    row: Row
    usage: ImageUsage
    unknown_category_columns: Sequence[str] = ()


@dataclass(frozen=True)
class _MaskedPixels:
    """The pixels of a coalition, not made yet."""

    hidden: Pixels  # [height, width, 3]
    difference: Pixels  # [height, width, 3], the bits in which the image differs from `hidden`
    segment_map: NDArray[np.intp]  # [height, width]
    present: NDArray[np.bool_]  # [players]

    def write(self, pixels: Pixels) -> None:
        """Bit by bit: 0.1 ms for 224 x 224, where choosing pixel by pixel takes four times as long."""
        kept = np.repeat(np.where(self.present, np.uint8(255), np.uint8(0))[:, np.newaxis], 3, axis=1)  # [players, 3]
        np.take(kept, self.segment_map, axis=0, out=pixels, mode="clip")
        np.bitwise_and(pixels, self.difference, out=pixels)
        np.bitwise_xor(pixels, self.hidden, out=pixels)


class ImageModality(Modality):
    """Images for one bundle."""

    input_type: type[ModelInput] = ImageInput
    field = "image"
    parts = (Segment, PixelBox, PixelPolygon)
    maskings: tuple[str, ...] = MASKINGS
    counted: tuple[str, ...] = ("slic", "grid")
    baselines = BaselineChoices(colours=True)
    max_length = ROW_LENGTH

    def __init__(self, schema: ImageSchema, *, max_image_bytes: int, max_image_pixels: int) -> None:
        self.row_bytes = schema.height * schema.width * 3
        self._schema = schema
        self._max_bytes = max_image_bytes
        self._max_pixels = max_image_pixels
        self.granularities: tuple[str, ...] = granularities(schema.height, schema.width, schema.patch_size)

    @classmethod
    def open(cls, bundle: VerifiedBundle, settings: Settings) -> Self:
        """With the limits of the settings."""
        load_library()
        return cls(
            bundle.manifest.image,
            max_image_bytes=settings.max_image_bytes,
            max_image_pixels=settings.max_image_pixels,
        )

    def batch_tokens(self, runtime: Runtime) -> int:
        """As many rows as have the pixels of what the runtime suggests for texts."""
        rows = runtime.batch_tokens * _PIXELS_OF_A_TOKEN // (self._schema.height * self._schema.width)
        return max(_LEAST_BATCH_ROWS, rows) * ROW_LENGTH

    def violations(self, value: ModelInput, path: str) -> list[Violation]:
        """What is wrong with an image. It is decoded for that: milliseconds, or a second for a very large one."""
        assert isinstance(value, ImageInput)
        try:
            self._read(value)
        except UnreadableImage as error:
            return [Violation(f"{path}.{self.field}.content", str(error))]
        return []

    def encode(self, value: ModelInput) -> EncodedImage:
        """Decode and resize."""
        assert isinstance(value, ImageInput)
        return self._read(value)

    def encode_all(self, values: Sequence[ModelInput]) -> list[EncodedImage] | None:
        """Decode and resize several images; None when something is wrong with one."""
        try:
            return [self.encode(value) for value in values]
        except UnreadableImage:
            return None

    @staticmethod
    def players_of(granularity: str | None, segments: int | None) -> str:
        """Such as "patch-segments", or "slic-segments-49"."""
        return f"{granularity}-segments" + (f"-{segments}" if segments else "")

    def game(
        self,
        value: ModelInput,  # noqa: ARG002
        encoded: EncodedInput,
        *,
        players: str,
        masking: str,
        stand_in: StandIn | None = None,
    ) -> Game:
        """The game whose players are segments."""
        granularity, _, segments = players.partition("-segments")
        pixels = encoded.row.values
        segment_map = segmented(
            pixels, granularity, segments=int(segments[1:] or 0), patch_size=self._schema.patch_size
        )
        hidden = hidden_pixels(pixels, segment_map, masking) if stand_in is None else _pixels_of(stand_in, pixels)
        return _SegmentGame(pixels, segment_map, hidden)

    def collate(self, rows: Sequence[Row]) -> Feeds:
        """Join rows to uint8[batch, height, width, 3]."""
        batch = np.empty((len(rows), self._schema.height, self._schema.width, 3), dtype=np.uint8)
        for pixels, row in zip(batch, rows, strict=True):
            if isinstance(row.values, _MaskedPixels):
                row.values.write(pixels)
            else:
                pixels[...] = row.values
        return {"pixels": batch}

    def _read(self, value: ImageInput) -> EncodedImage:
        if len(value.content) > self._max_bytes:
            problem = f"has {len(value.content):,} bytes; at most {self._max_bytes:,} are accepted"
            raise UnreadableImage(problem)
        check_head(value.content)
        image = read_image(value.content, self._schema, max_pixels=self._max_pixels)
        return EncodedImage(Row(ROW_LENGTH, image.pixels), ImageUsage(image.size, image.box, image.frames))


def _pixels_of(stand_in: StandIn, pixels: Pixels) -> Pixels:
    """Those of another image, or all of one colour, "#rrggbb"; uint8 of the same shape."""
    if stand_in.encoded is not None:
        other: Pixels = stand_in.encoded.row.values
        return other
    return np.full_like(pixels, tuple(bytes.fromhex(stand_in.colour.removeprefix("#"))))


class _SegmentGame(Game):
    """Players are segments; an absent one shows its mean colour, the image blurred, grey, or what stands in for it."""

    segment_map: NDArray[np.intp]
    players: Sequence[SegmentPlayer]

    def __init__(self, pixels: Pixels, segment_map: NDArray[np.intp], hidden: Pixels) -> None:
        self.segment_map = segment_map
        self.players = segment_players(segment_map)
        self._hidden = hidden
        self._difference = pixels ^ hidden
        self._drawn: Mapping[Part, int | None] = {}

    def joined(self, players: Sequence[int]) -> SegmentPlayer:
        """The segments as one, under the number of the first."""
        parts = [self.players[player] for player in players]
        lefts, tops, rights, bottoms = zip(*(part.box for part in parts), strict=True)
        box = (min(lefts), min(tops), max(rights), max(bottoms))
        return SegmentPlayer(parts[0].id, sum(part.pixels for part in parts), box)

    def grouped(self, groups: NDArray[np.intp]) -> list[SegmentPlayer]:
        """The segments of each group as one, numbered anew."""
        return segment_players(groups[self.segment_map])

    def places(self, part: Part) -> list[Place]:
        """The segment with a number, or the pixels of a region; nothing is left of a segment inside of one."""
        if part in self._drawn:
            drawn = self._drawn[part]
            return [] if drawn is None else [(drawn, 0)]
        assert isinstance(part, Segment)
        if not 0 <= part.id < len(self.players):
            raise PartProblem(f"is segment {part.id}; the image is cut into segments 0 to {len(self.players) - 1}")
        return [(part.id, 0)]

    def with_regions(self, owners: Sequence[Sequence[Part]], usage: Usage) -> Game:
        """What is absent looks as before, but the pixels of each region go and come together, and no longer with their
        segments; these keep their numbers.
        """
        if not any(isinstance(part, PixelBox | PixelPolygon) for parts in owners for part in parts):
            return self
        assert isinstance(usage, ImageUsage)
        drawn = drawn_regions(owners, self.segment_map, usage)
        numbers, segment_map = np.unique(drawn.ids, return_inverse=True)
        game = copy(self)
        game.segment_map = np.asarray(segment_map.reshape(drawn.ids.shape), np.intp)
        found = zip(segment_players(game.segment_map), numbers.tolist(), strict=True)
        game.players = [replace(player, id=number) for player, number in found]
        place_of = {number: place for place, number in enumerate(numbers.tolist())}
        game._drawn = {part: place_of.get(number) for part, number in drawn.numbers.items()}
        game.regions = sha256(drawn.ids.tobytes()).digest()
        return game

    def rows(self, coalitions: Asked) -> list[Row]:
        """One model row per coalition."""
        return [
            Row(ROW_LENGTH, _MaskedPixels(self._hidden, self._difference, self.segment_map, present))
            for present in coalitions
        ]


@dataclass(frozen=True)
class _Regions:
    """A segment map intp[height, width] with regions drawn on it, and the number that each part has there: a part of
    nothing but pixels of other parts has one that does not come.
    """

    ids: NDArray[np.intp]
    numbers: Mapping[Part, int]


def drawn_regions(owners: Sequence[Sequence[Part]], segment_map: NDArray[np.intp], usage: ImageUsage) -> _Regions:
    """The segments and regions of each owner; a region has a number after those of all segments.

    Raises:
        RegionProblem: see `Game.with_regions`.
    """
    segments, regions = int(segment_map.max()) + 1, 0
    ids, taken = segment_map.copy(), np.full(segment_map.shape, -1)
    numbers: dict[Part, int] = {}
    for owner, parts in enumerate(owners):
        for index, part in enumerate(parts):
            at = (owner, index)
            if isinstance(part, Segment):
                if not 0 <= part.id < segments:
                    raise RegionProblem(f"is segment {part.id}; the image is cut into segments 0 to {segments - 1}", at)
                pixels, number = segment_map == part.id, part.id
            else:
                assert isinstance(part, PixelBox | PixelPolygon)
                pixels, number = covered(part, ids.shape, usage.box), segments + regions
                regions += 1
                if not pixels.any():
                    raise RegionProblem(_outside(usage), at)
            shared = int((pixels & (taken != owner) & (taken >= 0)).sum())
            if shared:
                raise RegionProblem(f"has {shared:,} pixels that another group, or a fixed part, has as well", at)
            fresh = pixels & (taken < 0)
            taken[fresh] = owner
            ids[fresh] = number
            numbers[part] = number
    return _Regions(ids, numbers)


def _outside(usage: ImageUsage) -> str:
    (width, height), (left, top, right, bottom) = usage.size, usage.box
    return (
        f"covers no pixel that the model reads: the image has {width} x {height}, of which it reads the columns from "
        f"{left:g} to {right:g} and the rows from {top:g} to {bottom:g}"
    )


def segment_players(segment_map: NDArray[np.intp]) -> list[SegmentPlayer]:
    """The segments of intp[height, width] with their sizes and the boxes around them."""
    pixels = np.bincount(segment_map.ravel()).tolist()
    boxes = find_objects(segment_map + 1)  # it takes 0 for no segment
    return [
        SegmentPlayer(index, size, (columns.start, rows.start, columns.stop, rows.stop))
        for index, (size, (rows, columns)) in enumerate(zip(pixels, boxes, strict=True))
    ]
