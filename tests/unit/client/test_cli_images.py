"""The command line asked about images."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from explicate.cli import main, predict
from support.canned.canned_images import MAX_BYTES, cat_probability, picture
from support.command_line import documents, in_terminal

ANIMALS = ("--model", "animals")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Three images, and a file that is none and is not taken for one."""
    for name, colour, kind in (("b.png", "red", "PNG"), ("a.JPG", "blue", "JPEG"), ("c.gif", "lime", "GIF")):
        (tmp_path / name).write_bytes(picture(colour=colour, format=kind))
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


class TestPredict:
    def test_files_are_sent_and_named_in_the_answer(self, explicate, server, folder):
        names = [str(folder / name) for name in ("b.png", "a.JPG")]
        code, out, err = explicate("predict", *ANIMALS, "--image", *names)
        assert (code, err) == (0, "")
        sent = server.requests[-1].inputs
        assert [item.image.content for item in sent] == [Path(name).read_bytes() for name in names]
        answered = documents(out)
        assert [(d["input"], d["image"]) for d in answered] == [(1, names[0]), (2, names[1])]
        assert answered[0]["prediction"]["scores"][1]["probability"] == cat_probability(Path(names[0]).read_bytes())
        assert answered[0]["prediction"]["image_usage"]["left"] == 10

    def test_a_folder_gives_its_images_by_name(self, explicate, folder):
        _, out, _ = explicate("predict", *ANIMALS, "--image", str(folder))
        assert [Path(document["image"]).name for document in documents(out)] == ["a.JPG", "b.png", "c.gif"]

    def test_a_folder_without_images_is_refused_before_anything_is_asked_of_the_model(self, explicate, tmp_path):
        code, out, err = explicate("predict", *ANIMALS, "--image", str(tmp_path))
        assert (code, out) == (2, "")
        assert err == f"explicate: there is no image file in {tmp_path}\n"

    def test_images_come_from_json_lines_beside_them(self, explicate, folder):
        (folder / "sub").mkdir()
        (folder / "sub" / "d.png").write_bytes(picture(colour="black"))
        lines = [
            json.dumps({"image": "sub/d.png", "label": "cat"}),
            json.dumps({"image": str(folder / "b.png")}),
            "{",
            json.dumps({"text": "x"}),
            json.dumps({"image": "gone.png"}),
            json.dumps({"image": "a\0b"}),
            "[" * 100_000,
        ]
        (folder / "held_out.jsonl").write_text("\n".join(lines))
        code, out, err = explicate("predict", *ANIMALS, "--jsonl", str(folder / "held_out.jsonl"))
        assert code == 1
        assert ["error" in document for document in documents(out)] == [False, False, True, True, True, True, True]
        assert "is not JSON" in err
        assert 'has no image, as in {"image": "pictures/cat.png"}' in err
        assert "gone.png: No such file" in err
        assert "null" in err

    def test_images_that_cannot_be_used_are_named_and_the_others_answered(self, explicate, folder):
        (folder / "large.png").write_bytes(b"x" * (MAX_BYTES + 1))
        names = [str(folder / name) for name in ("b.png", "gone.png", "large.png", "notes.txt")]
        code, out, err = explicate("predict", *ANIMALS, "--image", *names)
        assert code == 1
        assert ["error" in document for document in documents(out)] == [False, True, True, True]
        _gone, large, no_image = err.splitlines()
        assert large.startswith(
            f"explicate: image 3 ({names[2]}): {names[2]} is larger than the limit of 100,000 bytes"
        )
        assert no_image == f"explicate: image 4 ({names[3]}): is no image"

    def test_many_images_go_in_calls_of_limited_size(self, explicate, server, folder, monkeypatch):
        size = (folder / "b.png").stat().st_size
        monkeypatch.setattr(predict, "FILE_BYTES_PER_CALL", 2 * size)
        code, out, _ = explicate("predict", *ANIMALS, "--image", *[str(folder / "b.png")] * 5)
        assert (code, len(documents(out))) == (0, 5)
        _what_it_reads, *calls = server.requests
        assert [len(call.inputs) for call in calls] == [2, 2, 1]

    def test_table_has_a_line_for_each_image_and_notes_beside(self, explicate, folder):
        Image.new("RGB", (8, 8), "red").save(
            folder / "d.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), "blue")]
        )
        names = [str(folder / "b.png"), str(folder / "d.gif")]
        _, out, err = explicate("predict", *ANIMALS, "--format", "text", "--image", *names)
        assert re.split(r"\s{2,}", out.splitlines()[0]) == ["LABEL", "PROBABILITY", "IMAGE"]
        assert err == f"explicate: image 2 ({names[1]}): the file has 2 pictures: the model saw the first one only\n"

    def test_of_a_long_path_the_table_shows_the_end(self, explicate, folder):
        below = folder / ("d" * 80)
        below.mkdir()
        (below / "cat.png").write_bytes(picture())
        _, out, _ = explicate("predict", *ANIMALS, "--format", "text", "--image", str(below))
        shown = out.splitlines()[1].split()[-1]
        assert (shown[0], len(shown)) == ("…", 60)
        assert shown.endswith("ddd/cat.png")

    def test_csv_has_the_name_of_the_file(self, explicate, folder):
        _, out, _ = explicate("predict", *ANIMALS, "--format", "csv", "--image", str(folder / "b.png"), "gone.png")
        answered, failed = csv.DictReader(io.StringIO(out))
        assert (answered["image"], answered["error"]) == (str(folder / "b.png"), "")
        assert answered["label"] in ("dog", "cat")
        assert (failed["image"], failed["label"]) == ("gone.png", "")
        assert "No such file" in failed["error"]

    def test_csv_of_a_regression_has_values(self, explicate, folder):
        name = str(folder / "b.png")
        _, out, _ = explicate("predict", "--model", "brightness", "--format", "csv", "--image", name)
        (row,) = csv.DictReader(io.StringIO(out))
        assert float(row["value"]) == (folder / "b.png").stat().st_size


