"""Rows of tables: cells become numbers and codes; columns, or named groups of them, become players.

An absent player's columns take the values of the background rows, one after the other, so that a coalition is as many
model rows as the background has (interventional: the background does not depend on the present columns). lime's own
rows are drawn from statistics of the training data instead, where the bundle has them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.cells.cell_readers import SAY_MISSING
from explicate_bundle.columns import TableColumns
from explicate_bundle.kinds.table_kind import told_by
from explicate_bundle.model_inputs import CellValue, ModelInput, TabularInput
from explicate_bundle.table_arrays import Background, LimeStatistics
from explicate_server.device import CPU
from explicate_server.errors import Violation
from explicate_server.explain.game import Asked
from explicate_server.explain.trees.pattern_tables import bytes_of_trees
from explicate_server.modalities.modality import (
    BaselineChoices,
    ColumnPlayer,
    EncodedInput,
    Game,
    Modality,
    NamedRows,
    StandIn,
    TextUsage,
    Told,
)
from explicate_server.modalities.parts import Named, Part, Place, column_places
from explicate_server.modalities.rows.cell_changes import CellAlternatives
from explicate_server.modalities.rows.near_copies import near_copies
from explicate_server.modalities.rows.packed_table import (
    NOT_A_COLUMN,
    PackedTable,
    column_advice,
    encode_columns,
    table_violations,
)
from explicate_server.modalities.rows.table_claims import (
    CONTRIBUTIONS,
    TableGraph,
    ToldBackground,
    checked_graph,
    claims,
)
from explicate_server.modalities.rows.table_games import TableGames
from explicate_server.modalities.rows.table_sampler import TableSampler
from explicate_server.modalities.rows.table_trees import TREES, CheckedTrees, ToldTrees, checked_trees
from explicate_server.modalities.rows.typical_cells import typical_cells
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import BUCKET_TOKENS, Row
from explicate_server.settings import Settings

Floats = NDArray[np.float64]

# All rows cost the same. The queue tells lengths apart in steps of this many.
ROW_LENGTH = BUCKET_TOKENS


class _ColumnGame(Game):
    players: Sequence[ColumnPlayer]
    unread: Sequence[ColumnPlayer] = ()

    def joined(self, players: Sequence[int]) -> ColumnPlayer:
        """Their columns under the names of the first and the last one."""
        parts = [self.players[player] for player in players]
        columns = tuple(column for part in parts for column in part.columns)
        return parts[0] if len(parts) == 1 else ColumnPlayer(f"{parts[0].name} … {parts[-1].name}", columns)

    def places(self, part: Part) -> list[Place]:
        """The columns of a player, or one of them."""
        players = [(player.name, [name for name, _ in player.columns]) for player in self.players]
        return column_places(part, players, unread=[player.name for player in self.unread])


class BackgroundGame(_ColumnGame):
    """Players own columns; an absent player's take the values of each background row."""

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

    def rows(self, coalitions: Asked) -> list[Row]:
        """For each coalition, the input with the background's values in the absent columns."""
        present = coalitions[:, np.newaxis, self._owners]  # [m, 1, columns]
        values = np.where(present, self._row, self._background)  # [m, b, columns]
        return [Row(ROW_LENGTH, of_coalition, len(of_coalition)) for of_coalition in values]


class ToldBackgroundGame(BackgroundGame):
    """The same where the model tells enough of itself."""

    def __init__(
        self,
        columns: TableColumns,
        cells: Mapping[str, CellValue],
        row: Row,
        background: NDArray[np.float64],
        weights: NDArray[np.float64],
        tells: ToldBackground | ToldTrees,
    ) -> None:
        super().__init__(columns, cells, row, background, weights)
        self._tells = tells

    def told(self) -> Told:
        """What it tells of this row, beside the background rows."""
        return self._tells.beside(self._row)


class DrawnGame(_ColumnGame):
    """Rows drawn by lime's rule. Every column is a player: lime knows no groups of them."""

    def __init__(self, columns: TableColumns, cells: Mapping[str, CellValue], row: Row, sampler: TableSampler) -> None:
        self.players = [ColumnPlayer(column.name, ((column.name, cells[column.name]),)) for column in columns.all]
        self._sampler = sampler
        self._sample = row.values

    def draw(self, *, rows: int, seed: int) -> NDArray[np.bool_]:
        """Draw the rows; which players of each are present, bool[rows, players], the first one the input itself."""
        self._sample, present = self._sampler.draw(self._sample[0], rows=rows, seed=seed)
        return present

    def rows(self, coalitions: Asked) -> list[Row]:
        """The rows with these numbers."""
        return [Row(ROW_LENGTH, self._sample[number : number + 1]) for number in coalitions.tolist()]


def _behind(background: Background) -> tuple[Floats, Floats]:
    """Model rows float64[b, columns], and their weights, which sum to 1."""
    rows = np.concatenate([background.numbers, background.codes], axis=1, dtype=np.float64)
    return rows, background.weights / background.weights.sum()


