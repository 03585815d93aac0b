"""How a column's texts become numbers, dates and categories: what people write, and what is no value of the column."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from explicate.v1 import bundle_pb2
from explicate_bundle.cells.cell_readers import CellError, cell_reader
from explicate_bundle.cells.date_notation import DAY_FIRST, MONTH_FIRST, YEAR_FIRST, DateNotation, date_text, days_of
from explicate_bundle.cells.number_notation import NumberNotation
from explicate_bundle.kinds.table_kind import TABLE

POINT = NumberNotation()
ENGLISH = NumberNotation(thousands=",")
GERMAN = NumberNotation(",", ".")
DECIMAL_COMMA = NumberNotation(",")
FRENCH = NumberNotation(",", " ")
SWISS = NumberNotation(thousands="'")
DOLLARS = NumberNotation(thousands=",", unit="$", parentheses=True)
KILOGRAMS = NumberNotation(unit="kg")
PERCENT = NumberNotation(",", unit="%")


@pytest.mark.parametrize(
    ("notation", "text", "number"),
    [
        (POINT, "1234.5", 1234.5),
        (POINT, " -.5 ", -0.5),
        (POINT, "\u22121e-3", -0.001),
        (POINT, "1,234.5", None),
        (POINT, "007", None),
        (POINT, "12 kg", None),
        (POINT, "(5)", None),
        (POINT, "", None),
        (POINT, "-", None),
        (POINT, "9" * 10_000, None),  # callers choose how long a text is
        (ENGLISH, "1,234.50", 1234.5),
        (ENGLISH, "1,234,567", 1234567),
        (ENGLISH, "12,34,567.5", 1234567.5),  # lakhs
        (ENGLISH, "1234.5", 1234.5),
        (ENGLISH, "12,34", None),
        (ENGLISH, "0,123", None),
        (GERMAN, "1.234,5", 1234.5),
        (GERMAN, "1.234", 1234),
        (GERMAN, "0,5", 0.5),
        (GERMAN, "1234.5", None),
        (DECIMAL_COMMA, "1234,50", 1234.5),
        (DECIMAL_COMMA, "1.234,50", None),
        (FRENCH, "1\u202f234,5", 1234.5),
        (FRENCH, "1\u00a0234\u00a0567", 1234567),
        (SWISS, "1\u2019234.5", 1234.5),
        (DOLLARS, "$1,234", 1234),
        (DOLLARS, "-$5", -5),
        (DOLLARS, "$-5", -5),
        (DOLLARS, "($1,234.5)", -1234.5),
        (DOLLARS, "5", 5),
        (DOLLARS, "€5", None),
        (KILOGRAMS, "12 kg", 12),
        (KILOGRAMS, "12.5KG", 12.5),
        (KILOGRAMS, "12 g", None),
        (NumberNotation(unit="months"), "1 month", 1),
        (PERCENT, "12,5 %", 12.5),
        (NumberNotation(unit="EUR"), "EUR 12", 12),
    ],
)
def test_a_text_is_the_number_of_its_notation(notation: NumberNotation, text: str, number: float | None) -> None:
    assert notation.parse(text) == number
    assert NumberNotation.of(notation.as_message()) == notation
    assert notation.parse(notation.example) == 1234.5


@pytest.mark.parametrize(
    ("text", "order", "wanted"),
    [
        ("2020-12-31", YEAR_FIRST, date(2020, 12, 31)),
        ("2020-12-31", MONTH_FIRST, date(2020, 12, 31)),
        ("31.12.2020", DAY_FIRST, date(2020, 12, 31)),
        ("31/12/20", DAY_FIRST, date(2020, 12, 31)),
        ("12/31/99", MONTH_FIRST, date(1999, 12, 31)),
        ("12/31/2020", DAY_FIRST, None),
        ("5 Jan 2020", YEAR_FIRST, date(2020, 1, 5)),
        ("January 5, 2020", DAY_FIRST, date(2020, 1, 5)),
        ("05-Jan-20", MONTH_FIRST, date(2020, 1, 5)),
        ("20201231", YEAR_FIRST, date(2020, 12, 31)),
        ("2020-02", YEAR_FIRST, date(2020, 2, 1)),
        ("1900-02-29", YEAR_FIRST, None),  # not a leap year
        ("2020-12-31T18:30:00Z", YEAR_FIRST, datetime(2020, 12, 31, 18, 30)),
        ("12/31/2020 6:30 PM", MONTH_FIRST, datetime(2020, 12, 31, 18, 30)),
        ("2020-12-31 18:30:00.5+02:00", YEAR_FIRST, datetime(2020, 12, 31, 18, 30, 0, 500_000)),
        ("2020-12-31 25:00", YEAR_FIRST, None),
        ("10.11.12.13", DAY_FIRST, None),
        ("1.2.3", DAY_FIRST, None),
        ("soon", YEAR_FIRST, None),
    ],
)
def test_a_text_is_the_date_of_its_columns_order(text: str, order: int, wanted: date | None) -> None:
    days = DateNotation(order).parse(text)
    if wanted is None:
        assert days is None
        return
    epoch = datetime(1970, 1, 1)
    when = wanted if isinstance(wanted, datetime) else datetime.combine(wanted, datetime.min.time())
    assert days == pytest.approx((when - epoch) / timedelta(days=1), abs=1e-9)
    assert days_of(wanted) == pytest.approx(days, abs=1e-9)
    assert DateNotation(YEAR_FIRST).parse(date_text(days)) == pytest.approx(days, abs=1e-5)


def schema(kind: str, *categories: str, missing: tuple[str, ...] = (), **notation: Any) -> bundle_pb2.ColumnSchema:
    return bundle_pb2.ColumnSchema(
        name="x", type=f"COLUMN_TYPE_{kind}", categories=categories, missing_words=missing, **notation
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("categories", "value", "read"),
    [
        (("1", "2"), 1.0, "1"),
        (("1.0", "2.0"), 1.0, "1.0"),
        (("1", "2"), "1.0", "1"),
        (("1.0", "2.0"), "1", "1.0"),
        (("1", "2"), " 2 ", "2"),
        (("1", "2"), 7.0, "7"),  # never seen: unknown, as its text
        (("01020", "20095"), 20095.0, "20095"),
        (("01020", "20095"), 1020.0, "1020"),  # unknown: 01020 is a code
        (("01020", "20095"), "1020", "1020"),
        (("1.1", "1.10"), "1.10", "1.10"),
        (("1.1", "1.10"), "1.100", "1.100"),
        (("a", "b"), "NA", None),
        (("a", "b"), "", None),
        (("a", "b"), None, None),
    ],
)
def test_a_number_is_the_one_category_that_equals_it(categories: tuple[str, ...], value: Any, read: str | None) -> None:
    assert cell_reader(schema("CATEGORY", *categories), ["NA"]).read(value) == read


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        (schema("CATEGORY", "a", "b"), 1.0, "is a number; this column takes categories, 'a', 'b'"),
        (schema("CATEGORY", "1.1", "1.10"), 1.1, "is 1.1; which of the categories '1.1', '1.10' is it?"),
        (schema("NUMBER"), "1,5", "is '1,5'; this column takes numbers, such as 1234.5"),
        (
            schema("NUMBER", number_notation=GERMAN.as_message()),
            "1234.5",
            "is '1234.5'; this column takes numbers, such as 1.234,5",
        ),
        (schema("NUMBER"), "1e999", "is inf; the model reads numbers from"),
        (
            schema("DATE", date_notation=DateNotation(DAY_FIRST).as_message()),
            "12/31/2020",
            "is '12/31/2020'; this column takes dates, such as 31.12.2020",
        ),
        (schema("DATE", date_notation=DateNotation().as_message()), 1e9, "a date's number is its days since 1970"),
        (schema("BOOLEAN", "false", "true"), 2.0, "is 2; this column takes true and false"),
    ],
)
def test_what_does_not_fit_a_column_is_said_with_an_example(
    column: bundle_pb2.ColumnSchema, value: Any, problem: str
) -> None:
    with pytest.raises(CellError) as refused:
        cell_reader(column).read(value)
    assert problem in str(refused.value)


def test_words_of_the_table_and_of_the_column_mean_missing() -> None:
    for kind, categories, notation in (
        ("NUMBER", (), {}),
        ("DATE", (), {"date_notation": DateNotation().as_message()}),
        ("CATEGORY", ("a",), {}),
        ("BOOLEAN", ("false", "true"), {}),
    ):
        reader = cell_reader(schema(kind, *categories, missing=("-",), **notation), ["NA"])
        assert [reader.read(text) for text in ("NA", " - ", "", None)] == [None] * 4


def test_a_date_is_read_as_text_days_or_figures_alike() -> None:
    reader = cell_reader(schema("DATE", date_notation=DateNotation(DAY_FIRST).as_message()))
    assert {reader.read(value) for value in ("31.12.2020", "2020-12-31", 20201231.0, 18627.0)} == {18627.0}


def test_true_and_false_have_their_words_and_figures() -> None:
    reader = cell_reader(schema("BOOLEAN", "false", "true"))
    assert [reader.read(value) for value in ("True", "yes", 1.0, "0", "FALSE", "maybe")] == [
        "true", "true", "true", "false", "false", "maybe",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        (schema("NUMBER", number_notation=bundle_pb2.NumberNotation(decimal=";")), "number_notation.decimal is ';'"),
        (schema("NUMBER", number_notation=bundle_pb2.NumberNotation(decimal=",", thousands=",")), "thousands is ','"),
        (schema("NUMBER", number_notation=bundle_pb2.NumberNotation(unit="a" * 99)), "unit is"),
        (schema("CATEGORY", "a", number_notation=GERMAN.as_message()), "has number_notation and is not a number"),
        (schema("DATE"), "is a date, or has date_notation, without the other"),
        (schema("DATE", date_notation=bundle_pb2.DateNotation()), "date_notation.order is 0"),
        (schema("DATE", "a", date_notation=DateNotation().as_message()), "has numbers and categories"),
    ],
)
def test_a_manifest_with_a_notation_that_cannot_be_is_refused(column: bundle_pb2.ColumnSchema, fault: str) -> None:
    manifest = bundle_pb2.Bundle(tabular=bundle_pb2.TabularSchema(columns=[column], background_rows=1))
    assert any(fault in said for holds, said in TABLE.checks(manifest) if not holds)
