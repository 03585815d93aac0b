"""lime's neighbours of a row of a table, drawn from the statistics of the training data, draw for draw as lime does.

Ribeiro, Singh & Guestrin, "Why Should I Trust You?", KDD 2016; lime 0.2.0.1, lime/lime_tabular.py (__data_inverse) and
lime/discretize.py at their defaults. For every column a bin of its training values, or a category, is drawn by its
frequency, independently of the other columns and of the row. In a number's bin its value is then drawn from the normal
distribution with the bin's mean and standard deviation, cut off at the bin's edges. A column of a drawn row counts as
present where its bin or category is that of the row that is explained.

Where no value is missing these are lime's own rows. What lime cannot take has bins of its own: a missing number the one
of the training rows that lacked it, a missing or unknown category its code. Where the training rows had no such value
it is never drawn, and the column is absent in every row but the first.

One fault of lime is kept with its numbers: a bin with one single value (a quartile that is the column's least value,
say) gives the distance of that value to the bin's mean, in standard deviations, which is about 0, not the value.
"""

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.columns import Column, TableColumns
from explicate_bundle.table_arrays import BINS, LimeStatistics, by_column

# lime adds it to the standard deviation of each bin, which may be 0.
_LEAST_DEVIATION = 1e-11

Floats = NDArray[np.float64]


class TableSampler:
    """Draws rows for one bundle. Safe to use from several threads."""

    def __init__(self, columns: TableColumns, statistics: LimeStatistics) -> None:
        self._columns = columns
        self._statistics = statistics
        # For each place of a model row: numbers first, then codes.
        self._frequencies = [*statistics.frequencies, *by_column(statistics.code_frequencies, columns)]

    def draw(self, row: Floats, *, rows: int, seed: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Neighbours of a row.

        Args:
            row: float64[columns], a model row (see `TableColumns`).
            rows: how many, the row itself included.
            seed: of lime's `random_state`, below 2^32.

        Returns:
            Model rows float64[rows, columns], the first one the row itself, and bool[rows, columns] which columns of
            each are present, in the schema's order.
        """
        random = np.random.RandomState(seed)
        sample = np.empty((len(self._columns.all), rows)).T  # filled a column at a time
        present = np.ones((rows, len(self._columns.all)), dtype=np.bool_)
        for position, column in enumerate(self._columns.all):
            frequencies = self._frequencies[column.place]
            sample[:, column.place] = random.choice(len(frequencies), size=rows, p=frequencies)
            present[1:, position] = sample[1:, column.place] == self._bin(column, row[column.place])
        for column in self._columns.all:
            if column.codes is None:
                bins = sample[1:, column.place].astype(np.intp)
                sample[1:, column.place] = self._values(column.place, bins, random)
        sample[0] = row
        return sample, present

    def _bin(self, column: Column, value: float) -> int:
        """The bin, or the code, of a value."""
        if column.codes is not None:
            return int(value)
        # As the model and the statistics see it: 0.7 and a quartile of 0.7 are the same float32.
        rounded = np.float64(np.float32(value))
        return BINS if np.isnan(rounded) else int(np.searchsorted(self._statistics.edges[column.place, 1:-1], rounded))

    def _values(self, place: int, bins: NDArray[np.intp], random: np.random.RandomState) -> Floats:
        """Numbers float64[rows] in these bins, NaN in that of missing values.

        Between its edges a standard normal is Φ⁻¹(Φ(least) + u·(Φ(most) − Φ(least))), with the numbers u that
        `scipy.stats.truncnorm.rvs` takes, which lime calls. That works in logarithms, for ends far out on one side;
        here the mean lies between the edges, and the plain formula meets it to 4e-12 in less than a third of the time.
        """
        from scipy.special import ndtr, ndtri  # models of texts need not wait for it

        statistics = self._statistics
        means, deviations = statistics.means[place], statistics.deviations[place] + _LEAST_DEVIATION
        least = (statistics.edges[place, :-1] - means) / deviations
        most = (statistics.edges[place, 1:] - means) / deviations
        below = ndtr(least)
        between = ndtr(most) - below
        values = np.full(len(bins), np.nan)
        known = np.flatnonzero(bins < BINS)
        values[known] = least[bins[known]]
        wide = known[(least != most)[bins[known]]]
        bins = bins[wide]
        draws = ndtri(below[bins] + random.uniform(size=len(wide)) * between[bins])
        values[wide] = means[bins] + deviations[bins] * np.clip(draws, least[bins], most[bins])
        return values
