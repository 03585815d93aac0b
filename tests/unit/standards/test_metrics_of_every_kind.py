"""All metrics of every kind of input and of what is predicted: figures that are finite, the same twice, or a reason."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explicate.errors import UsageError
from explicate.v1 import bundle_pb2
from explicate_bundle.model_inputs import ImageInput
from explicate_standards.evaluated_model import open_published
from explicate_standards.evaluation import chosen_metrics, evaluate, plan
from explicate_standards.held_out_rows import kind_of, read_rows
from explicate_standards.metrics.masked_accuracy import right_share
from explicate_standards.subject import Subject
from explicate_standards.told import as_document
from support.additive_table import additive_table
from support.measured_models import publish_texts, write_rows
from support.tiny_image_bundle import pictures, png, tiny_images
from support.tiny_table_bundle import tiny_table

TAGS = ("cat", "dog", "bird")


def tables(directory: Path, **made: Any) -> tuple[Path, list[dict[str, Any]]]:
    table = tiny_table(**made)
    numbers, codes = table.rows(4, seed=3)
    given = _given(table.labels, multi_label=table.multi_label)
    rows = [table.cells(row, code) for row, code in zip(numbers, codes, strict=True)]
    lines = [{"row": {name: cell for name, cell in row.items() if cell != "never seen"}, **given} for row in rows]
    return table.publish(directory, "model"), [line for line in lines if len(line["row"]) == len(table.columns)]


def images(directory: Path, **made: Any) -> tuple[Path, list[dict[str, Any]]]:
    model = tiny_images(**made)
    for number, picture in enumerate(pictures(2, height=20, width=30)):
        (directory / f"{number}.png").write_bytes(png(picture))
    given = _given(model.labels, multi_label=model.predicts == "MULTI_LABEL")
    return model.publish(directory, "model"), [{"image": f"{number}.png", **given} for number in range(2)]


def _given(labels: Sequence[str], *, multi_label: bool) -> dict[str, Any]:
    if multi_label:
        return {"labels": [labels[0], labels[2]]}
    return {"label": labels[1]} if labels else {"value": 1.5}


Made = Callable[..., tuple[Path, list[dict[str, Any]]]]
CASES: Mapping[str, tuple[Made, Mapping[str, Any]]] = {
    "table, classes": (tables, {}),
    "table, labels": (tables, {"multi_label": True}),
    "table, number": (tables, {"labels": ()}),
    "image, classes": (images, {"shortest_edge": 18}),
    "image, labels": (images, {"multi_label": True}),
    "image, number": (images, {"labels": ()}),
}
QUICK = ("masked_accuracy", "additive_r2", "comprehensiveness", "sufficiency", "effective_players", "stability")


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_metric_has_figures_or_a_reason(tmp_path: Path, case: tuple[Made, Mapping[str, Any]]) -> None:
    made, options = case
    folder, lines = made(tmp_path, **options)
    documents = []
    for again in range(2):
        model = open_published(folder)
        rows = read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=1)
        planned = plan(model, rows, chosen_metrics(QUICK))
        documents.append(as_document(evaluate(model, rows, planned, folder=tmp_path / f"partial{again}")))
    text = json.dumps(documents[0], allow_nan=False)
    assert text == json.dumps(documents[1])
    missing = {metric["id"] for metric in documents[0]["metrics"] if "missing" in metric}
    assert missing == (set() if model.kind.predicts.decisions else {"masked_accuracy"})


def test_a_bundle_that_is_additive_and_claims_so_keeps_its_claims(tmp_path: Path) -> None:
    """A sum over columns that rises with the numbers, and a column that it must not read."""
    rising = bundle_pb2.Monotone()
    table = additive_table(labels=(), forbidden=("sex",), slopes=np.ones(4), monotone=(("age", rising),))
    weights = np.abs(table.number_weights)  # rises with every number
    table = replace(table, number_weights=weights)
    numbers, codes = table.rows(4, seed=3, missing=0)
    rows = [table.cells(row, code) for row, code in zip(numbers, codes, strict=True)]
    lines = [{"row": {**row, "sex": sex}, "value": 1.0} for row, sex in zip(rows, ("f", "m", "f", None), strict=True)]
    model = open_published(table.publish(tmp_path, "losses"))
    inputs = read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=4)
    planned = plan(model, inputs, chosen_metrics(["additive_r2", "contradictions", "normalised_faithfulness"]))
    document = as_document(evaluate(model, inputs, planned, folder=tmp_path / "partial"))
    figures = {name: told["value"] for one in document["metrics"] for name, told in one["figures"].items()}
    assert figures["additive_r2.median"] == pytest.approx(1, abs=1e-6)
    assert figures["contradictions"] == 0
    assert figures["contradictions.monotone"] == figures["contradictions.forbidden_columns"] == 0
    assert figures["normalised_faithfulness"] == pytest.approx(1, abs=1e-5)


def test_edits_of_a_picture_keep_its_segments_and_what_is_right(tmp_path: Path) -> None:
    folder, lines = images(tmp_path, shortest_edge=18)
    model = open_published(folder)
    (row,) = read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=1).inputs
    kind, subject = kind_of(model), Subject(model, row)
    base = kind.base(subject)
    edited = base.like(next(kind.edits(base, base.generator(0))))
    assert base.game.segment_map is not None
    assert edited.game.segment_map is not None
    assert np.array_equal(base.game.segment_map, edited.game.segment_map)
    assert edited.output == base.output == subject.output


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("../outside.png", "outside of the folder"),
        ("/etc/passwd", "outside of the folder"),
        ("absent.png", "is not there"),
        (3, "the name of a file"),
        ("a\0b", "the name of a file"),
    ],
)
def test_a_file_outside_of_the_rows_folder_is_never_read(tmp_path: Path, name: Any, sentence: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside.png").write_bytes(png(pictures(1)[0]))
    model = open_published(tiny_images().publish(tmp_path, "model"))
    with pytest.raises(UsageError, match=sentence):
        read_rows(write_rows(inside / "rows.jsonl", [{"image": name}]), model, count=1)


def test_a_broken_picture_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(base64.b64decode("iVBORw0KGgo="))
    (tmp_path / "whole.png").write_bytes(png(pictures(1)[0]))
    model = open_published(tiny_images().publish(tmp_path, "model"))
    lines = [{"image": "broken.png"}, {"image": "whole.png"}]
    rows = read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=2)
    assert rows.unusable == 1
    assert isinstance(rows.inputs[0].value, ImageInput)


def test_a_long_text_is_measured_word_by_word_as_a_server_explains_it(tmp_path: Path) -> None:
    count = 300
    words = {f"w{number}": float(number == 0) for number in range(count)}
    model = open_published(publish_texts(tmp_path / "repository", words))
    lines = [{"text": " ".join(words), "label": "yes"}]
    (row,) = read_rows(write_rows(tmp_path / "rows.jsonl", lines), model, count=1).inputs
    subject = Subject(model, row)
    ends = np.stack([np.ones(subject.n, np.bool_), np.zeros(subject.n, np.bool_)])
    full, empty = subject.values(ends)
    assert subject.explained().groups is None
    assert subject.attributions.shape == (count,)
    assert subject.attributions.sum() == pytest.approx(full - empty)
    assert subject.attributions.argmax() == 0


def test_several_labels_are_right_by_their_share() -> None:
    decided = np.array([[True, False, True], [False, False, False]])
    assert right_share(decided, (0, 2)).tolist() == [1.0, pytest.approx(1 / 3)]
    assert right_share(np.array([1, 0, 1]), 1).tolist() == [1.0, 0.0, 1.0]
