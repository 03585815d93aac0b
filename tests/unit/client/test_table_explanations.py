"""`explain_table` of both clients: what is sent, in how many calls, and the packed answer."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import explicate
from explicate._wire.table_calls import TableCalls
from explicate.errors import Aborted, InvalidArgument, Unavailable, UsageError
from explicate.table_results import TableResult
from explicate.v1 import inference_service_pb2 as inference_pb
from support.canned.canned_server import word_value
from support.canned.canned_tables import TARGET
from support.scored_models import CREDIT

TABLE = {"age": [34.0, 60.5], "income": [None, 2.0], "job": ["clerk", None], "owner": [True, False]}
LONG = {
    "age": [float(number) for number in range(1, 9)],
    "income": [None] * 8,
    "job": ["clerk", "driver"] * 4,
    "owner": [True] * 8,
}


def tables_sent(server) -> list[inference_pb.ExplainTableRequest]:
    return [request for request in server.requests if isinstance(request, inference_pb.ExplainTableRequest)]


def told(value: object) -> str:
    """As text, because one NaN is not equal to another."""
    return repr(value)


@pytest.mark.parametrize("model", ["credit", "progression", "grouped"])
@pytest.mark.parametrize("options", [{}, {"target": explicate.ALL}, {"quality": "full", "target": 1}], ids=str)
def test_each_row_is_what_explain_answers(ask, model, options):
    result = ask("explain_table", model, TABLE, **options)
    assert len(result) == 2
    for number in range(2):
        row = {name: values[number] for name, values in TABLE.items()}
        alone = ask("explain", model, row, **options)
        mine = result.row(number)
        attributions = tuple(replace(one, baseline_value=row["age"]) for one in alone.explanation.attributions)
        features = tuple(
            replace(feature, values={name: row[name] for name in feature.values})
            for feature in alone.explanation.features
        )
        expected = replace(alone.explanation, attributions=attributions, features=features, reused_evaluations=0)
        assert told(mine.explanation) == told(expected)
        scores = tuple(replace(score, logit=math.nan) for score in alone.prediction.scores)
        assert told(mine.prediction) == told(replace(alone.prediction, scores=scores))
        assert (mine.model, mine.row) == (alone.model, row)


def test_a_row_is_shown_like_any_other(ask):
    row = ask("explain_table", "credit", TABLE).row(-1)
    assert row.prediction.label == "bad"
    assert row.explanation.top(1)[0].feature.column == "owner"
    assert "<div" in row.to_html()
    with pytest.raises(IndexError):
        ask("explain_table", "credit", TABLE).row(2)


@pytest.mark.parametrize(
    "table",
    [TABLE, pd.DataFrame(TABLE), pa.table(TABLE), {name: pa.array(values) for name, values in TABLE.items()}],
    ids=["lists", "DataFrame", "Arrow table", "Arrow arrays"],
)
def test_tables_of_all_kinds_are_sent_alike(ask, server, table):
    ask("explain_table", "credit", table, seed=3, priority="bulk", label="canary", request_id="order-17")
    (sent,) = tables_sent(server)
    assert (sent.table.rows, sent.options.seed, sent.priority, sent.model.label) == (2, 3, 2, "canary")
    age, income, job, owner = sent.table.columns
    assert list(age.numbers.values) == [34, 60.5]
    assert told(list(income.numbers.values)) == "[nan, 2.0]"
    assert (list(job.categories.names), list(job.categories.codes)) == (["clerk"], [0, -1])
    assert (list(owner.categories.names), list(owner.categories.codes)) == (["true", "false"], [0, 1])


class TestPieces:
    def test_a_long_table_goes_in_pieces_to_one_version(self, ask, server):
        result = ask("explain_table", "credit", LONG)
        sent = sorted(tables_sent(server), key=lambda request: request.table.columns[0].numbers.values[0])
        ages = [list(request.table.columns[0].numbers.values) for request in sent]
        assert ages == [[1, 2, 3], [4, 5, 6], [7, 8]]
        assert {request.model.version for request in sent} == {3}
        assert result.attributions[0].baseline_values == tuple(LONG["age"])
        assert [row[1] for row in result.predictions.probabilities] == pytest.approx([age / 100 for age in LONG["age"]])
        assert (len(result), result.evaluations, len(result.attributions[0].values)) == (8, (32,) * 8, 8)
        assert result.row(6).row == {"age": 7.0, "income": None, "job": "clerk", "owner": True}
        assert (result.timing.total_s, result.timing.queue_s) == (1.5, 7.0)
        assert result.predictions.timing == result.timing

    def test_a_short_table_goes_where_it_was_sent(self, ask, server):
        ask("explain_table", "credit", TABLE)
        (sent,) = tables_sent(server)
        assert sent.model.WhichOneof("selector") is None  # a canary has its share of such calls

    def test_pieces_may_be_smaller(self, ask, server):
        ask("explain_table", "credit", TABLE, rows_per_call=1)
        assert [request.table.rows for request in tables_sent(server)] == [1, 1]

    def test_pieces_are_asked_for_again_while_the_server_is_away(self, ask, server):
        server.unavailable_times = 2  # the first may be GetModel
        assert len(ask("explain_table", "credit", LONG)) == 8

    def test_unknown_categories_of_any_piece_are_named(self, ask):
        result = ask("explain_table", "credit", {**LONG, "job": ["clerk"] * 7 + ["baker"]})
        assert result.predictions.unknown_category_columns == ("job",)

    def test_a_piece_fits_into_a_message(self):
        """Every class of a wide table: its numbers, 4 a feature, 8 bytes each, stay below 16 MiB."""
        limits = replace(CREDIT.limits, max_explained_rows=1024)
        model = replace(CREDIT, class_labels=tuple(map(str, range(10))), limits=limits)
        wide = {f"c{number}": [0.0] * 1024 for number in range(100)}
        whole = TableCalls(model, wide, {}, {}, rows_per_call=None)
        assert list(map(len, whole.pieces)) == [1024]
        pieces = TableCalls(model, wide, {"target": explicate.ALL}, {}, rows_per_call=None).pieces
        assert len(pieces[0]) * 100 * 10 * 4 * 8 < 16 * 2**20
        assert [row for piece in pieces for row in piece] == list(range(1024))

    def test_two_bundles_do_not_make_one_answer(self, ask):
        part = ask("explain_table", "credit", TABLE)
        other = replace(part, model=replace(part.model, bundle_digest="f" * 64))
        calls = TableCalls(CREDIT, LONG, {}, {}, rows_per_call=3)
        with pytest.raises(Aborted, match="version 3 is another bundle on another server"):
            calls.joined([part, other])


class TestMistakes:
    @pytest.mark.parametrize(
        ("table", "options", "error", "message"),
        [
            ({"age": [1, 2], "job": ["a"]}, {}, UsageError, "different lengths: age 2, job 1"),
            (TABLE, {"rows_per_call": 0}, InvalidArgument, "rows_per_call: must be 1 or more"),
            (TABLE, {"sede": 1}, UsageError, "sede"),
            ({**TABLE, "age": [1j, 2]}, {}, InvalidArgument, "column age: must be numbers"),
            (TABLE, {"version": 1, "label": "live"}, UsageError, "a version or a label"),
        ],
    )
    def test_a_table_that_cannot_be_sent_is_told(self, ask, table, options, error, message):
        with pytest.raises(error, match=message):
            ask("explain_table", "credit", table, **options)

    def test_an_error_of_a_piece_ends_all(self, ask, server):
        wrong = {**LONG, "age": [1.0] * 7 + ["old"]}
        with pytest.raises(InvalidArgument, match="column age"):
            ask("explain_table", "credit", wrong)

    def test_a_server_that_is_not_there(self):
        with explicate.Client("127.0.0.1:1", timeout_s=5) as client, pytest.raises(Unavailable):
            client.explain_table("credit", TABLE)

    def test_a_limit_of_0_is_none(self):
        """A server that does not tell how many rows it takes gets them all."""
        assert CREDIT.limits.max_explained_rows == 0
        assert list(map(len, TableCalls(CREDIT, LONG, {}, {}, rows_per_call=None).pieces)) == [8]


class TestFrames:
    def test_a_line_for_each_row(self, ask):
        frame = ask("explain_table", "credit", TABLE).to_frame()
        assert list(frame.columns) == [
            *("label", "probability", "baseline", "attr_age", "attr_income", "attr_job", "attr_owner"),
            *("stop_reason", "evaluations"),
        ]
        assert list(frame["label"]) == ["good", "bad"]
        assert list(frame["probability"]) == pytest.approx([0.66, 0.605])
        assert frame["attr_income"].to_numpy() == pytest.approx(np.full(2, word_value(1)))

    def test_intervals_of_another_output_and_a_regression(self, ask):
        result = ask("explain_table", "credit", TABLE, target=explicate.ALL)
        frame = result.to_frame(0, intervals=True)
        assert frame["attr_age"].iloc[0] == pytest.approx(-word_value(0))
        assert frame["lower_age"].iloc[0] < frame["attr_age"].iloc[0] < frame["upper_age"].iloc[0]
        regression = ask("explain_table", "progression", TABLE)
        assert list(regression.to_frame()["value"]) == [340.0, 605.0]
        assert regression.row(0).explanation.attributions[0].class_label == TARGET

    def test_arrays_are_numpy_ready(self, ask):
        result = ask("explain_table", "credit", LONG)
        assert np.array(result.attributions[0].values).shape == (8, 4)

    def test_json_has_all_of_it(self, ask):
        dated = {**TABLE, "job": [dt.date(2020, 1, 2), None]}
        document = json.loads(ask("explain_table", "credit", dated).to_json())
        assert document["columns"]["job"] == ["2020-01-02", None]
        assert document["attributions"][0]["values"][0][0] == word_value(0)
        assert document["stop_reasons"] == ["tolerance", "tolerance"]


def test_labels_that_do_not_exclude_each_other_are_several(ask):
    packed = ask("explain_table", "credit", {**TABLE, "age": [50, 20]})
    several = replace(packed, several_labels=True)
    assert isinstance(several, TableResult)
    assert several.row(0).prediction.labels == ("good", "bad")
    assert several.row(1).prediction.labels == ("good",)
    assert several.row(1).prediction.index is None
