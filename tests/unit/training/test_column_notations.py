"""Numbers, dates, ids and codes as people write them in tables: what a column is taken for, and how that is said."""

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from explicate.errors import UsageError
from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.columns import TableColumns
from explicate_training.data.labels import Split
from explicate_training.table.cleaning import clean_table
from explicate_training.table.column_types.column_typing import TypingReport, type_table
from explicate_training.table.config import TableConfig, TableDataConfig
from explicate_training.table.data import Column, RawTable, Table, read_table
from explicate_training.table.date_parts import DatePlaces, calendar
from explicate_training.table.encoding import date_places, encode, learn_schema
from explicate_training.table.run import TableRun

CONFIG = TableDataConfig(table="a.csv", label_column="label", minimum_class_count=3)
SHARED = Path(__file__).parents[4] / "shared" / "data" / "csv"
ROWS = 40


def typed(
    config: TableDataConfig = CONFIG, splits: list[Split] | None = None, **columns: list[Any]
) -> tuple[Table, TypingReport]:
    rows = len(next(iter(columns.values())))
    labels = {} if "label" in columns else {"label": ["yes", "no"] * (rows // 2)}
    return type_table(RawTable("a.csv", {**columns, **labels}, splits or ["train"] * rows), config)


def column_of(cells: list[Any], config: TableDataConfig = CONFIG, **others: list[Any]) -> Column:
    table, _ = typed(config, x=cells, **others)
    return next(column for column in table.columns if column.name == "x")


def varied(write: Any) -> list[Any]:
    """Cells of 40 numbers with two decimals, of which few are alike."""
    stream = random.Random(0)
    return [write(round(stream.uniform(-3_000_000, 3_000_000), 2)) for _ in range(ROWS)]


def swapped(text: str) -> str:
    return text.translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize(
    "write",
    [
        lambda number: f"{number}",
        lambda number: f"{number:,.2f}",
        lambda number: swapped(f"{number:,.2f}"),
        lambda number: swapped(f"{number:.2f}"),
        lambda number: f"{number:,.2f}".replace(",", "\u00a0"),
        lambda number: f"{number:,.2f}".replace(",", "'"),
        lambda number: f"${number:,.2f}".replace("$-", "-$"),
        lambda number: f"{number:,.2f} €",
        lambda number: f"{number:.2f} kg",
        lambda number: f"{number}%",
        lambda number: f"({-number:,.2f})" if number < 0 else f"{number:,.2f}",
        lambda number: f"CHF {number:.2f}",
    ],
)
def test_a_column_of_numbers_is_one_however_it_writes_them(write: Any) -> None:
    cells, numbers = varied(write), varied(float)
    column = column_of(cells)
    assert column.type == "number"
    np.testing.assert_allclose(column.values, numbers)
    # What run.json says of the column reads a text as training did.
    table, _ = typed(x=cells)
    schema = TabularSchema(columns=[one.as_message() for one in learn_schema(table, CONFIG)])
    encoded = TableColumns(schema).encoded([{"x": cell} for cell in cells])
    np.testing.assert_array_equal(encoded.numbers, encode(table, learn_schema(table, CONFIG)).numbers)


@pytest.mark.parametrize("mark", [".", "-", "\u2014", "n/a", "#N/A", "None", "#DIV/0!"])
def test_a_mark_among_numbers_or_dates_means_missing(mark: str) -> None:
    for cells in (varied(str), [f"{number:,.2f}" for number in varied(float)], ["2020-01-05", "2021-02-06"] * 20):
        column = column_of([mark, *cells[1:]])
        assert column.missing_words == (mark,)
        assert np.isnan(column.values).tolist() == [True] + [False] * (ROWS - 1)
        assert f"'{mark}' means missing" in column.why


@pytest.mark.parametrize(
    ("cells", "value", "other"),
    [
        (["1.234", "5.678", "12.345", "9"], 1.234, 'data.columns.x = "number 1.234,5"'),
        (["1,234", "5,678", "12,345", "9"], 1234, 'data.columns.x = "number 1234,5"'),
        (["05/06/2020", "07/08/2020"], 18388, 'data.columns.x = "date 31.12.2020"'),
        (["05.06.2020", "07.08.2020"], 18418, 'data.columns.x = "date 12/31/2020"'),
    ],
)
def test_what_is_not_clear_follows_the_rule_and_the_words_that_say_otherwise_are_told(
    cells: list[str], value: float, other: str
) -> None:
    cells = cells * (ROWS // len(cells))
    table, report = typed(x=cells, y=[0, 1] * 20)
    taken = table.columns[0].values[0]
    assert taken == value
    (note,) = report.warnings
    assert note.endswith(other)
    declared = {"x": other.split('"')[1]}
    again, report = typed(replace(CONFIG, columns=declared), x=cells, y=[0, 1] * 20)
    assert not report.warnings
    assert again.columns[0].type == table.columns[0].type
    assert again.columns[0].values[0] != taken


def test_clear_columns_of_the_table_decide_for_those_that_are_not() -> None:
    german = [swapped(f"{number:,.2f}") for number in varied(float)]
    table, report = typed(x=["1.234", "5.678"] * 20, y=["1,234", "5,678"] * 20, z=german)
    assert [column.values[0] for column in table.columns][:2] == [1234, 1.234]
    assert len(report.warnings) == 2
    days = [f"{day}/1/2020" for day in range(1, 32)] + ["1/2/2020"] * 9
    table, _ = typed(x=["05/06/2020", "07/08/2020"] * 20, y=days)
    assert table.columns[0].values[0] == (date(2020, 6, 5) - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    "cells",
    [
        ["1234,50", "1234.50"],  # two notations
        ["5 kg", "500 g"],
        ["$5", "€5"],
        ["12a", "12b"],
        ["01020", "10115"],
        ["Q1", "Q2"],
        ["10-20", "20-30"],
        ["12:30", "13:45"],
        ["1.2.3", "1.2.4"],
        ["31/12/2020", "12/31/2020"],  # no order reads both
    ],
)
def test_what_is_not_all_one_kind_of_number_or_date_stays_a_category(cells: list[str]) -> None:
    column = column_of(cells * 20)
    assert column.type == "category"
    assert sorted(set(column.values)) == sorted(cells)


def test_amounts_in_several_units_are_a_category_and_it_is_said() -> None:
    _, report = typed(x=["5 kg", "500 g"] * 20)
    assert "several units ('5 kg', '500 g')" in report.warnings[0]


@pytest.mark.parametrize(
    ("write", "native"),
    [
        ("%Y-%m-%d", False), ("%d.%m.%Y", False), ("%m/%d/%Y", False), ("%Y%m%d", False), ("%d %b %Y", False),
        ("%B %d, %Y", False), ("%Y-%m-%dT00:00:00Z", False), ("", True),
    ],
)  # fmt: skip
def test_a_column_of_dates_is_one_however_it_writes_them(write: str, native: bool) -> None:
    dates = [datetime(2019, 11, 20) + timedelta(days=7 * index) for index in range(ROWS)]
    table, report = typed(x=[day if native else day.strftime(write) for day in dates])
    (column,) = table.columns
    assert (column.type, report.warnings) == ("date", [])
    assert column.values.tolist() == [(day - datetime(1970, 1, 1)).days for day in dates]
    assert table.row(0) == {"x": "2019-11-20"}


def test_a_network_reads_of_a_date_what_the_calendar_says() -> None:
    first, last = date(1, 1, 1), date(9999, 12, 31)
    stream = random.Random(0)
    days = [first, last, *(date.fromordinal(stream.randint(1, last.toordinal())) for _ in range(20_000))]
    numbers = torch.tensor([float((day - date(1970, 1, 1)).days) for day in days])
    year, month, weekday = calendar(numbers)
    assert year.tolist() == [day.year for day in days]
    assert month.tolist() == [day.month for day in days]
    assert weekday.tolist() == [day.weekday() for day in days]


def test_hours_are_read_where_the_data_has_them_and_days_are_whole_where_not() -> None:
    cells = [f"2020-01-{1 + index % 28:02} {index % 24:02}:30" for index in range(ROWS)]
    table, _ = typed(x=cells, y=[cell[:10] for cell in cells], z=varied(float))
    schema = learn_schema(table, CONFIG)
    places = date_places(schema)
    assert places == DatePlaces(dates=(0, 1), timed=(0,))
    read = places.expanded(torch.from_numpy(encode(table, schema).numbers)).numpy()
    hour = read[:, 6]  # behind three numbers, and year, month and weekday of the first date
    np.testing.assert_allclose(hour, [index % 24 + 0.5 for index in range(ROWS)], atol=0.03)  # minutes, in float32
    asked = places.expanded(torch.tensor([[18262.75, 18262.75, 0.5], [np.nan, np.nan, 0.5]]))
    assert asked[0].tolist() == [18262.75, 18262, 0.5, 2020, 1, 2, 18, 2020, 1, 2]
    assert torch.isnan(asked[1]).tolist() == [True, True, False] + [True] * 7


@pytest.mark.parametrize(
    ("name", "cells", "reason"),
    [
        ("Unnamed: 0", random.Random(0).sample(range(1000), ROWS), "is an id by its name"),
        ("", random.Random(0).sample(range(1000), ROWS), "is an id by its name"),
        ("customerId", [str(number) for number in random.Random(0).sample(range(10**6), ROWS)], "is an id by its name"),
        ("a", [3 * index + index % 2 for index in range(ROWS)], "has a larger whole number in every row"),
        ("account_number", random.Random(0).sample(range(10**6), ROWS), "has a code of its own in every row"),
        ("a", [f"{index % 30:08x}-0000-4000-8000-000000000000" for index in range(ROWS)], "holds UUIDs"),
        ("a", [f"C-{index:05}" for index in range(ROWS)], "nearly every row has a value of its own"),
    ],
)
def test_ids_and_row_numbers_are_left_out_unless_the_config_declares_them(
    name: str, cells: list[Any], reason: str
) -> None:
    table, report = typed(**{name: cells, "b": [0, 1] * 20})
    assert [column.name for column in table.columns] == ["b"]
    assert report.left_out[name].startswith(reason)
    kept, report = typed(replace(CONFIG, columns={name: "category"}), **{name: cells, "b": [0, 1] * 20})
    assert [column.name for column in kept.columns] == [name, "b"]
    assert not report.left_out


def test_an_index_that_begins_again_in_the_test_file_counts_the_rows() -> None:
    splits: list[Split] = ["train"] * 30 + ["test"] * 10
    _, report = typed(CONFIG, splits, a=[*range(30), *range(10)], b=[0, 1] * 20)
    assert report.left_out == {"a": "counts the rows"}


@pytest.mark.parametrize("name", ["income", "paid", "width", "idea", "video"])
def test_a_number_that_differs_from_row_to_row_is_no_id(name: str) -> None:
    table, report = typed(**{name: random.Random(0).sample(range(10**6), ROWS)})
    assert [column.name for column in table.columns] == [name]
    assert not report.left_out


@pytest.mark.parametrize(
    ("cells", "categories", "asked"),
    [
        (["1.0", "2.0", "1.0", None], ("1", "2"), {1.0: 2, "1": 2, "1.0": 2, "2.0": 3, 3.0: 0}),
        (["1", "1.0", "2", "2.00"], ("1", "2"), {1.0: 2, "1.0": 2, "2": 3}),
        ([1.0, 2.0, None, 2.0], ("1", "2"), {1.0: 2, "1": 2, "2.0": 3}),
        (["01020", "10115", "20095", "01020"], ("01020", "10115", "20095"), {"01020": 2, 10115.0: 3, 1020.0: 0}),
        (["1.1", "1.10", "1.2", "1.2"], ("1.1", "1.10", "1.2"), {"1.10": 3, "1.1": 2, 1.2: 4}),
    ],
)
def test_one_number_is_one_category_however_it_is_written(
    cells: list[Any], categories: tuple[str, ...], asked: dict[Any, int]
) -> None:
    config = replace(CONFIG, columns={"x": "category"})
    table, _ = typed(config, x=cells)
    schema = learn_schema(table, config)
    assert schema[0].categories == categories
    columns = TableColumns(TabularSchema(columns=[one.as_message() for one in schema]))
    assert {value: columns.by_name["x"].number_of(value) for value in asked} == asked
    known = [cell for cell in cells if cell is not None]
    np.testing.assert_array_equal(
        columns.encoded([{"x": cell} for cell in known]).codes[:, 0],
        [code for code, cell in zip(encode(table, schema).codes[:, 0], cells, strict=True) if cell is not None],
    )


def test_rows_that_differ_in_a_column_that_is_left_out_are_not_duplicates() -> None:
    columns = {"a": [1, 2] * 20, "label": ["x", "y"] * 20}
    ids = random.Random(0).sample(range(10**6), ROWS)
    for apart, kept in (({}, 2), ({"customer_id": ids}, ROWS), ({"note": [f"note {one}" for one in ids]}, ROWS),
                        ({"Unnamed: 0": list(range(ROWS))}, 2)):  # fmt: skip
        config = replace(CONFIG, minimum_class_count=1)
        table, report = typed(config, **columns, **apart)
        assert list(report.left_out) == list(apart)
        counted = {}
        try:
            counted = dict(clean_table(table, config).report.dropped)
        except UsageError:
            assert kept == 2  # too few are left to learn from
        assert counted.get("exact duplicate", 0) == (ROWS - kept if counted else 0)


def test_a_label_in_another_notation_is_a_regression_and_it_is_said() -> None:
    told: list[str] = []
    for notation in ("{:,.2f}", "{:.2f} kg", "{:.2f}%"):
        labels = ["-", *(notation.format(number) for number in varied(float)[1:])]
        raw = RawTable("a.csv", {"label": labels, "x": [0, 1] * 20}, ["train"] * ROWS)
        table, _ = type_table(raw, CONFIG, told.append)
        assert table.task.name == "regression"
        np.testing.assert_allclose(table.labels.astype(float), [np.nan, *varied(float)[1:]])
    assert [line.split(":")[0] for line in told] == [
        "the label label is numbers, written like 1,234.5", "the label label is numbers, written like 1234.5 kg",
        "the label label is numbers, written like 1234.5 %",
    ]  # fmt: skip


@pytest.mark.parametrize("declared", ["number 1,234", "number many", "date 05/06/2020", "date soon"])
def test_an_example_in_the_config_that_is_not_clear_is_refused(declared: str) -> None:
    config = replace(CONFIG, columns={"x": declared})
    with pytest.raises(UsageError, match=r"data\.columns\.x: '.*' is not clear: give an example such as 1,234\.5"):
        typed(config, x=["1", "2"] * 20)


def test_check_tells_of_every_column_its_type_why_and_an_example(tmp_path: Path) -> None:
    days = [f"{1 + index % 28:02}.{1 + index % 12:02}.2020" for index in range(60)]
    lines = ["id,amount,when,city,flag,same,label"] + [
        f'{977 * (index % 7) + index},"{1000 + 37 * index:,}.50",{days[index]},{"ABC"[index % 3]},'
        f"{'true' if index % 5 else 'false'},x,{'yes' if index % 2 else 'no'}"
        for index in range(60)
    ]
    lines[3] = lines[3].replace('"1,', '"-"#').split("#")[0] + lines[3].split('"')[2]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    said: list[str] = []
    config = replace(CONFIG, table=str(tmp_path / "a.csv"))
    TableRun(TableConfig(data=config), said.append)
    text = "\n".join(said)
    for line in (
        "  amount  number    1.7% missing, such as '1,000.50'; numbers, written like 1,234.5: '1,000.50' is 1000.5; "
        "'-' means missing",
        "  when    date      such as '01.01.2020'; dates, written like 31.12.2020: '01.01.2020' is 2020-01-01",
        "  city    category  such as 'A'; 3 different words",
        "  flag    boolean   such as 'false'; true and false",
        "  label   not read  is what the model predicts",
        "  id      not read  is an id by its name, with a number of its own in most rows",
        "  same    not read  is the same in every row",
    ):
        assert line in text.splitlines()


TYPES = {
    "06_thousands.csv": {"age": "number", "income": "number", "city": "category"},
    "07_decimal_comma.csv": {"age": "number", "income": "number", "city": "category"},
    "08_dates.csv": {"age": "number", "income": "number", "city": "category", "when": "date"},
    "09_ids.csv": {"age": "number", "income": "number", "city": "category"},
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the files of the workplace are not here")
@pytest.mark.parametrize("name", TYPES)
def test_strangers_files_are_read_as_a_person_would(name: str) -> None:
    config = replace(CONFIG, table=str(SHARED / name))
    table, report = type_table(read_table(config), config)
    assert {column.name: column.type for column in table.columns} == TYPES[name]
    assert set(report.left_out) == ({"customer_id", "uuid"} if name == "09_ids.csv" else set())
    income = next(column for column in table.columns if column.name == "income")
    assert income.values[:3].tolist() == [16435.04, 17390.97, 29530.2]
    assert not +clean_table(table, config).report.dropped
