"""The views of an explained image: the picture, HTML, shap, and the words around it."""

from __future__ import annotations

import base64
import io
import math
import re
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import explicate
from explicate.views import explanation_text, kinds, wording
from explicate.views.canvas import borders, canvas, upright
from explicate.views.html import document, fragment
from explicate.views.kinds.explained_image import place
from explicate.views.look.palette import LOWERS_RGB, RAISES_RGB
from support.canned import canned_kinds
from support.canned.canned_images import picture
from support.canned.canned_server import word_value

WHITE = picture(640, 320, colour="white")  # the model sees the middle: columns 160 to 480
EXIF_ORIENTATION, TURNED_RIGHT = 0x0112, 6


def explained(content: bytes = WHITE, model: str = "animals", **options) -> explicate.ExplainResult:
    return canned_kinds.explained(explicate.Image(content, "beach.png"), model, **options)


def with_values(*values: float) -> explicate.ExplainResult:
    result = explained()
    attribution = replace(result.explanation.attributions[0], values=values)
    return replace(result, explanation=replace(result.explanation, attributions=(attribution,)))


def turned(content: bytes, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).save(file, format="PNG", exif=exif)
    return file.getvalue()


def excess(pixel: tuple[int, ...]) -> int:
    """How much more red than blue a pixel has: above 0 it raises, below it lowers."""
    return pixel[0] - pixel[2]


class TestPicture:
    def test_segments_have_the_colour_of_their_sign_and_the_strength_of_their_value(self):
        drawn = explained().to_image()
        # The middle of each segment on 640 x 320, of which 160..480 was seen; word i is worth (i + 1) / 100 * (-1)^i.
        upper_left, upper_right, lower_left, lower_right = (
            excess(drawn.getpixel(place)) for place in ((240, 80), (400, 80), (240, 240), (400, 240))
        )
        assert lower_left > upper_left > 0 > upper_right > lower_right

    def test_colour_is_mixed_in_by_the_share_of_the_strongest_value(self):
        drawn = with_values(1.0, -0.5, 0.0, math.nan).to_image()
        for at, hue, share in (((240, 80), RAISES_RGB, 1), ((400, 80), LOWERS_RGB, 0.5)):
            opacity = 0.72 * share
            expected = [255 * (1 - opacity) + part * opacity for part in hue]  # on white
            assert drawn.getpixel(at) == pytest.approx(expected, abs=2)
        assert drawn.getpixel((240, 240)) == drawn.getpixel((400, 240)) == (255, 255, 255)

    def test_what_the_model_did_not_see_is_dark(self):
        drawn = explained().to_image()
        assert all(sum(drawn.getpixel((x, 100))) < 300 for x in (0, 80, 158, 482, 639))
        assert all(sum(drawn.getpixel((x, 100))) > 300 for x in (162, 240, 400, 478))

    def test_borders_lie_between_the_segments_and_nowhere_else(self):
        plain = with_values(0.0, 0.0, 0.0, 0.0).to_image()
        # The map is 8 x 6 on 320 x 320 pixels: columns 160 + 40 i, rows 53.3 i; the cuts are at 4 and at 3.
        assert plain.getpixel((320, 40)) != (255, 255, 255)
        assert plain.getpixel((200, 160)) != (255, 255, 255)
        assert plain.getpixel((280, 40)) == plain.getpixel((200, 107)) == (255, 255, 255)

    def test_each_edge_between_different_ids_is_one_border(self):
        shape = explicate.SegmentMap(3, 2, (0, 0, 1, 0, 2, 1))
        assert sorted(borders(shape)) == [(1, 1, 1, 2), (1, 1, 2, 1), (2, 0, 2, 1), (2, 1, 2, 2)]

    def test_the_legend_is_below_on_white_with_both_colours(self):
        drawn = explained().to_image()
        assert drawn.width == 640
        assert 320 < drawn.height < 480
        strip = np.asarray(drawn)[320:].astype(int)
        balance = strip[..., 0] - strip[..., 2]
        assert (balance[:, :200].min(), balance[:, -200:].max()) < (-60, 1000)
        assert balance[:, -200:].max() > 60
        assert (strip[-1] == 255).all()

    @pytest.mark.parametrize(
        ("size", "drawn"), [((40, 20), (520, 260)), ((3200, 800), (1600, 400)), ((1, 1), (512, 512))]
    )
    def test_small_images_are_enlarged_and_large_ones_made_smaller(self, size, drawn):
        drawn_on = canvas(explained(picture(*size)), shortest=512, longest=1600)
        assert drawn_on.picture.size == drawn

    def test_an_image_is_drawn_upright(self):
        result = explained(turned(WHITE, TURNED_RIGHT))
        assert (result.prediction.image_usage.width, result.prediction.image_usage.height) == (320, 640)
        drawn_on = canvas(result, shortest=1, longest=1600)
        assert (drawn_on.picture.size, drawn_on.box) == ((320, 640), (0, 160, 320, 480))

    def test_a_second_output_has_a_picture_of_its_own(self):
        result = explained(target=explicate.ALL)
        first, second = (excess(result.to_image(output).getpixel((240, 240))) for output in (0, 1))
        assert first < 0 < second

    @pytest.mark.parametrize("label", ["naïve 猫", "a label of many words " * 30, ""])
    def test_any_label_can_be_drawn(self, label):
        result = explained()
        attribution = replace(result.explanation.attributions[0], class_label=label)
        explanation = replace(result.explanation, attributions=(attribution,))
        drawn = replace(result, explanation=explanation).to_image()
        assert drawn.width == 640
        assert drawn.height < 480

    def test_an_explanation_of_something_else_cannot_be_drawn(self):
        text = replace(explained(), image=None)
        with pytest.raises(explicate.UsageError, match="only an explanation of an image"):
            text.to_image()

    def test_bytes_that_are_no_image_are_told_by_name(self):
        broken = replace(explained(), image=explicate.Image(WHITE[:60], "half.png"))
        with pytest.raises(explicate.UsageError, match=r"half\.png cannot be drawn"):
            broken.to_image()

    def test_without_pillow_the_pip_line_is_told(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "PIL.Image", None)
        with pytest.raises(explicate.UsageError, match=re.escape("pip install 'explicate[cli]'")):
            explained().to_image()


