"""Both clients asked about rows of tables: what they send and what they make of the answers."""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from google.protobuf.struct_pb2 import NULL_VALUE

import explicate
from explicate._wire.encoding import input_message, table_message
from explicate.audit import log_lines
from explicate.v1 import explanation_pb2 as explanation_pb
from explicate.v1 import table_pb2 as table_pb
from explicate_bundle.model_inputs import TabularInput
from support.canned.canned_server import word_value
from support.canned.canned_tables import TARGET

ROW = {"age": 34, "income": None, "job": "clerk", "owner": True}
MISSING = table_pb.Cell(missing=NULL_VALUE)
FEATURES = (
    explicate.Feature(column="age", values={"age": 34.0}),
    explicate.Feature(column="income", values={"income": None}),
    explicate.Feature(column="job", values={"job": "clerk"}),
    explicate.Feature(column="owner", values={"owner": "true"}),
)


def test_each_kind_of_value_becomes_its_cell(ask, server):
    ask("predict", "credit", [ROW])
    assert dict(server.requests[0].inputs[0].tabular.cells) == {
        "age": table_pb.Cell(number=34),
        "income": MISSING,
        "job": table_pb.Cell(category="clerk"),
        "owner": table_pb.Cell(category="true"),
    }


def test_numpy_and_pandas_values_are_plain_ones(ask, server):
    row = {"age": np.int64(34), "income": np.float32(0.5), "job": np.str_("clerk"), "owner": np.bool_(False)}
    ask("predict", "credit", [row, {**ROW, "job": pd.NA, "owner": pd.NaT}])
    first, second = (request_input.tabular.cells for request_input in server.requests[0].inputs)
    assert (first["age"].number, first["income"].number) == (34.0, 0.5)
    assert (first["job"].category, first["owner"].category) == ("clerk", "false")
    assert (second["job"], second["owner"]) == (MISSING, MISSING)


def test_a_row_of_a_frame_is_a_row(ask, server):
    frame = pd.DataFrame({"age": [34, 40], "income": [None, 2.0], "job": ["clerk", "cook"], "owner": [True, False]})
    result = ask("explain", "credit", frame.iloc[0])
    assert {**result.row, "income": None} == {"age": 34, "income": None, "job": "clerk", "owner": True}
    assert math.isnan(result.row["income"])
    ask("predict", "credit", [row for _, row in frame.iterrows()])
    assert [each.tabular.cells["job"].category for each in server.requests[1].inputs] == ["clerk", "cook"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (["a", "b"], "a pair of texts is a tuple"),
        (np.zeros((4, 4, 3)), r"PIL\.Image\.fromarray"),
        (3.5, "not float"),
        (None, "not NoneType"),
        (b"text", r"explicate\.Image\(bytes\)"),
    ],
)
def test_what_is_no_input_is_told_the_form_to_give(ask, server, value, told):
    with pytest.raises(explicate.InvalidArgument, match=told) as caught:
        ask("predict", "credit", [value])
    assert [field for field, _ in caught.value.violations] == ["inputs[0]"]
    assert server.requests == []


def test_nan_in_a_row_is_sent_for_the_server_to_refuse(ask, server):
    ask("predict", "credit", [{**ROW, "income": math.nan}])
    assert math.isnan(server.requests[0].inputs[0].tabular.cells["income"].number)


def test_classes_of_rows_come_in_their_order(ask):
    bad, good = ask("predict", "credit", [{**ROW, "age": 60}, ROW]).predictions
    assert (bad.label, good.label) == ("bad", "good")
    assert (bad.probability, good.probability) == pytest.approx((0.6, 0.66))
    assert (bad.value, bad.text_usage) == (None, None)


def test_regression_answers_with_a_value_and_no_class(ask):
    (prediction,) = ask("predict", "progression", [ROW]).predictions
    assert prediction.value == 340.0
    assert (prediction.index, prediction.label, prediction.scores) == (None, "", ())
    assert math.isnan(prediction.probability)


def test_columns_with_unknown_categories_are_named(ask):
    known, unknown = ask("predict", "credit", [ROW, {**ROW, "job": "baker"}]).predictions
    assert (known.unknown_category_columns, unknown.unknown_category_columns) == ((), ("job",))


TABLE = {"age": [34, 60.5], "income": [None, 2], "job": ["clerk", None], "owner": [True, False]}
SENT = table_pb.Table(
    rows=2,
    columns=[
        table_pb.TableColumn(name="age", numbers=table_pb.NumberValues(values=[34, 60.5])),
        table_pb.TableColumn(name="income", numbers=table_pb.NumberValues(values=[math.nan, 2])),
        table_pb.TableColumn(name="job", categories=table_pb.CategoryValues(names=["clerk"], codes=[0, -1])),
        table_pb.TableColumn(name="owner", categories=table_pb.CategoryValues(names=["true", "false"], codes=[0, 1])),
    ],
)


@pytest.mark.parametrize(
    "table",
    [
        TABLE,
        pd.DataFrame(TABLE),
        pd.DataFrame(TABLE).astype({"job": "category", "owner": "boolean", "income": "Float64"}),
        {name: np.array(values) for name, values in TABLE.items()},
        {name: tuple(values) for name, values in TABLE.items()},
    ],
    ids=["lists", "DataFrame", "DataFrame of pandas' own types", "arrays", "tuples"],
)
def test_a_table_is_packed_by_column(ask, server, table):
    ask("predict_table", "credit", table, priority="bulk")
    # As text, because one NaN is not equal to another.
    assert str(server.requests[0].table) == str(SENT)
    assert len(server.requests[0].inputs) == 0
    assert server.requests[0].priority == 2


