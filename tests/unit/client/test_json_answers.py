"""Answers as JSON and back, and what is refused on the way back."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import explicate
from explicate import ALL, Contrast, ExplainResult, Explanation, Prediction, PredictResult, TableResult, UsageError
from explicate.json_documents import dumps
from support.canned.canned_kinds import IMAGE, KINDS, TABLE, TEXT, explained
from support.command_line import documents

COLUMNS = {"age": [34.0, 60.5], "income": [None, 2.0], "job": ["clerk", None], "owner": [True, False]}


def told(value: object) -> str:
    """As text, because one NaN is not equal to another."""
    return repr(value)


def same(result: ExplainResult, **changes: object) -> ExplainResult:
    """With a standard error that is NaN and a bound that is infinite, which no canned answer has."""
    first, *rest = result.explanation.attributions
    width = len(first.values)
    odd = replace(first, standard_errors=(math.nan,) * width, upper=(math.inf,) * width, lower=(-math.inf,) * width)
    return replace(result, explanation=replace(result.explanation, attributions=(odd, *rest)), **changes)


class TestRoundTrip:
    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
    @pytest.mark.parametrize(
        "options",
        [{}, {"target": ALL, "quality": "full", "top_k": 2}, {"target": Contrast(0, 1)}],
        ids=["plain", "all", "contrast"],
    )
    def test_nothing_is_lost(self, kind, options):
        result = same(explained(kind.value, kind.model, **options))
        again = ExplainResult.from_json(result.to_json(files=True))
        assert told(again) == told(result)
        assert again.image == result.image
        assert (again.explanation.segment_map is None) == (kind is not IMAGE)
        if again.explanation.segment_map:
            assert again.explanation.segment_map.ids == result.explanation.segment_map.ids
        assert json.dumps(result.to_dict()) == result.to_json()

    @pytest.mark.parametrize("target", ["all", ALL, None, 1, Contrast("all", "great")], ids=repr)
    def test_a_class_called_all_is_not_all_classes(self, target):
        result = explained("a b", "reviews")
        options = replace(result.explanation.options, target=target)
        explanation = replace(result.explanation, options=options)
        assert Explanation.from_json(explanation.to_json()).options.target == target

    def test_a_lone_surrogate_and_every_other_character_come_back(self):
        result = replace(explained("a b", "reviews"), text="\ud800 \x00 汤 \N{FIRE} \u2028")
        assert ExplainResult.from_json(result.to_json()).text == result.text

    @pytest.mark.parametrize(
        ("value", "comes_back"),
        [
            (np.int64(3), 3),
            (np.float32(0.5), 0.5),
            (np.bool_(True), True),
            (pd.NA, None),
            (math.nan, None),
            (dt.date(2020, 12, 31), "2020-12-31"),
            (34, 34),
            ("Infinity", "Infinity"),
        ],
    )
    def test_cells_of_a_row_are_what_the_server_took_them_for(self, value, comes_back):
        result = replace(explained(TABLE.value, TABLE.model), row={"age": value})
        row = ExplainResult.from_json(result.to_json()).row
        assert row == {"age": comes_back}
        assert type(row["age"]) is type(comes_back)

    @pytest.mark.parametrize("model", ["credit", "progression", "grouped"])
    def test_tables_and_predictions_come_back_too(self, ask, model):
        table = ask("explain_table", model, COLUMNS, quality="full")
        assert told(TableResult.from_json(table.to_json())) == told(replace(table, columns=table.columns))
        assert told(TableResult.from_json(table.to_json()).row(1)) == told(table.row(1))
        predicted = ask("predict", model, [TABLE.value])
        assert told(PredictResult.from_dict(predicted.to_dict())) == told(predicted)
        assert told(Prediction.from_json(predicted.predictions[0].to_json())) == told(predicted.predictions[0])

    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
    def test_the_lines_of_the_command_line_are_read(self, explicate, kind, tmp_path):
        _, out, _ = explicate("explain", "--model", kind.model, *kind.arguments(tmp_path))
        (line,) = out.splitlines()
        again = ExplainResult.from_json(line)
        assert {"input": 1, **again.to_dict()} == documents(out)[0]

    @pytest.mark.parametrize("model", ["reviews", "credit", "animals"])
    def test_what_a_server_tells_of_a_model_comes_back(self, ask, model):
        described = ask("get_model", model)
        assert told(explicate.ModelDescription.from_json(described.to_json())) == told(described)
        assert explicate.ModelStatus.from_dict(described.status.to_dict()) == described.status

    def test_an_image_without_its_file_says_how_to_have_it(self):
        result = explained(IMAGE.value, IMAGE.model)
        again = ExplainResult.from_json(result.to_json())
        assert again.image.name == "beach.png"
        with pytest.raises(UsageError, match=r"only the name of the image \(beach.png\)"):
            again.to_image()
        assert replace(again, image=result.image).to_image().size == result.to_image().size

    def test_an_answer_of_before_a_field_was_there_is_read(self):
        document = explained("a b", "reviews").to_dict()
        del document["explanation"]["options"]["segments"]
        del document["final"]
        document["explanation"]["of_a_later_version"] = {"any": 1}
        assert ExplainResult.from_dict(document).explanation.options.segments is None


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "not the JSON of ExplainResult: Expecting value"),
            (None, "not the JSON of ExplainResult"),
            ("null", "must be an object, not null"),
            ("[1, 2]", "must be an object, not a list of 2"),
            ('{"text": "a"', "not the JSON of ExplainResult: Expecting"),
            (b"\xff\xfe", "not the JSON of ExplainResult"),
            ("[" * 100_000, "nested too deeply"),
            ("9" * 5_000, "not the JSON of ExplainResult"),
            ('{"error": {"code": "NOT_FOUND"}}', "prediction is missing"),
        ],
        ids=["empty", "nothing", "null", "list", "cut off", "no text", "nested", "long number", "an error's line"],
    )
    def test_what_is_not_an_answer(self, text, message):
        with pytest.raises(UsageError, match=message):
            ExplainResult.from_json(text)

    @pytest.mark.parametrize("part", [1 / 4, 1 / 2, 0.9, 0.99])
    def test_an_answer_that_is_cut_off(self, part):
        text = explained("a b c", "reviews").to_json()
        with pytest.raises(UsageError, match="not the JSON of ExplainResult"):
            ExplainResult.from_json(text[: int(len(text) * part)])

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            ("text", 3, 'text must be a text, not 3'),
            ("explanation.attributions.0.values.1", "x", r'attributions\[0\].values\[1\] must be a number, not "x"'),
            ("explanation.attributions.0.values.1", 10**400, "must be a number, not a number that is far too large"),
            ("explanation.attributions.0.values.1", True, "must be a number, not true"),
            ("explanation.attributions.0.values", [1.0], "has 3 features, and another number of values in attr"),
            ("explanation.evaluations", 1.5, "explanation.evaluations must be a whole number, not 1.5"),
            ("explanation.options.target", {"target": 0}, "options.target.reference is missing"),
            ("explanation.options.target", [1], "options.target must be .*, not a list of 1"),
            ("explanation.quality", None, "explanation.quality must be an object, not null"),
            ("prediction.index", 7, "prediction has index 7 and 2 scores"),
            ("prediction.scores.0.label", None, r"prediction.scores\[0\].label must be a text, not null"),
            ("image", {"name": "a", "content": "???"}, "image.* base64"),
        ],
    )  # fmt: skip
    def test_a_field_that_does_not_fit_is_named(self, path, value, message):
        document = explained("a b c", "reviews").to_dict()
        *way, last = path.split(".")
        held = document
        for step in way:
            held = held[int(step)] if step.isdecimal() else held[step]
        held[int(last) if last.isdecimal() else last] = value
        with pytest.raises(UsageError, match=f"^this does not tell an ExplainResult: .*{message}"):
            ExplainResult.from_dict(document)

    @pytest.mark.parametrize("ids", [[0] * 3, [99] * 48, [-1] * 48])
    def test_a_segment_map_that_does_not_fit(self, ids):
        document = explained(IMAGE.value, IMAGE.model).to_dict()
        document["explanation"]["segment_map"]["ids"] = ids
        with pytest.raises(UsageError, match="explanation has a segment_map of another size, or of other segments"):
            ExplainResult.from_dict(document)

    def test_a_table_with_rows_of_other_lengths(self, ask):
        document = ask("explain_table", "credit", COLUMNS).to_dict()
        with pytest.raises(UsageError, match="2 stop_reasons, and something else for another number of rows"):
            TableResult.from_dict({**document, "evaluations": [1]})

    def test_every_field_may_be_missing_or_null_and_no_other_error_comes(self):
        whole = explained(TABLE.value, TABLE.model, quality="full").to_dict()
        refused = []
        for document in _damaged(whole):
            try:
                ExplainResult.from_dict(document)
            except UsageError as error:
                refused.append(str(error))
        assert len(refused) > 300
        assert all(message.startswith("this does not tell an ExplainResult: ") for message in refused)


def _damaged(document: object):
    """The document with each of its parts taken away, or replaced by something else."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield {name: held for name, held in document.items() if name != key}
            yield from ({**document, key: other} for other in (None, [], {}, "x", -1, [[{}]]))
            yield from ({**document, key: changed} for changed in _damaged(value))
    elif isinstance(document, list) and document:
        yield from ([changed, *document[1:]] for changed in _damaged(document[0]))