class TestExplain:
    def test_json_has_segments_their_map_and_no_bytes(self, explicate, folder):
        name = str(folder / "b.png")
        code, out, _ = explicate("explain", *ANIMALS, "--segments", "16", "--image", name)
        (document,) = documents(out)
        assert code == 0
        assert document["image"] == name
        assert document["explanation"]["features"][3]["segment"] == {
            **{"id": 3, "pixels": 12, "left": 4, "top": 3},
            **{"right": 8, "bottom": 6},
        }
        assert len(document["explanation"]["segment_map"]["ids"]) == 48
        assert document["explanation"]["options"]["segments"] == 16
        assert not {"row", "text_pair"} & document.keys()

    def test_csv_has_the_box_of_each_segment_on_the_image(self, explicate, folder):
        _, out, _ = explicate("explain", *ANIMALS, "--format", "csv", "--image", str(folder / "b.png"))
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [row["feature"] for row in rows] == [f"segment {i}" for i in range(4)]
        last = rows[3]  # of the square from column 10 to 30 of 40 x 20 pixels
        assert [float(last[name]) for name in ("pixels", "left", "top", "right", "bottom")] == [12, 20, 10, 30, 20]

    def test_terminal_lists_segments_with_their_place(self, server, folder):
        code, written = in_terminal("explain", "--server", server.target, *ANIMALS, "--image", str(folder / "b.png"))
        assert code == 0
        assert all(part in written for part in ("segment 3", "where", "lower right, 20,10 to 30,20", "●"))


class TestModels:
    @pytest.mark.parametrize(
        ("model", "reads"),
        [
            ("animals", "images, as 8 x 6 pixels, in patches of 2"),
            ("entailment", "pairs of texts, 128 tokens at most"),
            ("reviews", "128 tokens at most"),
        ],
    )
    def test_what_a_model_reads_is_shown(self, explicate, model, reads):
        _, out, _ = explicate("models", "show", "--format", "text", model)
        lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in out.splitlines() if "  " in line)
        assert lines["reads"] == reads

    def test_the_limits_of_images_are_shown(self, explicate):
        _, out, _ = explicate("models", "show", "--format", "text", "animals")
        assert re.search(r"^bytes per image +100,000$", out, re.MULTILINE)
        assert "bytes per text" not in out


