"""What a refusal says of the names that are nearest, and what finding them may cost."""

import pytest

from explicate.reading.nearest import did_you_mean, nearest
from explicate_server.errors import MOST_VIOLATIONS_TOLD, InvalidRequest, Violation
from explicate_server.inference.asking.targets import Target, target_violations
from explicate_server.modalities.rows.packed_table import NOT_A_COLUMN, column_advice


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("reviws", ["reviews"]),
        ("REVIEWS", ["reviews"]),
        ("credits", ["credit"]),
        ("xyzzy", []),
        ("", []),
        ("reviews" * 20, []),
    ],
)
def test_the_nearest_names_are_found_whatever_their_case(name: str, found: list[str]) -> None:
    assert nearest(name, ["reviews", "credit", "", "x" * 500], most=1) == found


def test_too_many_names_are_not_compared() -> None:
    assert nearest("name1", [f"name{i}" for i in range(256)])
    assert nearest("name1", [f"name{i}" for i in range(257)]) == []


def test_advice_is_asked_of_the_fields_that_are_told_only() -> None:
    asked: list[int] = []

    def violation(place: int) -> Violation:
        return Violation(f"cells[{place}]", "is wrong", lambda: asked.append(place) or "; really")  # type: ignore[func-returns-value]

    error = InvalidRequest([violation(place) for place in range(1000)])
    assert asked == list(range(MOST_VIOLATIONS_TOLD))
    assert len(error.violations) == 1000
    assert [each.description for each in error.violations[:9]] == ["is wrong; really"] * 8 + ["is wrong"]
    assert error.detail.count("is wrong; really") == MOST_VIOLATIONS_TOLD


def test_a_wrong_column_is_told_with_the_nearest_or_to_leave_it_out() -> None:
    known = ("income", "age")
    told = [Violation(name, NOT_A_COLUMN, column_advice(name, NOT_A_COLUMN, known)).told() for name in ("Incom", "xyz")]
    assert [each.description for each in told] == [
        "is not a column of this model; did you mean income?",
        "is not a column of this model; leave it out",
    ]
    assert column_advice("income", "is 'much'", known) is None


def test_a_wrong_class_is_told_with_the_nearest_or_with_all() -> None:
    for label, told in (("Great", "; did you mean great?"), ("xyz", "; there are 'great', 'other'")):
        (violation,) = target_violations(Target(label=label), ["great", "other"], regression=False)
        assert violation.description == f"{label!r} is not a class{told}"


def test_advice_is_the_end_of_a_sentence() -> None:
    assert did_you_mean("reviws", ["reviews", "preview"]) == "; did you mean reviews or preview?"
    assert did_you_mean("xyz", ["reviews"]) == ""
