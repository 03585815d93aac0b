"""Images become rows of pixels, segments become players, and absent segments show what the masking says."""

from itertools import pairwise, product

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage.segmentation import quickshift

from explicate.v1 import bundle_pb2
from explicate_bundle.images import MAX_SEGMENTS
from explicate_bundle.model_inputs import ImageInput
from explicate_server.modalities.image import ImageModality, granularities, segmented
from explicate_server.modalities.modality import ImageUsage, SegmentPlayer
from support.tiny_image_bundle import HEIGHT, PATCH_SIZE, WIDTH, cells_of_grid, mean_colours, pictures, png, tiny_images

PIXELS = pictures(1)[0]
VALUE = ImageInput(png(PIXELS))
SHAPES = [(1, 1), (1, 9), (8, 8), (16, 24), (61, 17), (96, 64)]


@pytest.fixture
def modality() -> ImageModality:
    return ImageModality(tiny_images().schema(), max_image_bytes=10_000, max_image_pixels=10_000)


def noise(height: int, width: int) -> np.ndarray:
    stream = np.random.Generator(np.random.Philox(3))
    return stream.integers(0, 256, (height, width, 3), dtype=np.uint8)


def flat(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 77, dtype=np.uint8)


def blocks(height: int, width: int) -> np.ndarray:
    return pictures(1, height=height, width=width)[0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("make", [noise, flat, blocks])
@pytest.mark.parametrize("granularity", ["slic", "quickshift", "grid", "patch"])
def test_every_pixel_has_a_segment_and_every_number_is_there(granularity: str, make, shape: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    pixels = make(*shape)
    for segments in (2, 9, 49, 1024):
        found = segmented(pixels, granularity, segments=segments, patch_size=min(shape))
        assert found.shape == shape
        numbers = np.unique(found)
        np.testing.assert_array_equal(numbers, np.arange(len(numbers)))
        least = 1 if shape == (1, 1) or (granularity == "patch" and shape[0] == shape[1]) else 2
        assert least <= len(numbers) <= MAX_SEGMENTS
        np.testing.assert_array_equal(found, segmented(pixels, granularity, segments=segments, patch_size=min(shape)))


@pytest.mark.parametrize("make", [noise, flat, blocks])
@pytest.mark.parametrize("segments", [4, 9, 49, 200])
def test_slic_and_grid_have_about_as_many_segments_as_are_asked_for(make, segments: int) -> None:  # type: ignore[no-untyped-def]
    for granularity in ("slic", "grid"):
        found = segmented(make(90, 130), granularity, segments=segments, patch_size=0)
        assert segments / 2 <= found.max() + 1 <= 2 * segments


def test_a_grid_is_as_square_as_can_be() -> None:
    np.testing.assert_array_equal(segmented(PIXELS, "grid", segments=6, patch_size=0), cells_of_grid(rows=2, columns=3))
    np.testing.assert_array_equal(
        segmented(PIXELS, "patch", segments=0, patch_size=PATCH_SIZE), cells_of_grid(rows=2, columns=3)
    )
    long = segmented(flat(4, 400), "grid", segments=50, patch_size=0)
    assert (len(np.unique(long[:, 0])), len(np.unique(long[0]))) == (1, 50)
    odd = segmented(flat(7, 10), "grid", segments=9, patch_size=0)
    assert np.unique(odd, return_counts=True)[1].min() >= 6


def test_slic_keeps_to_the_borders_that_there_are() -> None:
    halves = flat(60, 60)
    halves[:, 23:] = (200, 30, 30)
    found = segmented(halves, "slic", segments=16, patch_size=0)
    assert not set(np.unique(found[:, :23])) & set(np.unique(found[:, 23:]))


def test_quickshift_cuts_as_lime_does_by_default() -> None:
    from lime.wrappers.scikit_image import SegmentationAlgorithm

    pixels = blocks(64, 80)
    # As lime_image.explain_instance makes it.
    lime = SegmentationAlgorithm("quickshift", kernel_size=4, max_dist=200, ratio=0.2, random_seed=9)
    found = segmented(pixels, "quickshift", segments=0, patch_size=0)
    np.testing.assert_array_equal(found, np.unique(lime(pixels), return_inverse=True)[1].reshape(found.shape))
    assert found.max() + 1 == len(np.unique(quickshift(pixels, kernel_size=4, max_dist=200, ratio=0.2)))


def test_patches_are_offered_by_models_that_have_a_few(modality: ImageModality) -> None:
    assert modality.granularities == ("slic", "quickshift", "grid", "patch")
    for size, patch in ((64, 0), (64, 64), (512, 8)):
        schema = bundle_pb2.ImageSchema(width=size, height=size, patch_size=patch)
        other = ImageModality(schema, max_image_bytes=1, max_image_pixels=1)
        assert other.granularities == ("slic", "quickshift", "grid")


def test_quickshift_is_not_offered_where_it_takes_too_long() -> None:
    assert "quickshift" in granularities(512, 512, 0)
    assert granularities(512, 513, 32) == ("slic", "grid", "patch")


def test_an_image_becomes_a_row_of_the_graphs_input(modality: ImageModality) -> None:
    encoded = modality.encode(VALUE)
    feeds = modality.collate([encoded.row, encoded.row])
    np.testing.assert_array_equal(feeds["pixels"], [PIXELS, PIXELS])
    assert feeds["pixels"].dtype == np.uint8
    assert encoded.usage == ImageUsage((WIDTH, HEIGHT), (0, 0, WIDTH, HEIGHT), 1)
    assert encoded.row.count == 1
    assert encoded.row.length == modality.max_length


def test_bad_images_are_named_with_their_path(modality: ImageModality) -> None:
    for content, problem in (
        (b"", "is empty"),
        (b"GIF89a", "is a GIF file that breaks off in its header"),
        (VALUE.content + b"\0" * 10_000, f"has {10_000 + len(VALUE.content):,} bytes; at most 10,000 are accepted"),
        (png(flat(101, 100)), "declares 100 x 101 pixels; at most 10,000 are accepted"),
    ):
        (violation,) = modality.violations(ImageInput(content), "inputs[3]")
        assert violation.field == "inputs[3].image.content"
        assert violation.description.startswith(problem)
        assert modality.encode_all([VALUE, ImageInput(content)]) is None
    assert modality.violations(VALUE, "input") == []
    together = modality.encode_all([VALUE, VALUE])
    assert together is not None
    np.testing.assert_array_equal(together[1].row.values, PIXELS)


def test_equal_files_have_equal_digests_and_others_do_not() -> None:
    assert ImageInput(png(PIXELS)).digest == VALUE.digest
    assert ImageInput(png(PIXELS[::-1])).digest != VALUE.digest


@pytest.mark.parametrize("players", ["grid-segments-6", "patch-segments", "slic-segments-9", "quickshift-segments"])
@pytest.mark.parametrize("masking", ["mean", "blur", "grey"])
def test_absent_segments_show_what_the_masking_says(modality: ImageModality, players: str, masking: str) -> None:
    game = modality.game(VALUE, modality.encode(VALUE), players=players, masking=masking)
    segments = game.segment_map
    assert segments is not None
    hidden = {
        "mean": mean_colours(PIXELS, segments),
        "grey": np.full_like(PIXELS, 128),
        "blur": np.asarray(Image.fromarray(PIXELS).filter(ImageFilter.GaussianBlur(HEIGHT / 10))),
    }[masking]
    stream = np.random.Generator(np.random.Philox(5))
    coalitions = stream.random((40, len(game.players))) < 0.5
    coalitions[0], coalitions[1] = True, False
    pixels = modality.collate(game.rows(coalitions))["pixels"]
    np.testing.assert_array_equal(pixels[0], PIXELS)
    np.testing.assert_array_equal(pixels[1], hidden)
    for coalition, shown in zip(coalitions, pixels, strict=True):
        present = coalition[segments]
        np.testing.assert_array_equal(shown[present], PIXELS[present])
        np.testing.assert_array_equal(shown[~present], hidden[~present])
    assert game.weights.tolist() == [1.0]


def test_players_know_their_pixels_and_their_box(modality: ImageModality) -> None:
    game = modality.game(VALUE, modality.encode(VALUE), players="grid-segments-6", masking="mean")
    assert game.players == [
        SegmentPlayer(3 * row + column, 64, (8 * column, 8 * row, 8 * column + 8, 8 * row + 8))
        for row, column in product(range(2), range(3))
    ]
    slic = modality.game(VALUE, modality.encode(VALUE), players="slic-segments-12", masking="mean")
    assert slic.segment_map is not None
    for player in slic.players:
        assert isinstance(player, SegmentPlayer)
        rows, columns = np.nonzero(slic.segment_map == player.id)
        assert player.pixels == len(rows)
        assert player.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_groups_of_segments_are_segments(modality: ImageModality) -> None:
    game = modality.game(VALUE, modality.encode(VALUE), players="grid-segments-6", masking="mean")
    upper, lower = game.grouped(np.array([0, 0, 0, 1, 1, 1]))
    assert upper == SegmentPlayer(0, 192, (0, 0, 24, 8))
    assert lower == SegmentPlayer(1, 192, (0, 8, 24, 16))
    assert game.grouped(np.arange(6)) == game.players


def test_coalitions_that_wait_take_no_pixels(modality: ImageModality) -> None:
    game = modality.game(VALUE, modality.encode(VALUE), players="grid-segments-6", masking="mean")
    rows = game.rows(np.ones((256, 6), dtype=np.bool_))
    assert all(one.values.difference is other.values.difference for one, other in pairwise(rows))
    assert all(one.values.hidden is other.values.hidden for one, other in pairwise(rows))


class _Runtime:
    def __init__(self, batch_tokens: int) -> None:
        self.name, self.precision, self.lanes, self.batch_tokens = "test", "fp32", 1, batch_tokens

    def run(self, feeds: object) -> np.ndarray:
        raise NotImplementedError


@pytest.mark.parametrize(("edge", "tokens", "rows"), [(8, 384, 1536), (32, 384, 96), (224, 384, 2), (224, 16384, 83)])
def test_a_batch_is_bounded_by_pixels(edge: int, tokens: int, rows: int) -> None:
    schema = bundle_pb2.ImageSchema(width=edge, height=edge)
    modality = ImageModality(schema, max_image_bytes=1, max_image_pixels=1)
    assert modality.batch_tokens(_Runtime(tokens)) == rows * modality.max_length