class TestOut:
    def test_one_image_is_drawn_to_one_file(self, explicate, folder, tmp_path):
        out = tmp_path / "new" / "why.png"
        code, _, err = explicate("explain", *ANIMALS, "--image", str(folder / "b.png"), "--out", str(out))
        assert (code, err) == (0, "")
        with Image.open(out) as drawn:
            assert (drawn.format, drawn.width) == ("PNG", 520)  # 40 pixels enlarged 13 times, to at least 512
        assert [path.name for path in out.parent.iterdir()] == ["why.png"]

    def test_an_older_picture_is_replaced(self, explicate, folder, tmp_path):
        out = tmp_path / "why.png"
        out.write_text("old")
        explicate("explain", *ANIMALS, "--image", str(folder / "b.png"), "--out", str(out))
        assert out.read_bytes().startswith(b"\x89PNG")

    def test_several_images_are_drawn_to_a_folder(self, explicate, folder, tmp_path):
        out = tmp_path / "drawn"
        code, *_ = explicate("explain", *ANIMALS, "--image", str(folder), str(folder / "b.png"), "--out", str(out))
        assert code == 0
        assert sorted(path.name for path in out.iterdir()) == ["0001-a.png", "0002-b.png", "0003-c.png", "0004-b.png"]

    def test_every_class_has_a_picture(self, explicate, folder, tmp_path):
        explicate(
            "explain", *ANIMALS, "--all-classes", "--image", str(folder / "b.png"), "--out", str(tmp_path / "out")
        )
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0001-b-0-dog.png", "0001-b-1-cat.png"]

    def test_images_of_json_lines_are_drawn(self, explicate, folder, tmp_path):
        (folder / "lines.jsonl").write_text('\n{"image": "b.png"}\n{"image": "gone.png"}\n')
        code, *_ = explicate(
            "explain", *ANIMALS, "--jsonl", str(folder / "lines.jsonl"), "--out", str(tmp_path / "drawn")
        )
        assert code == 1
        assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["0002-b.png"]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("some text", "--out", "a.png"), "--out draws images"),
            (("--image", "a.png", "b.png", "--out", "c.png"), "give a folder"),
            (("--image", "a.png", "--all-classes", "--out", "c.png"), "give a folder"),
            (("--image", ".", "--out", "c.png"), "give a folder"),
            (("--jsonl", "a.jsonl", "--out", "c.png"), "give a folder"),
            (("--image", "a.png", "--out", "c.jpeg"), "must end in .png, or be a folder"),
        ],
    )
    def test_an_out_that_cannot_take_it_is_refused_before_anything_is_asked(
        self, explicate, server, arguments, message
    ):
        code, out, err = explicate("explain", *ANIMALS, *arguments)
        assert (code, out, server.requests) == (2, "", [])
        assert message in err

    def test_rows_of_json_lines_are_not_drawn(self, explicate, tmp_path):
        (tmp_path / "rows.jsonl").write_text('{"age": 1, "income": 2, "job": "clerk", "owner": true}')
        code, _, err = explicate(
            *("explain", "--model", "credit", "--jsonl", str(tmp_path / "rows.jsonl")),
            *("--out", str(tmp_path / "drawn")),
        )
        assert code == 2
        assert "only an explanation of an image" in err

    def test_a_place_that_cannot_be_written_is_told(self, explicate, folder, tmp_path):
        (tmp_path / "file").touch()
        code, _, err = explicate(
            "explain", *ANIMALS, "--image", str(folder / "b.png"), "--out", str(tmp_path / "file" / "a.png")
        )
        assert code == 2
        assert f"cannot write {tmp_path / 'file' / 'a.png'}" in err


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("predict", ("--image FILE", "--text-pair TEXT", "--jsonl FILE", "pair", "folders")),
        ("explain", ("--image FILE", "--out PICTURE", "--segments N", "--masking", "quickshift", "patch", "blur")),
    ],
)
def test_help_tells_of_images_and_pairs(capsys, command, options):
    with pytest.raises(SystemExit):
        main.main([command, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert not [option for option in options if option not in told]


def test_out_without_pillow_is_refused_before_anything_is_asked(explicate, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    code, _, err = explicate("explain", *ANIMALS, "--image", "a.png", "--out", "b.png")
    assert (code, server.requests) == (2, [])
    assert "pip install 'explicate[cli]'" in err