class TestUpright:
    @pytest.mark.parametrize(
        ("mode", "colour", "expected"),
        [
            ("RGBA", (0, 0, 0, 0), (255, 255, 255)),
            ("LA", (0, 0), (255, 255, 255)),
            ("RGBA", (0, 0, 255, 255), (0, 0, 255)),
            ("L", 77, (77, 77, 77)),
            ("I;16", 0x4D80, (77, 77, 77)),
            ("1", 1, (255, 255, 255)),
            ("P", 0, (0, 0, 0)),
        ],
    )
    def test_every_mode_becomes_rgb_as_the_server_has_it(self, mode, colour, expected):
        file = io.BytesIO()
        Image.new(mode, (2, 2), colour).save(file, format="PNG")
        read = upright(explicate.Image(file.getvalue()))
        assert (read.mode, read.getpixel((0, 0))) == ("RGB", expected)

    def test_cmyk_and_float_files_become_rgb(self):
        for mode, colour, kind, expected in (("CMYK", (0, 0, 0, 255), "JPEG", 0), ("F", 0.5, "TIFF", 127)):
            file = io.BytesIO()
            Image.new(mode, (8, 8), colour).save(file, format=kind)
            read = upright(explicate.Image(file.getvalue()))
            assert read.getpixel((4, 4)) == pytest.approx((expected,) * 3, abs=2)


class TestHtml:
    def svg(self, result: explicate.ExplainResult) -> ElementTree.Element:
        (drawing,) = re.findall(r"<svg.*?</svg>", fragment(result))
        return ElementTree.fromstring(drawing)

    def test_the_image_is_inside_upright_and_without_the_bytes_that_were_given(self):
        content = turned(WHITE, TURNED_RIGHT)
        html = fragment(explained(content))
        kind, data = re.search(r'href="data:image/(png|jpeg);base64,([^"]+)"', html).groups()
        with Image.open(io.BytesIO(base64.b64decode(data))) as inside:
            assert (inside.size, inside.format) == ((320, 640), kind.upper())
        assert base64.b64encode(content).decode()[:100] not in html

    def test_each_segment_covers_its_own_pixels_of_the_map(self):
        *paths, _borders = self.svg(explained()).findall(".//path")
        cover = np.full((6, 8), -1)
        for segment, path in enumerate(paths):
            for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", path.get("d")):
                row = cover[int(y), int(x) : int(x) + int(length)]
                assert (row == -1).all()
                row[:] = segment
        assert tuple(cover.ravel()) == explained().explanation.segment_map.ids

    def test_each_segment_has_its_figures_and_its_colour(self):
        *paths, _borders = self.svg(explained()).findall(".//path")
        assert [path.find("title").text for path in paths[:2]] == [
            "segment 0: +0.010 (0.95 interval -0.010 to +0.030)",
            "segment 1: -0.020 (0.95 interval -0.040 to +0.000)",
        ]
        assert [path.get("fill") for path in paths[2:]] == ["rgba(230,97,1,0.540)", "rgba(33,102,172,0.720)"]

    def test_the_map_lies_on_the_box_that_the_model_saw(self):
        assert self.svg(explained()).find("g").get("transform") == "translate(160 0) scale(40 53.3333)"

    def test_the_strongest_segments_are_listed_with_their_place(self):
        lines = re.findall(r"<tr>(.*?)</tr>", fragment(explained()))
        cells = [re.sub(r"<[^>]*>", "|", line) for line in lines]
        assert "where" in cells[0]
        assert "lower right, 320,160 to 480,320" in cells[1]
        assert "-0.040" in cells[1]

    def test_hostile_names_are_escaped(self):
        result = explained()
        hostile = replace(result, image=replace(result.image, content=b"no image", name="<script>alert(1)</script>"))
        html = document([hostile])
        assert "<script" not in html
        assert "&lt;script&gt;alert(1)&lt;/script&gt; cannot be drawn" in html

    def test_without_pillow_there_are_the_figures_and_the_pip_line(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "PIL.Image", None)
        html = fragment(explained())
        assert "pip install &#x27;explicate[cli]&#x27;" in html
        assert "segment 3" in html
        assert "<svg" not in html