def _named(rows: Floats, weights: Floats) -> NamedRows:
    digest = sha256(np.concatenate([rows, weights[:, np.newaxis]], axis=1).astype("<f8").tobytes())
    return NamedRows(len(rows), digest.hexdigest())


# Suggestions that are measured and corrected when the model is loaded, up to four times as many: a row of a small
# network takes microseconds. On a CPU batches of 512 rows give as much as larger ones, which leave a core's cache (of a
# bare session ExplainTable of the credit model gives .97 so, .88 in batches of 1,850), and who comes behind one waits
# for all of it (a live p99 of 4.3 times idle instead of 6.0).
_BATCH_ROWS = 2048
_CPU_BATCH_ROWS = 128
# From this many rows on, going through them column by column takes less time than cell by cell.
_MANY_ROWS = 8
# Rows of a packed table that stay together: few beside a batch, many beside what handling them takes.
_BLOCK_ROWS = 128


@dataclass(frozen=True)
class EncodedRows:
    """Rows as the model sees them, and the columns whose category it does not know."""

    rows: Sequence[Row]
    unknown_category_columns: Sequence[str]

    usage: TextUsage | None = None

    @property
    def row(self) -> Row:
        """The only row."""
        (row,) = self.rows
        return row


class TabularModality(Modality):
    """Rows for one bundle: its columns, its background, and the statistics that lime draws from, if it has them."""

    input_type: type[ModelInput] = TabularInput
    field = "tabular"
    parts = (Named,)
    granularities: tuple[str, ...] = ()
    max_length = ROW_LENGTH

    def __init__(
        self,
        schema: TabularSchema,
        background: Background,
        lime_statistics: LimeStatistics | None = None,
        graph: TableGraph | None = None,
        trees: CheckedTrees | None = None,
        baselines: Mapping[str, Background] = MappingProxyType({}),
    ) -> None:
        """Take the schema and what its bundle has; ``graph`` of one with contributions or trees, as `checked_graph`
        gave it, and these as `checked_trees` did; ``baselines`` may stand in the background's place.
        """
        self._columns = TableColumns(schema)
        self._sampler = TableSampler(self._columns, lime_statistics) if lime_statistics else None
        self.maskings: tuple[str, ...] = ("background", "drawn") if lime_statistics else ("background",)
        self._background, self._weights = _behind(background)
        self.near_copies = near_copies(self._background, self._weights, self._columns)
        self.alternatives = CellAlternatives(self._columns, self._background, self._weights)
        self.typical = typical_cells(schema, self._columns, self._background, self._weights)
        self._groups = {name: _behind(group) for name, group in baselines.items()}
        self.baselines = BaselineChoices("background", {name: _named(*group) for name, group in self._groups.items()})
        self.row_bytes = self._background[0].nbytes
        self._tells: ToldBackground | ToldTrees | None = None
        if graph is not None and trees is not None:
            self._tells = ToldTrees(graph, trees.trees, self._background, self._weights)
            self.tells = {TREES: [trees.space]}
        elif graph is not None:
            self._tells, self.tells = ToldBackground(graph, self._background), {CONTRIBUTIONS: None}
        self.untold = {TREES: schema.trees.missing} if schema.trees.missing else {}

    @classmethod
    def open(cls, bundle: VerifiedBundle, settings: Settings) -> Self:  # noqa: ARG003 - nothing of it can be set
        """With the bundle's background and statistics; what it claims of its graph is checked."""
        schema = bundle.manifest.tabular
        graph = checked_graph(bundle, TableColumns(schema)) if claims(schema) else None
        trees = None if graph is None else checked_trees(bundle, graph)
        told = graph if schema.contributions or trees is not None else None
        return cls(schema, bundle.background(), bundle.lime_statistics(), told, trees, bundle.baselines())

    @classmethod
    def bytes_beside(cls, bundle: VerifiedBundle) -> int:
        """The graph once more, where its other outputs are asked for, and what stands for trees."""
        schema = bundle.manifest.tabular
        told = told_by(schema)
        sizes = {file.name: file.size_bytes for file in bundle.manifest.files}
        again = sizes.get(bundle.model_path.name, 0) if told else 0
        trees = bytes_of_trees(schema.trees.leaves, schema.trees.depth) if TREES in told else 0
        return again + trees

    def batch_tokens(self, runtime: Runtime) -> int:
        """By what runs it, until it is measured."""
        return (_CPU_BATCH_ROWS if runtime.device == CPU else _BATCH_ROWS) * ROW_LENGTH

    def violations(self, value: ModelInput, path: str) -> list[Violation]:
        """What is wrong with a row: columns that are missing or not the model's, and values that do not fit theirs."""
        assert isinstance(value, TabularInput)
        problems = self._problems(value.cells)
        known = self._columns.by_name.keys() - value.cells.keys()
        return [
            Violation(f"{path}.{self.field}.cells[{name}]", problem, column_advice(name, problem, known))
            for name, problem in problems
        ]

    def _problems(self, cells: Mapping[str, CellValue]) -> Iterator[tuple[str, str]]:
        columns = self._columns.by_name
        for name, value in self._columns.read(cells).items():
            problem = columns[name].problem(value) if name in columns else NOT_A_COLUMN
            if problem:
                yield name, problem
        for name in columns:
            if name not in cells:
                yield name, f"is left out; give every column of the model; where it has no value, {SAY_MISSING}"

    def encode(self, value: ModelInput) -> EncodedRows:
        """Turn cells into numbers and codes."""
        assert isinstance(value, TabularInput)
        return self._encoded(self._columns.row_of(value.cells)[np.newaxis])

    def encode_all(self, values: Sequence[ModelInput]) -> list[EncodedRows] | None:
        """Turn the cells of several rows into numbers and codes; None when something is wrong with one."""
        cells = [value.cells for value in values if isinstance(value, TabularInput)]
        if len(values) < _MANY_ROWS:
            few = list(map(self._columns.row_if_right, cells))
            right = [row for row in few if row is not None]
            return [self._encoded(row[np.newaxis]) for row in right] if len(right) == len(few) else None
        rows = self._columns.rows_of(cells)
        if rows is None:
            return None
        known = self._columns.known(rows)
        return [
            EncodedRows([Row(ROW_LENGTH, row)], () if is_known else self._columns.unknown(row))
            for row, is_known in zip(rows[:, np.newaxis], known, strict=True)
        ]

    def packed_violations(self, table: PackedTable) -> list[Violation]:
        """What is wrong with a table in packed form."""
        return table_violations(table, self._columns)

    def encode_packed(self, table: PackedTable) -> EncodedRows:
        """Turn whole columns into numbers and codes; the table passed :meth:`packed_violations`."""
        return self._encoded(encode_columns(table, self._columns))

    def players_of(self, granularity: str | None, segments: int | None) -> str:  # noqa: ARG002 - there is one kind
        """Columns."""
        return "columns"

    def game(
        self,
        value: ModelInput,
        encoded: EncodedInput,
        *,
        players: str,  # noqa: ARG002 - there is one kind
        masking: str,
        stand_in: StandIn | None = None,
    ) -> Game:
        """The game whose players are the columns and groups of columns; of "drawn" the columns alone."""
        assert isinstance(value, TabularInput)
        parts = self._columns, value.cells, encoded.row
        background, weights, tells = self._behind(stand_in)
        if masking == "drawn":
            assert self._sampler is not None
            game: _ColumnGame = DrawnGame(*parts, self._sampler)
        elif tells is not None:
            game = ToldBackgroundGame(*parts, background, weights, tells)
        else:
            game = BackgroundGame(*parts, background, weights)
        unread = [name for name in self._columns.ignored if name in value.cells]
        game.unread = [ColumnPlayer(name, ((name, value.cells[name]),)) for name in unread]
        return game

    def games(self, encoded: EncodedRows, names: Collection[str], *, stand_in: StandIn | None = None) -> TableGames:
        """The games of the rows of a table with columns of these names; the masking is the background."""
        values = np.concatenate([row.values for row in encoded.rows])
        unread = [name for name in self._columns.ignored if name in names]
        background, weights, tells = self._behind(stand_in)
        return TableGames(self._columns, values, background, weights, unread, tells)

    def _behind(self, stand_in: StandIn | None) -> tuple[Floats, Floats, ToldBackground | ToldTrees | None]:
        """The rows whose values absent columns take, their weights, and what tells the games beside them."""
        if stand_in is None:
            return self._background, self._weights, self._tells
        if stand_in.encoded is not None:
            rows, weights = stand_in.encoded.row.values, np.ones(1)
        else:
            rows, weights = self._groups[stand_in.name]
        return rows, weights, self._tells and self._tells.against(rows, weights)

    def collate(self, rows: Sequence[Row]) -> Feeds:
        """Join rows to float32[batch, number columns] and int64[batch, other columns], those that there are."""
        values = rows[0].values if len(rows) == 1 else np.concatenate([row.values for row in rows])
        numbers = self._columns.numbers
        feeds: Feeds = {
            "numbers": values[:, :numbers].astype(np.float32, order="C"),
            "codes": values[:, numbers:].astype(np.int64, order="C"),
        }
        return {name: feed for name, feed in feeds.items() if feed.shape[1]}

    def _encoded(self, values: NDArray[np.float64]) -> EncodedRows:
        blocks = [values[first : first + _BLOCK_ROWS] for first in range(0, len(values), _BLOCK_ROWS)]
        rows = [Row(ROW_LENGTH, block, len(block)) for block in blocks]
        return EncodedRows(rows, self._columns.unknown(values))
