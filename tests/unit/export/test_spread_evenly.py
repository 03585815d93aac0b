"""Choosing some of many."""

import pytest

from explicate_export.golden_inputs import spread_evenly


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, [0]), (2, [0, 8]), (3, [0, 4, 8]), (5, [0, 2, 4, 6, 8]), (9, list(range(9)))]
)
def test_some_of_many_are_spread_over_all(count: int, chosen: list[int]) -> None:
    assert spread_evenly(range(9), count) == chosen


@pytest.mark.parametrize("count", range(1, 60))
def test_nothing_is_chosen_twice_and_all_when_there_are_no_more(count: int) -> None:
    chosen = spread_evenly(range(40), count)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, 40)
