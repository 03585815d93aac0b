"""Calls about images, with either client."""

from __future__ import annotations

import io
import os
import threading

import pytest

import explicate
from explicate.v1 import explanation_pb2 as pb
from support.canned import canned_images
from support.canned.canned_images import picture


def image(**options) -> explicate.Image:
    return explicate.Image(picture(**options), "beach.png")


def test_the_bytes_of_a_file_are_sent_as_they_are(ask, server, tmp_path):
    path = tmp_path / "beach.png"
    path.write_bytes(picture())
    ask("predict", "animals", [explicate.Image.open(path)])
    assert [item.image.content for item in server.requests[0].inputs] == [picture()]


def test_a_prediction_says_what_the_model_saw_of_an_image(ask):
    cat = image()
    prediction = ask("predict", "animals", [cat]).predictions[0]
    assert prediction.scores[1].probability == canned_images.cat_probability(cat.content)
    # The middle square of 40 x 20 pixels.
    assert prediction.image_usage == explicate.ImageUsage(40, 20, 10, 0, 30, 20, 1)
    assert (prediction.text_usage, prediction.labels) == (None, None)


def test_a_regression_of_images_answers_with_a_value(ask):
    bright = image()
    prediction = ask("predict", "brightness", [bright]).predictions[0]
    assert (prediction.value, prediction.index) == (len(bright.content), None)


def test_an_explanation_has_segments_and_their_map(ask, server):
    asked = image()
    result = ask("explain", "animals", asked)
    assert server.requests[0].spec.input.image.content == asked.content
    assert (result.image, result.text, result.row, result.text_pair) == (asked, "", None, None)
    first, *_, last = result.explanation.features
    assert first.segment == explicate.ImageSegment(id=0, pixels=12, left=0, top=0, right=4, bottom=3)
    assert last.segment == explicate.ImageSegment(id=3, pixels=12, left=4, top=3, right=8, bottom=6)
    assert (last.name, last.text, last.column) == ("segment 3", "", "")
    shape = result.explanation.segment_map
    assert (shape.width, shape.height, len(shape.ids)) == (8, 6, 48)
    assert shape.ids[:8] == (0, 0, 0, 0, 1, 1, 1, 1)
    assert shape.ids[-8:] == (2, 2, 2, 2, 3, 3, 3, 3)
    assert [c.feature.segment.id for c in result.explanation.top(2)] == [3, 2]


def test_options_of_images_are_sent_and_come_back(ask, server):
    result = ask("explain", "animals", image(), granularity="grid", masking="blur", segments=16)
    sent = server.requests[0].spec.options
    assert (sent.granularity, sent.masking, sent.segments) == (pb.GRANULARITY_GRID, pb.MASKING_BLUR, 16)
    assert len(sent.ListFields()) == 3
    options = result.explanation.options
    assert (options.granularity, options.masking, options.segments) == ("grid", "blur", 16)
    ask("explain", "animals", image(), **vars(options))
    assert server.requests[1].spec.options.segments == 16


@pytest.mark.parametrize(
    ("option", "name", "number"),
    [
        ("granularity", "slic", pb.GRANULARITY_SLIC),
        ("granularity", "quickshift", pb.GRANULARITY_QUICKSHIFT),
        ("granularity", "patch", pb.GRANULARITY_PATCH),
        ("masking", "mean", pb.MASKING_MEAN),
        ("masking", "grey", pb.MASKING_GREY),
    ],
)
def test_each_choice_of_images_has_its_number(ask, server, option, name, number):
    ask("explain", "animals", image(), **{option: name})
    assert getattr(server.requests[0].spec.options, option) == number


def test_an_image_model_is_described(ask):
    description = ask("get_model", "animals")
    assert description.status.kind == "image-classification"
    assert (description.image_width, description.image_height, description.patch_size) == (8, 6, 2)
    assert (description.limits.max_image_bytes, description.limits.max_image_pixels) == (100_000, 1_000_000)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (explicate.Image("beach.png"), "input.image.content"),
        (explicate.Image(bytearray(b"x")), "input.image.content"),
        (b"\x89PNG", "input"),
    ],
)
def test_what_is_no_image_cannot_be_sent(ask, server, value, path):
    with pytest.raises(explicate.InvalidArgument) as caught:
        ask("explain", "animals", value)
    assert [field for field, _ in caught.value.violations] == [path]
    assert server.requests == []


def test_bytes_and_paths_are_told_how_to_become_an_image(ask, tmp_path):
    for value in (b"\x89PNG", tmp_path):
        with pytest.raises(
            explicate.InvalidArgument, match=r"explicate\.Image\(bytes\) or explicate\.Image\.open\(path\)"
        ):
            ask("predict", "animals", [value])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "F"])
def test_a_picture_of_pil_is_an_image(ask, mode):
    from PIL import Image

    result = ask("explain", "animals", Image.new(mode, (8, 6)))
    assert isinstance(result.image, explicate.Image)
    with Image.open(io.BytesIO(result.image.content)) as sent:
        assert sent.size == (8, 6)


class TestOpen:
    def test_an_opened_file_is_its_bytes_and_its_name(self, tmp_path):
        (tmp_path / "a.png").write_bytes(b"bytes")
        opened = explicate.Image.open(tmp_path / "a.png")
        assert (opened.content, opened.name) == (b"bytes", str(tmp_path / "a.png"))
        assert "bytes" not in repr(opened)

    def test_the_largest_size_is_read_and_one_byte_more_refused(self, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(b"x" * 10)
        assert explicate.Image.open(path, max_bytes=10).content == b"x" * 10
        with pytest.raises(explicate.UsageError, match="larger than the limit of 9 bytes"):
            explicate.Image.open(path, max_bytes=9)

    def test_a_huge_file_is_refused_without_being_read(self, tmp_path):
        path = tmp_path / "huge.tiff"
        with path.open("wb") as file:
            os.truncate(file.fileno(), 1 << 40)  # sparse: a terabyte that no memory would hold
        with pytest.raises(explicate.UsageError, match="larger than the limit of 8,388,608 bytes"):
            explicate.Image.open(path)

    def test_what_cannot_be_read_is_named(self, tmp_path):
        (tmp_path / "empty.png").touch()
        for name, problem in (("missing.png", "No such file"), ("empty.png", "is empty"), ("", "Is a directory")):
            with pytest.raises(explicate.UsageError, match=problem):
                explicate.Image.open(tmp_path / name)

    def test_a_pipe_is_read_no_further_than_the_limit(self, tmp_path):
        path = tmp_path / "pipe"
        os.mkfifo(path)
        for size, fits in ((9, True), (10, False)):
            writer = threading.Thread(target=path.write_bytes, args=(b"x" * size,))
            writer.start()
            if fits:
                assert explicate.Image.open(path, max_bytes=9).content == b"x" * 9
            else:
                with pytest.raises(explicate.UsageError, match="limit of 9 bytes"):
                    explicate.Image.open(path, max_bytes=9)
            writer.join()