# shap itself still calls what matplotlib and numpy are about to change.
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.usefixtures("drawn_nowhere")
class TestShap:
    def test_the_pixels_of_a_segment_share_its_value(self):
        converted = explained().to_shap()
        assert converted.values.shape == (1, 6, 8, 1, 1)
        assert converted.values[0, 0, 0, 0, 0] == pytest.approx(word_value(0) / 12)  # 12 pixels each
        assert converted.values[0, 5, 7, 0, 0] == pytest.approx(word_value(3) / 12)
        instance = explained().explanation.attributions[0].instance_value
        assert converted.values.sum() + converted.base_values[0, 0] == pytest.approx(instance)

    def test_the_data_are_the_pixels_that_the_model_saw(self):
        half = Image.new("RGB", (640, 320), "red")
        half.paste("lime", (160, 0, 320, 320))
        half.paste("blue", (320, 0, 480, 320))
        file = io.BytesIO()
        half.save(file, format="PNG")
        data = explained(file.getvalue()).to_shap().data
        assert (data.shape, data.dtype) == ((1, 6, 8, 3), np.uint8)
        # Not at the edges, where resizing mixes in what lies beyond them.
        assert data[0, 0, 1].tolist() == [0, 255, 0]
        assert data[0, 5, 6].tolist() == [0, 0, 255]

    @pytest.mark.parametrize(("target", "titles"), [(None, ["cat"]), (explicate.ALL, ["dog", "cat"])])
    def test_image_plot_draws_every_output(self, target, titles):
        import matplotlib.pyplot as plt
        import shap

        converted = explained(target=target).to_shap()
        assert list(converted.output_names) == titles
        shap.plots.image(converted, show=False)
        figure = plt.gcf()
        assert [axes.get_title() for axes in figure.axes[1:-1]] == titles
        assert figure.axes[1].images[-1].get_array().tolist() == converted.values[0, :, :, 0, 0].tolist()
        figure.canvas.draw()


class TestWords:
    def test_places_are_told_on_the_upright_image(self):
        result = explained()
        told = [place(result, feature) for feature in result.explanation.features]
        assert told[0] == "upper left, 160,0 to 320,160"
        assert told[3] == "lower right, 320,160 to 480,320"

    @pytest.mark.parametrize(
        ("box", "words"),
        [
            ((3, 2, 5, 4), "middle"),
            ((0, 2, 2, 4), "left"),
            ((3, 0, 5, 2), "upper"),
            ((6, 4, 8, 6), "lower right"),
        ],
    )
    def test_places_are_in_thirds(self, box, words):
        feature = explicate.Feature(segment=explicate.ImageSegment(0, 4, *box))
        assert place(explained(), feature).partition(",")[0] == words

    def test_plain_text_lists_segments_with_their_place(self):
        heading, strongest, *_ = list(explanation_text.lines(explained(), 2))[-4:]
        assert heading.split()[:2] == ["SEGMENT", "WHERE"]
        assert re.split(r"\s{2,}", strongest)[:2] == ["segment 3", "lower right, 320,160 to 480,320"]

    def test_what_was_cut_off_is_told(self):
        assert "the model saw the part from 160,0 to 480,320 of 640 x 320 pixels" in wording.unread(explained())
        assert wording.unread(explained(picture(320, 320))) == ""

    def test_further_pictures_of_a_file_are_told(self):
        file = io.BytesIO()
        Image.new("RGB", (8, 8), "red").save(
            file, format="GIF", save_all=True, append_images=[Image.new("RGB", (8, 8), c) for c in ("blue", "lime")]
        )
        assert wording.unread(explained(file.getvalue())) == "the file has 3 pictures: the model saw the first one only"

    def test_features_are_called_by_what_they_are(self):
        assert kinds.explained(explained()).counted(4) == "4 segments"
        assert kinds.explained(explained(granularity="patch")).counted(2) == "2 patches"
        assert kinds.explained(explained(granularity="patch")).counted(1) == "1 patch"
