"""Columns that go along with each other, held against the measures' own definitions."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import contingency, rankdata, spearmanr

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.columns import TableColumns
from explicate_server.modalities.rows.near_copies import in_common, near_copies
from support.tiny_table_bundle import tiny_table

RANDOM = np.random.default_rng(0)
ROWS = 200
EVEN = np.full(ROWS, 1 / ROWS)
INCOME, NOISE = RANDOM.normal(size=ROWS), RANDOM.normal(size=ROWS)
SALARY = np.exp(INCOME + 0.05 * NOISE)  # another scale, nearly the same order
BAND = np.digitize(INCOME, [-0.7, 0.0, 0.7]).astype(float)
CODE = np.where(RANDOM.random(ROWS) < 0.02, 0.0, BAND)
OTHER = RANDOM.integers(0, 3, ROWS).astype(float)


def test_two_numbers_have_the_square_of_spearmans_correlation_in_common():
    common = in_common(np.column_stack([INCOME, SALARY, NOISE]), EVEN, numbers=3)
    for first, second in product(range(3), repeat=2):
        columns = (INCOME, SALARY, NOISE)
        rho = spearmanr(columns[first], columns[second])[0]
        assert common[first, second] == pytest.approx(0.0 if first == second else rho**2, abs=1e-12)


@pytest.mark.parametrize("second", [CODE, OTHER], ids=["near", "far"])
def test_two_categories_have_the_corrected_square_of_cramers_v_in_common(second):
    common = in_common(np.column_stack([BAND, second]), EVEN, numbers=0)
    _, counts = contingency.crosstab(BAND, second)
    phi2 = contingency.association(counts, method="cramer") ** 2 * (min(counts.shape) - 1)
    r, c = counts.shape
    corrected = max(0.0, phi2 - (r - 1) * (c - 1) / (ROWS - 1))
    least = min(size - 1 - (size - 1) ** 2 / (ROWS - 1) for size in (r, c))
    assert common[0, 1] == pytest.approx(corrected / least, abs=1e-9)


def test_a_number_and_a_category_have_the_adjusted_correlation_ratio_of_ranks_in_common():
    common = in_common(np.column_stack([INCOME, BAND]), EVEN, numbers=1)
    ranks = rankdata(INCOME)
    between = sum(ranks[band == BAND].size * (ranks[band == BAND].mean() - ranks.mean()) ** 2 for band in range(4))
    ratio = between / ((ranks - ranks.mean()) ** 2).sum()
    assert common[0, 1] == pytest.approx(1 - (1 - ratio) * (ROWS - 1) / (ROWS - 4), abs=1e-9)


def test_what_no_two_rows_share_is_nobodys_copy():
    """Uncorrected, η² and V² of a name with everything else are 1."""
    names = np.arange(ROWS).astype(float)
    common = in_common(np.column_stack([INCOME, names, BAND]), EVEN, numbers=1)
    assert common[0, 1] == common[1, 2] == 0.0


def test_weights_count_as_so_many_rows():
    columns = np.column_stack([INCOME, BAND, CODE])[:100]
    weights = np.where(np.arange(100) < 50, 2.0, 1.0)
    common = in_common(columns, weights / weights.sum(), numbers=1)
    assert common[0, 1] == pytest.approx(in_common(columns, np.full(100, 0.01), numbers=1)[0, 1], abs=0.1)
    assert in_common(columns, np.eye(100)[0], numbers=1).max() == 0.0  # one row alone says nothing


def test_missing_numbers_and_constants_are_no_trouble():
    income = np.where(RANDOM.random(ROWS) < 0.1, np.nan, INCOME)
    table = np.column_stack([income, np.full(ROWS, 3.0), np.full(ROWS, np.nan), SALARY, np.zeros(ROWS)])
    common = in_common(table, EVEN, numbers=4)
    assert np.isfinite(common).all()
    assert common[0, 3] > 0.7
    assert common[[1, 2, 4]].max() == 0.0


class TestOfASchema:
    """The tiny table: three numbers, debt_short and debt_long of one group, and four other columns."""

    def rows(self, schema: TabularSchema) -> tuple[TableColumns, np.ndarray]:
        columns = TableColumns(schema)
        rows = RANDOM.normal(size=(ROWS, len(columns.all)))
        for column in columns.all:
            if column.codes is not None:
                rows[:, column.place] = RANDOM.integers(1, 3, ROWS)
        return columns, rows

    def test_copies_are_told_by_name_and_not_of_one_player(self):
        columns, rows = self.rows(tiny_table().schema())
        place = {column.name: column.place for column in columns.all}
        for name in ("debt_short", "debt_long", "age"):
            rows[:, place[name]] = rows[:, place["income"]] ** 3
        found = near_copies(rows, EVEN, columns)
        assert found["income"] == ("debt_short", "age", "debt_long")
        assert found["debt_short"] == ("income", "age")
        assert set(found) == {"income", "debt_short", "age", "debt_long"}

    def test_few_rows_tell_of_no_copies(self):
        columns, rows = self.rows(tiny_table().schema())
        rows[:, 1] = rows[:, 0]
        assert near_copies(rows[:15], np.full(15, 1 / 15), columns) == {}
        assert near_copies(rows, EVEN, columns) != {}
