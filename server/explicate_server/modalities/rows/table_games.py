"""The games of many rows of a table: players, background and background's weights are the same for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.columns import TableColumns
from explicate_server.explain.attribution import Booleans, Indices
from explicate_server.modalities.modality import Told
from explicate_server.modalities.rows.table_claims import ToldBackground
from explicate_server.modalities.rows.table_trees import ToldTrees

_Floats = NDArray[np.float64]
# Rows that are asked about at once: as many as a short batch has.
_TOLD_ROWS = 512


@dataclass(frozen=True)
class TablePlayer:
    """A column, or several under one name."""

    name: str
    columns: Sequence[str]


@dataclass(frozen=True)
class TableGames:
    """One game a row.

    Attributes:
        columns: of the model.
        rows: float64[rows, columns], model rows.
        background: float64[b, columns], what absent players take the values of.
        weights: float64[b], which sum to 1.
        unread: columns of the table that the model does not read: their attribution is 0.
        tells: what tells the games of a model that tells itself; else None.
    """

    columns: TableColumns
    rows: _Floats
    background: _Floats
    weights: _Floats
    unread: Sequence[str] = ()
    tells: ToldBackground | ToldTrees | None = field(default=None, repr=False)

    @property
    def players(self) -> list[TablePlayer]:
        """In the schema's order."""
        return [TablePlayer(name, [column.name for column in members]) for name, members in self.columns.players]

    @property
    def unread_players(self) -> list[TablePlayer]:
        """Columns of the table that the model does not read."""
        return [TablePlayer(name, [name]) for name in self.unread]

    def model_rows(self, games: Indices, coalitions: Booleans) -> _Floats:
        """For each game intp[k] and its coalition bool[k, players] the row with the background's values in the absent
        columns, float64[k · b, columns].
        """
        present = coalitions[:, np.newaxis, self.columns.owners]  # [k, 1, columns]
        mixed = np.where(present, self.rows[games, np.newaxis], self.background)
        return np.asarray(mixed.reshape(-1, self.rows.shape[1]))

    def told(self) -> Told:
        """What a model that tells itself tells of all rows."""
        assert self.tells is not None
        starts = range(0, len(self.rows), _TOLD_ROWS)
        return self.tells.beside_all([self.rows[first : first + _TOLD_ROWS] for first in starts])