def test_packed_classes_have_a_tuple_of_probabilities_per_row(ask):
    result = ask("predict_table", "credit", TABLE)
    assert result.class_labels == ("good", "bad")
    assert np.array(result.probabilities) == pytest.approx(np.array([[0.66, 0.34], [0.395, 0.605]]))
    assert (result.labels, result.values) == (("good", "bad"), ())
    assert (result.model.version, result.timing.total_s) == (3, 0.5)


def test_packed_regression_has_a_value_per_row(ask):
    result = ask("predict_table", "progression", {**TABLE, "job": ["clerk", "baker"]})
    assert result.values == (340.0, 605.0)
    assert (result.class_labels, result.probabilities, result.labels) == ((), (), ())
    assert result.unknown_category_columns == ("job",)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"age": [1, "two"]}, r"table.columns\[age\]: column age: mixes categories with numbers such as 1"),
        ({"age": [1, Decimal(2)]}, r"table.columns\[age\]: column age: must be numbers, .* not Decimal"),
        ({"age": [1, 10**400]}, r"table.columns\[age\].numbers: column age: holds a number that cannot be sent"),
        ({"job": ["clerk", "\ud800"]}, "lone surrogate"),
    ],
)
def test_a_column_that_cannot_be_sent_is_refused_by_name(ask, server, wrong, message):
    with pytest.raises(explicate.InvalidArgument, match=message):
        ask("predict_table", "credit", {**TABLE, **wrong})
    assert server.requests == []


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"age": Decimal(2)}, "inputs[1].tabular.cells[age]"),
        ({"age": 10**400}, "inputs[1].tabular.cells[age]"),
        ({"job": "\ud800"}, "inputs[1].tabular.cells[job]"),
        ({7: 1}, "inputs[1].tabular.cells key"),
    ],
)
def test_a_cell_that_cannot_be_sent_is_refused_with_its_field(ask, server, wrong, path):
    with pytest.raises(explicate.InvalidArgument) as refused:
        ask("predict", "credit", [ROW, {**ROW, **wrong}])
    assert refused.value.violations[0][0] == path
    assert server.requests == []


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("predict", pd.DataFrame(TABLE), r"for a whole table write predict_table\(model, table\)"),
        ("predict_table", {**TABLE, "age": [1]}, "different lengths: age 1, income 2, job 2, owner 2"),
        ("predict_table", pd.DataFrame([[1, 2]], columns=["age", "age"]), "two columns have the same name: age"),
    ],
)
def test_a_table_given_in_the_wrong_way_is_refused(ask, server, method, given, message):
    with pytest.raises(explicate.UsageError, match=message):
        ask(method, "credit", given)
    assert server.requests == []


def test_explanation_of_a_row_has_its_columns_with_their_values(ask, server):
    result = ask("explain", "credit", ROW)
    assert result.explanation.features == FEATURES
    assert [feature.name for feature in result.explanation.features] == ["age", "income", "job", "owner"]
    assert result.explanation.attributions[0].values == tuple(word_value(i) for i in range(4))
    assert (result.row, result.text) == (ROW, "")
    assert server.requests[0].spec.input.tabular.cells["age"].number == 34


def test_a_group_of_columns_is_one_feature(ask):
    means, *_ = ask("explain", "grouped", ROW).explanation.features
    assert means == explicate.Feature(column="means", values={"age": 34.0, "income": None})


def test_regression_is_explained_in_its_own_unit(ask):
    explanation = ask("explain", "progression", ROW).explanation
    (attribution,) = explanation.attributions
    assert (attribution.name, attribution.class_index) == (TARGET, 0)
    assert attribution.values == (10, -20, 30, -40)
    assert (explanation.options.output_space, explanation.options.masking) == ("value", "background")


def test_resolved_options_of_a_row_can_be_asked_with_again(ask, server):
    result = ask("explain", "progression", ROW)
    assert result.explanation.options.granularity is None
    again = ask("explain", "progression", ROW, **vars(result.explanation.options))
    assert again.explanation.options == result.explanation.options
    assert server.requests[1].spec.options.masking == explanation_pb.MASKING_BACKGROUND
    assert server.requests[1].spec.options.output_space == explanation_pb.OUTPUT_SPACE_VALUE


def test_columns_of_a_model_are_described(ask):
    description = ask("get_model", "grouped")
    assert description.status.kind == "tabular-classification"
    assert description.columns[1:3] == (
        explicate.Column("income", "number", (), "means", True),
        explicate.Column("job", "category", ("clerk", "driver"), "", False),
    )
    assert (description.background_rows, description.target_name, description.max_tokens) == (20, "", 0)


def test_a_regression_is_described_by_its_target(ask):
    description = ask("get_model", "progression")
    assert (description.status.kind, description.target_name) == ("tabular-regression", TARGET)
    assert description.class_labels == ()


def test_dates_are_sent_as_text_and_digested_as_sent():
    row = {"age": 34, "income": date(2020, 12, 31), "job": datetime(2020, 12, 31, 23, 59), "owner": True}
    sent = input_message(row, "input").tabular.cells
    assert (sent["income"].category, sent["job"].category) == ("2020-12-31", "2020-12-31T23:59:00")
    cells = {"age": 34.0, "income": "2020-12-31", "job": "2020-12-31T23:59:00", "owner": "true"}
    assert bytes.fromhex(log_lines.input_sha256(row)) == TabularInput(cells).digest
    column = table_message({"when": [date(2020, 12, 31), None]}).columns[0].categories
    assert (list(column.names), list(column.codes)) == (["2020-12-31"], [0, -1])
