"""What a table's bundle claims of its graph, checked on the graph: at export, and before a server believes it.

`contributions` must sum to the outputs but for a constant, and what a player adds must depend on its own columns alone:
otherwise values that are said to be exact would be wrong. A monotone column must never move its output the other way.
Both are asked of the bundle's golden and background rows, of mixtures of them, and of grids of numbers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any  # arrays of several types

import numpy as np
from numpy.typing import NDArray

from explicate.v1.bundle_pb2 import Monotone, TabularSchema
from explicate_bundle.bundle import VerifiedBundle
from explicate_bundle.columns import CODES_NAME, NUMBERS_NAME, TableColumns
from explicate_bundle.errors import BundleError
from explicate_bundle.kinds.table_kind import tells_trees
from explicate_bundle.model_inputs import TabularInput
from explicate_server.explain.added_game import Contributions
from explicate_server.runtime.graph_outputs import GraphOutputs

CONTRIBUTIONS = "contributions"
"""The name of the graph's second output."""
PART_OF_GOLDEN = 0.1
"""Of the golden tolerance, which other processors may use up: here one graph is compared with itself."""
# Mixtures, and rows of grids, that are asked at most: 0.1 s or so.
_MOST_ROWS = 20_000
_GRID_POINTS, _GRID_ROWS = 33, 8
# How far beyond the known numbers of a column its grid reaches, as a part of their range.
_BEYOND = 0.25
# A step back by less than this, as a part of the tolerance, is rounding.
_ROUNDING = 0.1
ROUNDED = 5e-7
"""A few units in the last place of float32, as a part of the number."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TableGraph:
    """A graph for rows of a schema, asked in the thread that asks."""

    graph: GraphOutputs
    columns: TableColumns

    def outputs(self, rows: _Floats) -> _Floats:
        """Its first output float64[rows, outputs] of model rows float64[rows, columns]."""
        return self._run(rows, self.graph.names[:1])[0]

    def contributions(self, rows: _Floats) -> tuple[_Floats, _Floats]:
        """The same, and float64[rows, players, outputs]."""
        return self.told(rows, CONTRIBUTIONS)

    def told(self, rows: _Floats, name: str) -> tuple[_Floats, _Floats]:
        """Its first output, and that of a name."""
        outputs, told = self._run(rows, [self.graph.names[0], name])
        return outputs, told

    def of(self, rows: _Floats, names: Sequence[str]) -> dict[str, _Floats]:
        """The outputs of these names."""
        return dict(zip(names, self._run(rows, names), strict=True))

    def _run(self, rows: _Floats, names: Sequence[str]) -> list[_Floats]:
        numbers = self.columns.numbers
        feeds: dict[str, NDArray[Any]] = {
            NUMBERS_NAME: rows[:, :numbers].astype(np.float32),
            CODES_NAME: rows[:, numbers:].astype(np.int64),
        }
        return self.graph.run({name: feed for name, feed in feeds.items() if feed.shape[1]}, names)


class ToldBackground:
    """What each player of the background rows adds, and a graph that tells it of any row."""

    def __init__(self, graph: TableGraph, background: _Floats) -> None:
        self._graph = graph
        outputs, self._told = graph.contributions(background)
        self._bias = (outputs - self._told.sum(axis=1)).mean(axis=0)

    def against(self, background: _Floats, weights: _Floats) -> "ToldBackground":  # noqa: ARG002 - of trees it needs them
        """The same with other background rows."""
        return ToldBackground(self._graph, background)

    def beside(self, row: _Floats) -> Contributions:
        """With what each player of a model row float64[1, columns] adds."""
        of_all = self.beside_all([row])
        return replace(of_all, row=of_all.row[0])

    def beside_all(self, blocks: Sequence[_Floats]) -> Contributions:
        """With what each player of each model row adds, which come in blocks float64[…, columns]."""
        told = np.concatenate([self._graph.contributions(rows)[1] for rows in blocks])
        return Contributions(told, self._told, self._bias)


def claims(schema: TabularSchema) -> bool:
    """Whether a schema claims anything of the graph."""
    return schema.contributions or tells_trees(schema) or any(column.HasField("monotone") for column in schema.columns)


def known_rows(bundle: VerifiedBundle, columns: TableColumns) -> _Floats:
    """The golden and the background rows of a bundle, float64[rows, columns]."""
    background = bundle.background()
    golden = [columns.row_of(value.cells) for value in bundle.golden().inputs if isinstance(value, TabularInput)]
    return np.concatenate((np.stack(golden), np.concatenate((background.numbers, background.codes), axis=1)))


def checked_graph(bundle: VerifiedBundle, columns: TableColumns) -> TableGraph:
    """The graph of a bundle that keeps what its schema claims of columns, on golden and background rows.

    Raises:
        BundleError: it does not, or it cannot be loaded.
    """
    manifest = bundle.manifest
    try:
        graph = GraphOutputs(bundle.model_path)
    except Exception as error:  # ONNX Runtime raises classes of its own
        raise BundleError(f"model.onnx cannot be loaded: {' '.join(str(error).split())}") from error
    asked = TableGraph(graph, columns)
    rows, tolerance = known_rows(bundle, columns), PART_OF_GOLDEN * manifest.golden_tolerance
    check_claims(asked, manifest.tabular, rows, labels=manifest.class_labels, tolerance=tolerance)
    return asked


def check_claims(
    graph: TableGraph, schema: TabularSchema, rows: _Floats, *, labels: Sequence[str], tolerance: float
) -> None:
    """Check on model rows float64[rows, columns] all that the schema claims, but for trees (see `table_trees`).

    ``tolerance`` is that of an output. Raises BundleError, in a sentence, for a claim that does not hold.
    """
    if schema.contributions:
        _check_additive(graph, rows, tolerance)
    for column in schema.columns:
        if column.HasField("monotone"):
            place = graph.columns.by_name[column.name].place
            _check_monotone(graph, column.name, place, column.monotone, rows, labels, tolerance)


def _check_additive(graph: TableGraph, rows: _Floats, tolerance: float) -> None:
    if CONTRIBUTIONS not in graph.graph.names:
        raise BundleError(f"model.onnx has no output {CONTRIBUTIONS!r}, which the manifest promises")
    players = len(graph.columns.players)
    rows = rows[: max(2, _MOST_ROWS // players)]
    outputs, told = graph.contributions(rows)
    tolerance += rounding(outputs, told)
    if told.shape != (len(rows), players, outputs.shape[1]):
        raise BundleError(
            f"model.onnx answers {CONTRIBUTIONS} of shape {told.shape}, not {(len(rows), players, outputs.shape[1])}"
        )
    bias = (outputs - told.sum(axis=1)).mean(axis=0)
    _require(told.sum(axis=1) + bias - outputs, tolerance, "do not sum to its outputs")
    others = np.roll(np.arange(len(rows)), 1)
    for player, (name, _) in enumerate(graph.columns.players):
        mixed = np.where(graph.columns.owners == player, rows, rows[others])
        expected = told[others]
        expected[:, player] = told[:, player]
        answered, mixed_told = graph.contributions(mixed)
        _require(mixed_told - expected, tolerance, f"of {name!r} and the others are not functions of their own columns")
        _require(mixed_told.sum(axis=1) + bias - answered, tolerance, "do not sum to its outputs")


def rounding(*arrays: _Floats) -> float:
    """What float32 may round off numbers of this size."""
    return ROUNDED * max(float(np.abs(array).max(initial=0.0)) for array in arrays)


def _require(difference: _Floats, tolerance: float, otherwise: str) -> None:
    largest = float(np.abs(difference).max(initial=0.0))
    if not largest <= tolerance:  # NaN is not
        raise BundleError(
            f"model.onnx is not the sum over columns that the manifest promises: its {CONTRIBUTIONS} {otherwise} (off "
            f"by {largest:.3g}, {tolerance:.3g} is allowed)"
        )


def _check_monotone(
    graph: TableGraph,
    name: str,
    place: int,
    claim: Monotone,
    rows: _Floats,
    labels: Sequence[str],
    tolerance: float,
) -> None:
    grid = grid_of(rows[:, place])
    bases = rows[np.unique(np.linspace(0, len(rows) - 1, _GRID_ROWS).astype(int))]
    asked = np.repeat(bases[:, np.newaxis], len(grid), axis=1)
    asked[:, :, place] = grid
    outputs = graph.outputs(asked.reshape(-1, rows.shape[1])).reshape(len(bases), len(grid), -1)
    for rising in monotone_outputs(outputs, claim, labels):
        back = float((-np.diff(rising, axis=1)).max(initial=0.0))
        if not back <= _ROUNDING * tolerance + rounding(outputs):
            against = "rises" if claim.decreasing else "falls"
            raise BundleError(
                f"model.onnx is not {'decreasing' if claim.decreasing else 'increasing'} in {name!r}, as the manifest "
                f"promises: its output {against} by {back:.3g} somewhere as {name!r} rises"
            )


def monotone_outputs(outputs: _Floats, claim: Monotone, labels: Sequence[str]) -> Iterator[_Floats]:
    """What must never fall along axis 1 of outputs float64[bases, grid, outputs], float64[bases, grid] each.

    The probability of a class never falls where its logit less that of any other one never does.
    """
    sign = -1.0 if claim.decreasing else 1.0
    if not claim.HasField("label"):
        yield from (sign * outputs[..., output] for output in range(outputs.shape[2]))
        return
    index = list(labels).index(claim.label)
    for other in range(outputs.shape[2]):
        if other != index:
            yield sign * (outputs[..., index] - outputs[..., other])


def grid_of(numbers: _Floats) -> _Floats:
    """Numbers of a column, ascending, around and among the known ones."""
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return np.linspace(-1.0, 1.0, _GRID_POINTS)
    least, most = float(known.min()), float(known.max())
    beyond = _BEYOND * (most - least or 1.0)
    return np.unique(np.concatenate((known, np.linspace(least - beyond, most + beyond, _GRID_POINTS))))
