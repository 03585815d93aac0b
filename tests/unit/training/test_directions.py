"""In which direction parts move answers, on rows of which the direction is known by construction."""

from typing import Any

import pytest

from explicate_bundle.telling.grounds import Ground, Saying
from explicate_training.report.directions import SignedRow, directed

TWO, THREE = ["bad", "good"], ["a", "b", "c"]


def says(rows: list[SignedRow], labels: list[str], name: str = "x") -> tuple[Saying, ...]:
    (found,) = directed([Ground(name, 0.5, 0.4, 0.6)], rows, labels)
    return found.says


def cells(values: list[tuple[Any, float]], output: int = 1) -> list[SignedRow]:
    return [SignedRow(output, {"x": value}, {"x": cell}) for cell, value in values]


def test_a_number_speaks_for_what_it_raises() -> None:
    rising = [(number, number / 10 - 0.4) for number in range(9)]
    assert says(cells(rising), TWO) == (Saying("higher", "good", True),)
    # The same rows explained for the other of two outputs.
    assert says([SignedRow(0, {"x": -value}, {"x": cell}) for cell, value in rising], TWO) == says(cells(rising), TWO)
    assert says(cells([(cell, -value) for cell, value in rising]), TWO) == (Saying("higher", "bad", True),)
    assert says(cells(rising, output=0), []) == (Saying("higher", "", True),)


def test_a_number_without_a_direction_says_nothing() -> None:
    valley = [(number, abs(number - 4.0)) for number in range(9)]
    assert says(cells(valley), TWO) == ()
    assert says(cells([(1, 0.2)] * 9), TWO) == ()


def test_values_of_a_category_are_told_each_way() -> None:
    rows = cells([("none", -0.3)] * 4 + [("fixed", 0.2)] * 4 + [("other", 0.01)] * 4 + [("rare", 0.9)] * 2)
    assert says(rows, TWO) == (Saying("value", "bad", True, "none"), Saying("value", "good", True, "fixed"))
    assert says(cells([(None, 0.3)] * 4), TWO) == (Saying("value", "good", True, "missing"),)


@pytest.mark.parametrize(("values", "told"), [([0.2] * 4, True), ([-0.2] * 3 + [0.1], False)])
def test_a_word_speaks_for_what_it_moves_nearly_always(values: list[float], told: bool) -> None:
    rows = [SignedRow(1, {"x": value}, {}) for value in values]
    assert says(rows, []) == (Saying("there", "", told),)
    assert says([SignedRow(1, {"x": value}, {}) for value in (0.1, -0.1, 0.2, -0.2)], []) == ()
    assert says(rows[:2], []) == ()


def test_of_several_outputs_the_one_that_is_moved_most_is_told() -> None:
    rows = [SignedRow(2, {"x": 0.5}, {})] * 4 + [SignedRow(0, {"x": -0.1}, {})] * 4
    assert says(rows, THREE) == (Saying("there", "c", True),)


def test_places_have_no_direction() -> None:
    assert says([SignedRow(1, {"x": 0.5}, {}, placed=True)] * 9, TWO) == ()


def test_a_part_whose_strength_may_be_0_is_left_out() -> None:
    weak = Ground("weak", 0.9, 0.0, 1.0)
    strong = [Ground(f"p{number}", number / 10, 0.01, 1.0) for number in range(1, 16)]
    found = directed([weak, *strong], [], TWO)
    assert [one.name for one in found][:2] == ["p15", "p14"]
    assert len(found) == 12
