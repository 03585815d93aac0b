"""Rows that a game draws are asked for by number, so that two with the same players are two."""

import numpy as np
import pytest

from explicate_server.explain.estimators.drawn_rows import NUMBER_BITS, numbered, row_numbers
from explicate_server.inference.evaluations import coalition_keys


@pytest.mark.parametrize("n", [1, 7, 8, 40])
def test_numbers_come_back_and_players_stay_where_they_are(n: int) -> None:
    presence = np.random.default_rng(n).random((70_000, n)) < 0.5
    asked = numbered(presence)
    assert asked.shape == (70_000, n + NUMBER_BITS)
    np.testing.assert_array_equal(asked[:, :n], presence)
    np.testing.assert_array_equal(row_numbers(asked, n), np.arange(70_000))
    some = asked[[69_999, 5, 65_536]]
    assert row_numbers(some, n).tolist() == [69_999, 5, 65_536]


@pytest.mark.parametrize("n", [1, 7, 8, 40])
def test_no_two_rows_are_kept_under_one_key_nor_one_under_that_of_a_coalition(n: int) -> None:
    alike = numbered(np.ones((1000, n), np.bool_))
    keys = [*coalition_keys(alike), *coalition_keys(np.array([[True] * n, [False] * n]))]
    assert len(set(keys)) == len(keys)


def test_the_input_itself_is_row_0_and_no_other_coalition_is_a_row() -> None:
    assert row_numbers(np.ones((1, 5), np.bool_), 5).tolist() == [0]
    with pytest.raises(ValueError, match="no value for a coalition"):
        row_numbers(np.array([[True, False]]), 2)
