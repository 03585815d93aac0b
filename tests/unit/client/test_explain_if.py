"""The language of `--explain-if`: what it says, what it refuses and where, and that it says the same as Python."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explicate.errors import UsageError
from explicate.scoring.conditions.grammar import condition_of

LABELS = ("bad", "good", 'so "so"')
ROWS = pa.record_batch(
    {
        "label": ["bad", "good", "good", None],
        "probability": [0.9, 0.5, 0.7, None],
        "probabilities": [[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.1, 0.7, 0.2], None],
        "age": pa.array([34, None, -7, 2**53 + 1]),
        "owner": [True, False, None, True],
        "day": [dt.date(2020, 12, 31), dt.date(2021, 1, 1), None, dt.date(1969, 1, 1)],
        "moment": pa.array([0, 1, 2, None], pa.timestamp("s", "Europe/Paris")),
        "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal(2), decimal.Decimal(3)], pa.decimal128(9, 2)),
        "odd name`s": ["x", "y", None, ""],
        "in": [1.5, float("nan"), 2.0, 3.0],
        "tags": [["a"], None, [], ["b"]],
        "nothing": pa.nulls(4),
    }
)


def chosen(text: str) -> list[int]:
    condition = condition_of(text, LABELS)
    condition.check(ROWS.schema)
    return [place for place, holds in enumerate(condition(ROWS)) if holds]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("probability < 0.6 or label == 'bad'", [0, 1]),
        ('probability < 0.6 or label == "bad"', [0, 1]),
        ("probability<.6 OR label='bad'", [0, 1]),
        ("not (probability < 0.6 or label == 'bad')", [2]),
        ("label != 'bad'", [1, 2]),
        ("label <> 'bad' and age < 0", [2]),
        ("age == 9007199254740993", [3]),
        ("age == 9007199254740992", []),
        ("age = -7", [2]),
        ("0.5 < probability <= 0.9", [0, 2]),
        ("label in ('bad', 'other')", [0]),
        ("label not in ['bad']", [1, 2]),
        ("age in (34, -7.0)", [0, 2]),
        ("age is null", [1]),
        ("age is not null and not owner", []),
        ("owner", [0, 3]),
        ("owner == false", [1]),
        ("not owner", [1]),
        ("label is null or owner is null", [2, 3]),
        ('p["good"] > 0.4', [1, 2]),
        ('p[\'so "so"\'] >= 0.2 and p["bad"] < 0.2', [2]),
        ("day >= '2020-12-31'", [0, 1]),
        ("'2021-01-01' == day", [1]),
        ("moment > '1970-01-01T01:00:00'", [1, 2]),
        ("day in ('2021-01-01', '1969-01-01')", [1, 3]),
        ("price > 1.5", [2, 3]),
        ("`odd name``s` == ''", [3]),
        ("`in` is null", [1]),
        ("`in` != 1.5", [2, 3]),
        ("nothing is null", [0, 1, 2, 3]),
        ("nothing == 'a'", []),
        ("true", [0, 1, 2, 3]),
        ("1 < 2 and owner", [0, 3]),
        ("2 < 1", []),
        ("age < probability", [2]),
        ("owner or owner is null and label == 'good'", [0, 2, 3]),  # `and` goes before `or`
        ("(owner or owner is null) and label == 'good'", [2]),
        ("label == 'a\\'b' or label == \"bad\"", [0]),
        ("tags is null", [1]),
    ],
)
def test_a_condition_chooses_rows(text, rows):
    assert chosen(text) == rows


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("", "the condition is empty", 0),
        ("probability <", "a column, a number, .* is wanted here, not the end", 13),
        ("probability < 0.6 label", "'and', 'or' or the end is wanted here, not label", 18),
        ("(probability < 0.6", "'\\)' is wanted here, not the end", 18),
        ("label == 'bad", "this ' is not closed", 9),
        ("label == bad", "there is no column bad", 9),
        ("lable == 'bad'", "there is no column lable \\(did you mean label\\?\\)", 0),
        ("label < 3", "a text cannot be compared with a number", 6),
        ("probability == 'high'", "a number cannot be compared with a text", 12),
        ("probability", "this is a number, where a comparison", 0),
        ("label == 'a' and 'b'", "this is a text, where a comparison", 17),
        ("not age", "this is a number, where", 4),
        ("owner < true", "true and false are not in an order", 6),
        ("label in ()", "a column, a number", 10),
        ("label in ('a', age)", "a number, a text in quotes, true or false is wanted in a list", 15),
        ("label in 'bad'", "a list such as", 9),
        ("label in ('a', 3)", "a text cannot be compared with a number", 15),
        ('p["bed"] > 0.1', "does not have a class bed \\(did you mean bad", 2),
        ("p[bad] > 0.1", "a class in quotes is wanted here", 2),
        ("day > 'soon'", "'soon' is not a time such as", 6),
        ("tags == 'a'", "the column tags holds list", 0),
        ("probabilities > 0.5", 'ask for the probability of a class, such as p\\["spam"\\]', 0),
        ("label == 'a' && owner", "'&' does not belong here: write 'and'", 13),
        ("age is 3", "'null' is wanted here, not 3", 7),
        ("1x < 3", "this is not a number; a column whose name", 0),
        ("age < 1e999", "this number is too large", 6),
        ("age < __import__('os').system('true')", "'.' does not belong here", 22),
        ("age.__class__ == 1", "there is no column age.__class__", 0),
        ("(" * 101 + "true" + ")" * 101, "more than 100 brackets", 100),
        ("not " * 5000 + "owner", "more than 100 brackets", 400),
    ],
)
def test_a_mistake_is_told_with_its_place(text, message, at):
    with pytest.raises(UsageError, match=message) as caught:
        chosen(text)
    told, line, mark = str(caught.value).split("\n")
    assert told.startswith("--explain-if: ")
    assert (line, mark) == (f"  {text}", f"  {' ' * at}^")


def test_a_long_chain_is_no_matter_of_depth():
    assert chosen(" or ".join(f"age == {number}" for number in range(3000))) == [0]


def test_a_model_without_classes_is_told():
    with pytest.raises(UsageError, match="does not have a class bad: there are none"):
        condition_of('p["bad"] > 0.5', ())


# A condition at random, as a text, and as a function of a row in Python; None is unknown.
_NAMES = ("x", "y", "s")
_TEXTS = st.sampled_from(["", "a", "b", "it's", 'say "so"', "back\\slash", "ä€😀"])


def _unknown_if_missing(compare, *values):
    return None if None in values else compare(*values)


@st.composite
def comparisons(draw):
    kind = draw(st.sampled_from(["numbers", "columns", "texts", "in", "null"]))
    sign = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
    compare = {
        "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
        "==": lambda a, b: a == b, "!=": lambda a, b: a != b,
    }[sign]  # fmt: skip
    if kind == "numbers":
        name, number = draw(st.sampled_from("xy")), draw(st.integers(-3, 3) | st.floats(-3, 3))
        return f"{name} {sign} {number!r}", lambda row: _unknown_if_missing(compare, row[name], number)
    if kind == "columns":
        return f"x {sign} y", lambda row: _unknown_if_missing(compare, row["x"], row["y"])
    text = draw(_TEXTS)
    quote = draw(st.sampled_from("'\""))
    written = quote + text.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote
    if kind == "texts":
        return f"s {sign} {written}", lambda row: _unknown_if_missing(compare, row["s"], text)
    if kind == "in":
        return f"s in ({written}, 'a')", lambda row: _unknown_if_missing(lambda s: s in (text, "a"), row["s"])
    name = draw(st.sampled_from(_NAMES))
    return f"{name} is null", lambda row: row[name] is None


def _not(value):
    return None if value is None else not value


def _and(one, other):
    return False if one is False or other is False else None if None in (one, other) else True


def _both(draw_children):
    def join(parts):
        (word, (one, f), (other, g)) = parts
        if word == "and":
            return f"({one}) and ({other})", lambda row: _and(f(row), g(row))
        return f"({one}) or ({other})", lambda row: _not(_and(_not(f(row)), _not(g(row))))

    negated = draw_children.map(lambda part: (f"not ({part[0]})", lambda row: _not(part[1](row))))
    return negated | st.tuples(st.sampled_from(["and", "or"]), draw_children, draw_children).map(join)


_ROW = st.fixed_dictionaries(
    {
        "x": st.none() | st.integers(-3, 3),
        "y": st.none() | st.floats(-3, 3),
        "s": st.none() | _TEXTS,
    }
)


@settings(max_examples=150, deadline=None)
@given(st.recursive(comparisons(), _both, max_leaves=8), st.lists(_ROW, min_size=1, max_size=8))
def test_every_condition_says_what_python_says(condition, rows):
    text, expected = condition
    batch = pa.RecordBatch.from_pylist(
        rows, schema=pa.schema([("x", pa.int64()), ("y", pa.float64()), ("s", pa.string())])
    )
    parsed = condition_of(text, ())
    parsed.check(batch.schema)
    assert list(parsed(batch)) == [expected(row) is True for row in rows]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abxp<>=!()[]'\"`\\., 0123456789-&|notin", max_size=40))
def test_no_text_ends_in_another_error(text):
    with contextlib.suppress(UsageError):
        condition_of(text, LABELS).check(ROWS.schema)
