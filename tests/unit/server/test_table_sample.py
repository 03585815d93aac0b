"""lime's rows of a table are those of the lime library, of odd columns too; where it has none, they follow a rule."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from explicate_bundle.columns import TableColumns
from explicate_bundle.table_arrays import LimeStatistics
from explicate_server.explain import explain_game
from explicate_server.modalities.rows.table_sampler import TableSampler
from explicate_training.table.background import lime_statistics
from support.lime_tables import library, matrix, split
from support.tiny_table_bundle import COLUMNS, TinyTable, tiny_table, wide_columns

Floats = NDArray[np.float64]
WHOLE = {"loans": replace(tiny_table(), lime_missing=0.0), "losses": replace(tiny_table(labels=()), lime_missing=0.0)}


def sampler_of(table: TinyTable, numbers: Floats, codes: NDArray[np.int64]) -> TableSampler:
    counts = [2 + len(column.categories) for column in table.others]
    statistics = LimeStatistics(**vars(lime_statistics(numbers.astype(np.float32), codes, counts)))
    return TableSampler(TableColumns(table.schema()), statistics)


def scores(table: TinyTable, numbers: Floats, codes: NDArray[np.int64]) -> Floats:
    """Probabilities float64[rows, classes] as lime wants them, or values float64[rows]."""
    answers = table.answers(numbers, codes)
    return table.probabilities(answers) if table.labels else answers[:, 0]


def recorded(table: TinyTable, row: Floats, *, seed: int, samples: int) -> Floats:
    """The rows that the library asks its model for, in the schema's order."""
    asked: list[Floats] = []

    def predict(rows: Floats) -> Floats:
        asked.append(rows.copy())
        return table.probabilities(table.answers(*split(table, rows)))

    library(table, row, predict, seed=seed, samples=samples)
    return np.concatenate(asked)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("name", WHOLE)
def test_values_are_those_of_the_lime_library(name: str, seed: int) -> None:
    table = WHOLE[name]
    numbers, codes = table.rows(1, seed=seed % 97, missing=0.0)
    row = matrix(table, numbers, codes)[0]

    def predict(rows: Floats) -> Floats:
        return scores(table, *split(table, rows))

    expected, intercepts = library(table, row, predict, seed=seed, samples=500)
    model_row = np.concatenate([numbers[0], codes[0]])
    sample, present = sampler_of(table, *table.training_rows()).draw(model_row, rows=500, seed=seed)
    split_at = len(table.numbers)
    answers = scores(table, sample[:, :split_at], sample[:, split_at:].astype(np.int64)).reshape(500, -1)
    ours = explain_game(
        lambda numbers: answers[numbers],
        len(row),
        method="lime",
        reads="table",
        drawn=present,
        max_evaluations=500,
        seed=seed,
    )
    assert ours.values == pytest.approx(expected, abs=1e-9)
    assert ours.baseline_value == pytest.approx(intercepts, abs=1e-9)
    assert np.abs(expected).max() > 0.01
    assert ours.evaluations == 500


def odd(table: TinyTable, training: Floats) -> Floats:
    """Number columns with equal quartiles, one value only, few values, and values beside them."""
    odd = training.copy()
    odd[:, 0] = np.maximum(odd[:, 0], 0.25)  # its least value is a quartile or two
    odd[:, 1] = np.minimum(odd[:, 1], -0.5)  # and here the largest
    odd[:, 2] = 4.0
    odd[:, 3] = np.round(odd[:, 3])
    return odd


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_odd_columns_are_drawn_as_the_library_draws_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    table = WHOLE["loans"]
    numbers, codes = table.training_rows()
    numbers = odd(table, numbers)
    monkeypatch.setattr(TinyTable, "training_rows", lambda _table: (numbers, codes))
    row = matrix(table, numbers, codes)[seed]
    expected = recorded(table, row, seed=seed, samples=300)
    sample, _ = sampler_of(table, numbers, codes).draw(
        np.concatenate([numbers[seed], codes[seed]]), rows=300, seed=seed
    )
    split_at = len(table.numbers)
    ours = matrix(table, sample[:, :split_at], sample[:, split_at:].astype(np.int64))
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-10)
    assert len(np.unique(ours, axis=0)) > 250


def test_a_missing_number_is_drawn_as_often_as_training_rows_lacked_it_and_is_like_missing_ones_only() -> None:
    table = tiny_table()
    numbers, codes = table.training_rows()
    sampler = sampler_of(table, numbers, codes)
    absent = np.concatenate([np.full(len(table.numbers), np.nan), codes[0]])
    sample, present = sampler.draw(absent, rows=4000, seed=3)
    shares = np.isnan(numbers).mean(axis=0)
    drawn = np.isnan(sample[1:, : len(table.numbers)])
    # Four standard deviations of a share of 4,000 draws.
    np.testing.assert_allclose(drawn.mean(axis=0), shares, atol=4 * np.sqrt(0.1 * 0.9 / 4000))
    assert shares.min() > 0
    for place, name in enumerate(table.numbers):
        position = [column.name for column in table.columns].index(name)
        np.testing.assert_array_equal(present[1:, position], drawn[:, place])


def test_values_that_training_never_had_are_never_drawn_and_absent_in_every_row_but_the_first() -> None:
    table = WHOLE["loans"]  # trained without holes, on known categories
    sampler = sampler_of(table, *table.training_rows())
    row = np.concatenate([np.full(len(table.numbers), np.nan), np.zeros(len(table.others))])
    sample, present = sampler.draw(row, rows=500, seed=0)
    np.testing.assert_array_equal(sample[0], row)
    assert present[0].all()
    assert not present[1:].any()
    assert not np.isnan(sample[1:]).any()
    assert (sample[1:, len(table.numbers) :] >= 2).all()


def test_a_column_without_any_training_value_is_always_missing() -> None:
    table = tiny_table(COLUMNS[:1])
    sampler = sampler_of(table, np.full((9, 1), np.nan), np.zeros((9, 0), np.int64))
    sample, present = sampler.draw(np.array([np.nan]), rows=20, seed=0)
    assert np.isnan(sample).all()
    assert present.all()
    sample, present = sampler.draw(np.array([1.0]), rows=20, seed=0)
    assert present.ravel().tolist() == [True] + [False] * 19


def test_a_number_falls_into_the_bin_of_its_float32() -> None:
    table = tiny_table(COLUMNS[:1])
    # 0.7 as a float32 is below 0.7: a quartile of the training values, the same value when it is asked.
    numbers = np.array([[0.1], [0.7], [0.7], [0.9]])
    sampler = sampler_of(table, numbers, np.zeros((4, 0), np.int64))
    as_asked = sampler.draw(np.array([0.7]), rows=200, seed=0)[1]
    as_trained = sampler.draw(np.array([float(np.float32(0.7))]), rows=200, seed=0)[1]
    np.testing.assert_array_equal(as_asked, as_trained)
    assert as_asked[1:].any()


def test_the_draw_depends_on_the_seed_and_on_nothing_else() -> None:
    table = tiny_table(wide_columns(30))
    sampler = sampler_of(table, *table.training_rows())
    numbers, codes = table.rows(1, seed=4)
    row = np.concatenate([numbers[0], codes[0]])
    first, second, other = (sampler.draw(row, rows=100, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first[1:] != other[1:]).any(axis=1).all()