def test_numbers_that_no_json_has_are_never_written():
    assert dumps([math.nan, math.inf, -math.inf, 1.0]) == '[null, "Infinity", "-Infinity", 1.0]'


class TestFrames:
    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
    def test_a_line_for_each_feature_of_each_output(self, kind):
        result = explained(kind.value, kind.model, target=ALL)
        frame = result.to_frame()
        count = len(result.explanation.features)
        assert len(frame) == 2 * count
        assert list(frame["class"]) == [kind.classes[0]] * count + [kind.classes[1]] * count
        assert list(frame["value"][:count]) == list(result.explanation.attributions[0].values)
        assert told(list(frame["upper"][count:])) == told(list(result.explanation.attributions[1].upper))
        assert list(frame.columns[-6:]) == [
            *("value", "standard_error", "lower", "upper", "baseline_value", "instance_value")
        ]  # fmt: skip

    def test_what_stands_beside_a_feature_is_that_of_its_kind(self):
        text = explained("a b c", "reviews").to_frame()
        assert [("a b c"[start:end]) for start, end in zip(text["start"], text["end"], strict=True)] == ["a", "b", "c"]
        assert "in_pair" not in text
        pair = explained(explicate.TextPair("a b", "c"), "entailment").to_frame()
        assert list(pair["in_pair"]) == [False, False, True]
        contrast = explained(TABLE.value, TABLE.model, target=Contrast(0, 1))
        row = contrast.to_frame()
        assert dict(zip(row["feature"], row["feature_value"], strict=True))["job"] == "clerk"
        assert set(row["against"]) == {contrast.explanation.attributions[0].reference_label}
        image = explained(IMAGE.value, IMAGE.model).to_frame()
        assert {"pixels", "left", "top", "right", "bottom"} <= set(image.columns)
        assert "start" not in image

    def test_predictions_are_a_line_each(self, ask):
        frame = ask("predict", "reviews", ["a", "b"]).to_frame()
        assert list(frame.columns) == ["label", "probability", "probability_other", "probability_great"]
        assert len(frame) == 2
        assert list(ask("predict", "progression", [TABLE.value]).to_frame().columns) == ["value"]
        packed = ask("predict_table", "credit", COLUMNS).to_frame()
        assert list(packed.columns) == ["label", "probability", "probability_good", "probability_bad"]

    def test_features_of_one_name_keep_a_line_each(self):
        result = explained("a b", "reviews")
        twice = tuple(replace(feature, text="a") for feature in result.explanation.features)
        frame = replace(result, explanation=replace(result.explanation, features=twice)).to_frame()
        assert list(frame["feature"]) == ["a", "a"]


class TestText:
    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)
    def test_a_result_says_what_the_command_line_prints(self, explicate, kind, tmp_path):
        _, out, _ = explicate("explain", "--format", "text", "--model", kind.model, *kind.arguments(tmp_path))
        assert str(explained(kind.value, kind.model)) == out.rstrip("\n")

    def test_what_is_left_out_is_said_without_a_flag(self):
        text = str(explained(" ".join("abcdefghijklmnopqr"), TEXT.model))
        assert text.endswith("and 3 more words with less (explanation.top(n) lists all)")

    def test_a_table_is_a_line_for_each_of_its_first_rows(self, ask):
        table = ask("explain_table", "credit", {name: values * 8 for name, values in COLUMNS.items()}, rows_per_call=2)
        first, *_, last = str(table).splitlines()
        assert first.startswith(f"{table.row(0).prediction.label} ")
        assert table.row(0).explanation.top(1)[0].feature.name in first
        assert last == "and 1 more row"

    def test_predictions_are_a_line_each(self, ask):
        assert str(ask("predict", "reviews", ["a", "b c"])).count("\n") == 1
