"""The games of a row of a table: absent columns take the background's values, or are drawn anew in every row."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.columns import TableColumns
from explicate_server.explain.estimators.drawn_rows import row_numbers
from explicate_server.modalities.modality import CellValue, ColumnPlayer
from explicate_server.modalities.table_sample import TableSampler
from explicate_server.runtime.queue import BUCKET_TOKENS, Row

# All rows cost the same. The queue tells lengths apart in steps of so many.
ROW_LENGTH = BUCKET_TOKENS


class BackgroundGame:
    """Players own columns; an absent player's take the values of each background row."""

    breaks = None
    segment_map = None

    def __init__(
        self,
        columns: TableColumns,
        cells: Mapping[str, CellValue],
        row: Row,
        background: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        self.players = [
            ColumnPlayer(name, tuple((column.name, cells[column.name]) for column in members))
            for name, members in columns.players
        ]
        self.weights = weights
        self._owners = columns.owners
        self._row = row.values
        self._background = background

    def grouped(self, groups: NDArray[np.intp]) -> list[ColumnPlayer]:
        """The columns of each group under the names of its first and last player."""
        return _grouped(self.players, groups)

    def rows(self, coalitions: NDArray[np.bool_]) -> list[Row]:
        """For each coalition, the input with the background's values in the absent columns."""
        present = coalitions[:, np.newaxis, self._owners]  # [m, 1, columns]
        values = np.where(present, self._row, self._background)  # [m, b, columns]
        return [Row(ROW_LENGTH, of_coalition, len(of_coalition)) for of_coalition in values]


class DrawnGame:
    """Rows drawn by lime's rule. Every column is a player: lime knows no groups of them."""

    breaks = None
    segment_map = None

    def __init__(self, columns: TableColumns, cells: Mapping[str, CellValue], row: Row, sampler: TableSampler) -> None:
        self.players = [ColumnPlayer(column.name, ((column.name, cells[column.name]),)) for column in columns.all]
        self.weights = np.ones(1)
        self._sampler = sampler
        self._sample = row.values

    def draw(self, *, rows: int, seed: int) -> NDArray[np.bool_]:
        """Draw the rows; which players of each are present, bool[rows, players], the first one the input itself."""
        self._sample, present = self._sampler.draw(self._sample[0], rows=rows, seed=seed)
        return present

    def grouped(self, groups: NDArray[np.intp]) -> list[ColumnPlayer]:
        """The columns of each group under the names of its first and last player."""
        return _grouped(self.players, groups)

    def rows(self, coalitions: NDArray[np.bool_]) -> list[Row]:
        """The rows with these numbers, see drawn_rows.py."""
        numbers = row_numbers(coalitions, len(self.players))
        return [Row(ROW_LENGTH, self._sample[number : number + 1]) for number in numbers.tolist()]


def _grouped(players: Sequence[ColumnPlayer], groups: NDArray[np.intp]) -> list[ColumnPlayer]:
    return [
        _joined([player for player, its_group in zip(players, groups, strict=True) if its_group == group])
        for group in range(int(groups.max(initial=-1)) + 1)
    ]


def _joined(players: Sequence[ColumnPlayer]) -> ColumnPlayer:
    if len(players) == 1:
        return players[0]
    columns = tuple(column for player in players for column in player.columns)
    return ColumnPlayer(f"{players[0].name} … {players[-1].name}", columns)
