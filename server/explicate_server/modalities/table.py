"""Rows of tables: cells become numbers and codes; columns, or named groups of them, become players.

An absent player's columns take the values of the background rows, one after the other, so that a coalition is as many
model rows as the background has (interventional: the background does not depend on the present columns). lime's own
rows are drawn from statistics of the training data instead, where the bundle has them.

lime's neighbours of a row of a table, drawn from the statistics of the training data, draw for draw as lime does.

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

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import TabularSchema
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.cells.cell_readers import SAY_MISSING
from explicate_bundle.columns import Column, TableColumns
from explicate_bundle.kinds.table_kind import told_by
from explicate_bundle.model_inputs import CellValue, ModelInput, TabularInput
from explicate_bundle.table_arrays import BINS, Background, LimeStatistics, by_column
from explicate_server.device import CPU
from explicate_server.errors import Violation
from explicate_server.explain.game import Asked
from explicate_server.explain.trees.pattern_tables import bytes_of_trees
from explicate_server.modalities.modality import (
    ColumnPlayer,
    EncodedInput,
    Game,
    Modality,
    TextUsage,
    Told,
)
from explicate_server.modalities.near_copies import near_copies
from explicate_server.modalities.packed_table import (
    NOT_A_COLUMN,
    PackedTable,
    column_advice,
    encode_columns,
    table_violations,
)
from explicate_server.modalities.table_claims import CONTRIBUTIONS, TableGraph, ToldBackground, checked_graph, claims
from explicate_server.modalities.table_games import TableGames
from explicate_server.modalities.table_trees import TREES, CheckedTrees, ToldTrees, checked_trees
from explicate_server.runtime.model_runtime import Feeds, Runtime
from explicate_server.runtime.queue import BUCKET_TOKENS, Row
from explicate_server.settings import Settings

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


# All rows cost the same. The queue tells lengths apart in steps of this many.
ROW_LENGTH = BUCKET_TOKENS


class _ColumnGame(Game):
    players: Sequence[ColumnPlayer]
    unread: Sequence[ColumnPlayer] = ()

    def grouped(self, groups: NDArray[np.intp]) -> list[ColumnPlayer]:
        """The columns of each group under the names of its first and last player."""
        return [
            _joined([player for player, its_group in zip(self.players, groups, strict=True) if its_group == group])
            for group in range(int(groups.max(initial=-1)) + 1)
        ]


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


def _joined(players: Sequence[ColumnPlayer]) -> ColumnPlayer:
    if len(players) == 1:
        return players[0]
    columns = tuple(column for player in players for column in player.columns)
    return ColumnPlayer(f"{players[0].name} … {players[-1].name}", columns)


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
    granularities: tuple[str, ...] = ()
    max_length = ROW_LENGTH

    def __init__(
        self,
        schema: TabularSchema,
        background: Background,
        lime_statistics: LimeStatistics | None = None,
        graph: TableGraph | None = None,
        trees: CheckedTrees | None = None,
    ) -> None:
        """Take the schema and what its bundle has; ``graph`` of one with contributions or trees, as `checked_graph`
        gave it, and these as `checked_trees` did.
        """
        self._columns = TableColumns(schema)
        self._sampler = TableSampler(self._columns, lime_statistics) if lime_statistics else None
        self.maskings: tuple[str, ...] = ("background", "drawn") if lime_statistics else ("background",)
        self._background = np.concatenate([background.numbers, background.codes], axis=1, dtype=np.float64)
        self._weights = background.weights / background.weights.sum()
        self.near_copies = near_copies(self._background, self._weights, self._columns)
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
        return cls(schema, bundle.background(), bundle.lime_statistics(), told, trees)

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

    def game(self, value: ModelInput, encoded: EncodedInput, *, players: str, masking: str) -> Game:  # noqa: ARG002
        """The game whose players are the columns and groups of columns; of "drawn" the columns alone."""
        assert isinstance(value, TabularInput)
        if masking == "drawn":
            assert self._sampler is not None
            game: _ColumnGame = DrawnGame(self._columns, value.cells, encoded.row, self._sampler)
        elif self._tells is not None:
            parts = self._columns, value.cells, encoded.row, self._background, self._weights
            game = ToldBackgroundGame(*parts, self._tells)
        else:
            game = BackgroundGame(self._columns, value.cells, encoded.row, self._background, self._weights)
        unread = [name for name in self._columns.ignored if name in value.cells]
        game.unread = [ColumnPlayer(name, ((name, value.cells[name]),)) for name in unread]
        return game

    def games(self, encoded: EncodedRows, names: Collection[str]) -> TableGames:
        """The games of the rows of a table with columns of these names; the masking is the background."""
        values = np.concatenate([row.values for row in encoded.rows])
        unread = [name for name in self._columns.ignored if name in names]
        return TableGames(self._columns, values, self._background, self._weights, unread, self._tells)

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
