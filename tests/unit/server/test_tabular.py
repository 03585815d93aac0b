"""Rows of tables become the graph's inputs; columns and groups of columns become players."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from explicate_bundle.model_inputs import TabularInput
from explicate_server.modalities.modality import ColumnPlayer
from explicate_server.modalities.table import TabularModality
from support.tiny_table_bundle import COLUMNS, TinyTable, tiny_table, wide_columns

TABLE = tiny_table()
GOOD: dict[str, Any] = {
    "income": 1.5,
    "purpose": "home",
    "debt_short": -2.0,
    "owner": "true",
    "age": 0.25,
    "rating": "low",
    "debt_long": 7.0,
}


def modality_of(table: TinyTable) -> TabularModality:
    return TabularModality(table.schema(), table.background)


@pytest.fixture
def modality() -> TabularModality:
    return modality_of(TABLE)


def test_cells_become_the_graphs_inputs_in_the_schemas_order(modality: TabularModality) -> None:
    feeds = modality.collate([modality.encode(TabularInput(GOOD)).row])
    assert feeds["numbers"].tolist() == [[1.5, -2.0, 0.25, 7.0]]
    assert feeds["numbers"].dtype == np.float32
    assert feeds["codes"].tolist() == [[3, 3, 2]]
    assert feeds["codes"].dtype == np.int64


def test_missing_values_and_unknown_categories_have_codes_of_their_own(modality: TabularModality) -> None:
    missing = modality.collate([modality.encode(TabularInput(dict.fromkeys(GOOD))).row])
    assert np.isnan(missing["numbers"]).all()
    assert missing["codes"].tolist() == [[1, 1, 1]]
    unknown = modality.encode(TabularInput({**GOOD, "rating": "splendid", "purpose": "cars"}))
    assert modality.collate([unknown.row])["codes"].tolist() == [[0, 3, 0]]
    assert unknown.unknown_category_columns == ["purpose", "rating"]
    assert modality.encode(TabularInput(GOOD)).unknown_category_columns == []


def test_rows_of_the_graph_come_back_as_the_cells_that_make_them(modality: TabularModality) -> None:
    numbers, codes = TABLE.rows(50, seed=3)
    for row_numbers, row_codes in zip(numbers, codes, strict=True):
        feeds = modality.collate([modality.encode(TabularInput(TABLE.cells(row_numbers, row_codes))).row])
        np.testing.assert_array_equal(feeds["numbers"][0], row_numbers)
        np.testing.assert_array_equal(feeds["codes"][0], row_codes)


def test_rows_encoded_together_are_those_encoded_alone(modality: TabularModality) -> None:
    inputs = [TabularInput(TABLE.cells(n, c)) for n, c in zip(*TABLE.rows(100, seed=4), strict=True)]
    for some in (inputs, inputs[:3]):
        together = modality.encode_all(some)
        assert together is not None
        for encoded, value in zip(together, some, strict=True):
            alone = modality.encode(value)
            np.testing.assert_array_equal(encoded.row.values, alone.row.values)
            assert encoded.row.count == 1
            assert list(encoded.unknown_category_columns) == list(alone.unknown_category_columns)


@pytest.mark.parametrize(("kept", "input_name"), [(0, "codes"), (4, "numbers")])
def test_an_input_without_columns_does_not_exist(kept: int, input_name: str) -> None:
    columns = [column for index, column in enumerate(wide_columns(10)) if (index % 5 == 4) == (kept == 0)]
    table = tiny_table(columns)
    modality = modality_of(table)
    numbers, codes = table.rows(1)
    assert list(modality.collate([modality.encode(TabularInput(table.cells(numbers[0], codes[0]))).row])) == [
        input_name
    ]


@pytest.mark.parametrize(
    ("change", "column", "problem"),
    [
        ({"income": "much"}, "income", "is 'much'; this column takes numbers, such as 1234.5"),
        ({"purpose": 3.0}, "purpose", "is a number; this column takes categories, 'car', 'home', 'study'"),
        ({"owner": 2.0}, "owner", "is 2; this column takes true and false"),
        ({"income": float("nan")}, "income", "is NaN; where there is no value, give a missing cell (None in Python"),
        ({"income": float("inf")}, "income", "is inf; the model reads numbers from -3.403e+38 to 3.403e+38"),
        ({"age": float("-inf")}, "age", "is -inf"),
        ({"age": 1e308}, "age", "is 1e+308"),
        ({"income": ...}, "income", "is left out; give every column"),
        ({"shoe_size": 43.0}, "shoe_size", "is not a column of this model"),
    ],
)
def test_bad_cells_are_named_with_their_path(
    modality: TabularModality, change: dict[str, Any], column: str, problem: str
) -> None:
    cells = {name: value for name, value in {**GOOD, **change}.items() if value is not ...}
    for good in (1, 20):
        assert modality.encode_all([*[TabularInput(GOOD)] * good, TabularInput(cells)]) is None
    (violation,) = modality.violations(TabularInput(cells), "inputs[3]")
    assert violation.field == f"inputs[3].tabular.cells[{column}]"
    assert problem in violation.description


def test_columns_that_are_left_out_are_named_in_the_schemas_order(modality: TabularModality) -> None:
    fields = [violation.field for violation in modality.violations(TabularInput({}), "input")]
    assert fields == [f"input.tabular.cells[{column.name}]" for column in COLUMNS]


def test_a_column_by_another_name_is_missing_and_one_too_many(modality: TabularModality) -> None:
    cells = {("Income" if name == "income" else name): value for name, value in GOOD.items()}
    fields = [violation.field for violation in modality.violations(TabularInput(cells), "input")]
    assert fields == ["input.tabular.cells[Income]", "input.tabular.cells[income]"]
    assert modality.violations(TabularInput(GOOD), "input") == []
    largest = float(np.finfo(np.float32).max)
    assert modality.violations(TabularInput({**GOOD, "age": largest, "income": -largest}), "input") == []


def test_equal_rows_have_equal_digests_and_others_do_not() -> None:
    turned = dict(reversed(GOOD.items()))
    assert TabularInput(GOOD).digest == TabularInput(turned).digest
    others = [{**GOOD, "income": 1.25}, {**GOOD, "income": None}, {**GOOD, "purpose": "None"}, {**GOOD, "age": "0.25"}]
    assert len({TabularInput(cells).digest for cells in [GOOD, *others]}) == 5


def test_players_are_columns_and_groups_with_their_values(modality: TabularModality) -> None:
    game = modality.game(
        TabularInput(GOOD), modality.encode(TabularInput(GOOD)), players="columns", masking="background"
    )
    assert [player.name for player in game.players if isinstance(player, ColumnPlayer)] == list(TABLE.players())
    assert game.players[2] == ColumnPlayer("debts", (("debt_short", -2.0), ("debt_long", 7.0)))
    assert game.players[1] == ColumnPlayer("purpose", (("purpose", "home"),))
    assert game.weights.sum() == pytest.approx(1)
    assert game.breaks is None
    first, second = game.grouped(np.array([0, 0, 0, 1, 1, 1]))
    assert isinstance(first, ColumnPlayer)
    assert isinstance(second, ColumnPlayer)
    assert (first.name, second.name) == ("income … debts", "owner … rating")
    assert [name for name, _ in first.columns] == ["income", "purpose", "debt_short", "debt_long"]
    assert game.grouped(np.arange(6)) == game.players


def test_absent_players_take_the_values_of_every_background_row(modality: TabularModality) -> None:
    numbers, codes = TABLE.rows(1, seed=8)
    value = TabularInput(TABLE.cells(numbers[0], codes[0]))
    game = modality.game(value, modality.encode(value), players="columns", masking="background")
    coalitions = np.array(list(product((False, True), repeat=6)))
    rows = game.rows(coalitions)
    assert [row.count for row in rows] == [len(TABLE.background.weights)] * len(coalitions)
    feeds = modality.collate(rows)
    answers = TABLE.answers(feeds["numbers"].astype(np.float64), feeds["codes"]).reshape(len(coalitions), -1, 3)
    columns_of = list(TABLE.players().values())
    for coalition, of_coalition in zip(coalitions, answers, strict=True):
        present = [name for player in np.flatnonzero(coalition) for name in columns_of[player]]
        expected = TABLE.value(numbers[0], codes[0], present, probability=False)
        np.testing.assert_allclose(game.weights @ of_coalition, expected, atol=1e-12)
