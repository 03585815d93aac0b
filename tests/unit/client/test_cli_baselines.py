"""What --baseline says, by the kind of input that is explained, and how it is refused before anything is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.struct_pb2 import NULL_VALUE

import explicate as client
from explicate.scoring.batch_score import ScoreOptions
from explicate.v1 import baseline_pb2 as pb
from explicate.v1 import table_pb2 as table_pb
from support.canned.canned_images import picture

ROW = "age=34,income=,job=clerk,owner=yes"
CELLS = {
    "age": table_pb.Cell(number=34),
    "income": table_pb.Cell(missing=NULL_VALUE),
    "job": table_pb.Cell(category="clerk"),
    "owner": table_pb.Cell(category="true"),
}
PAIR = {"text": "It rains.", "text_pair": "The street is wet."}


@pytest.fixture
def sea(tmp_path: Path) -> Path:
    path = tmp_path / "sea.png"
    path.write_bytes(picture(colour="blue"))
    return path


def asked(explicate, server, *argv) -> pb.Baseline:
    code, _, err = explicate("explain", *argv)
    assert (code, err) == (0, "")
    return server.requests[-1].spec.options.baseline


def test_of_a_text_it_is_a_text_or_what_a_file_holds(explicate, server, tmp_path):
    review = tmp_path / "review.txt"
    review.write_text("Dull soup!\nCold.\n", encoding="utf-8")
    texts = ("--model", "reviews", "Great soup!")
    assert asked(explicate, server, *texts, "--baseline", "Dull soup!").text.text == "Dull soup!"
    assert asked(explicate, server, *texts, "--baseline", "{a text}").text.text == "{a text}"
    assert asked(explicate, server, *texts, "--baseline", f"@{review}").text.text == "Dull soup!\nCold."


def test_of_a_pair_it_is_a_pair(explicate, server, tmp_path):
    pair = ("--model", "entailment", "It snows.", "--text-pair", "It is cold.")
    sent = asked(explicate, server, *pair, "--baseline", json.dumps(PAIR))
    assert (sent.text.text, sent.text.text_pair) == tuple(PAIR.values())
    code, _, err = explicate("explain", *pair, "--baseline", '{"text": "It rains."}')
    assert (code, err) == (2, 'explicate: --baseline: a pair is {"text": "...", "text_pair": "..."}\n')


def test_of_a_row_it_is_the_name_of_a_group_or_a_row_typed_as_rows_are(explicate, server, tmp_path):
    rows = ("--model", "credit", "--row", ROW)
    assert asked(explicate, server, *rows, "--baseline", "approved").name == "approved"
    assert asked(explicate, server, *rows, "--baseline", ROW) == pb.Baseline(tabular=pb.BaselineRow(cells=CELLS))
    as_json = '{"age": 34, "income": null, "job": "clerk", "owner": true}'
    assert dict(asked(explicate, server, *rows, "--baseline", as_json).tabular.cells) == CELLS
    requests = len(server.requests)
    code, _, err = explicate("explain", *rows, "--baseline", "age=34,job=clerk")
    assert code == 2
    assert err == "explicate: --baseline: the row lacks the columns income, owner\n"
    assert len(server.requests) == requests + 1  # what the model reads was asked for, and no explanation


def test_of_an_image_it_is_a_file_or_a_colour(explicate, server, sea):
    images = ("--model", "animals", "--image", str(sea))
    assert asked(explicate, server, *images, "--baseline", "#ff8800").colour == "#ff8800"
    assert asked(explicate, server, *images, "--baseline", str(sea)).image.content == sea.read_bytes()
    assert asked(explicate, server, *images, "--baseline", f"@{sea}").image.content == sea.read_bytes()
    code, _, err = explicate("explain", *images, "--baseline", "gone.png")
    assert (code, err) == (2, "explicate: cannot read gone.png: No such file or directory\n")


def test_a_client_takes_what_it_explains_as_a_baseline_too(ask, server, sea):
    row = {"age": 34, "income": None, "job": "clerk", "owner": True}
    given = [
        ("reviews", "a", "b", pb.Baseline(text=pb.BaselineText(text="b"))),
        ("entailment", ("a", "b"), tuple(PAIR.values()), pb.Baseline(text=pb.BaselineText(**PAIR))),
        ("credit", row, "approved", pb.Baseline(name="approved")),
        ("credit", row, row, pb.Baseline(tabular=pb.BaselineRow(cells=CELLS))),
        ("animals", client.Image.open(sea), "#ff8800", pb.Baseline(colour="#ff8800")),
        (
            *("animals", client.Image.open(sea), client.Image.open(sea)),
            pb.Baseline(image=pb.BaselineImage(content=sea.read_bytes())),
        ),
    ]
    for model, value, baseline, wanted in given:
        ask("explain", model, value, baseline=baseline)
        assert server.requests[-1].spec.options.baseline == wanted
    with pytest.raises(client.InvalidArgument) as refused:
        ask("explain", "reviews", "a", baseline=7)
    assert [path for path, _ in refused.value.violations] == ["options.baseline"]


def test_a_scoring_run_is_another_one_with_another_picture_as_baseline(tmp_path):
    def told(content: bytes) -> object:
        how: client.ExplainOptions = {"method": "auto", "baseline": client.Image(content, "sea.png")}
        return ScoreOptions(model="animals", inputs=("a",), output=tmp_path, how=how).document()["explain"]

    assert json.dumps(told(b"1")) == json.dumps(told(b"1")) != json.dumps(told(b"2"))
