"""Golden rows of a table's bundle, with torch's answers and with attributions, for a server to meet on its own device.

The attributions are computed here in numpy, from the engine and the graph alone: a server that meets them agrees with
a second reading of what a player, an absent column and an average are.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from explicate.v1 import bundle_pb2
from explicate_bundle.columns import MISSING_CODE, UNKNOWN_CODE, TableColumns, TableRows
from explicate_bundle.table_arrays import Background
from explicate_export.evenly import evenly
from explicate_server.explain import explain_game
from explicate_server.explain.methods import METHODS

GOLDEN_ROWS = 32
# permutation-shap is linear in the model's values, as for texts.
METHOD = "permutation-shap"
TOLERANCE = 0.05
# Rows of the model that the attributions of a bundle may take at every load: 0.1 s or so. How many rows are attributed
# and with how many evaluations per player is the first of these that fits; 2 is one order of the players.
MOST_MODEL_ROWS = 20_000
_CHOICES = ((4, 8), (4, 2), (1, 2))
_LEAST_EVALUATIONS = 8
# Smaller attributions than this, in the unit of parity, are not compared: their relative difference would be rounding.
_LEAST_NORM = 0.1
_EDGE_ROWS = 6
_MISSING_FRACTION, _UNKNOWN_FRACTION = 0.3, 0.2
_BATCH_ROWS = 4096

Outputs = Callable[[TableRows], NDArray[np.float32]]


def edge_rows(rows: TableRows) -> TableRows:
    """A row with everything missing, one whose categories are all unknown, and a few of `rows` with some of both."""
    stream = np.random.Generator(np.random.Philox(0))
    first = rows[[0, 0]]
    numbers, codes = np.full_like(first.numbers, np.nan), np.full_like(first.codes, MISSING_CODE)
    numbers[1], codes[1] = first.numbers[1], UNKNOWN_CODE
    holed = rows[np.linspace(0, len(rows) - 1, _EDGE_ROWS).round().astype(np.intp)]
    missing = stream.random(holed.numbers.shape) < _MISSING_FRACTION
    draws = stream.random(holed.codes.shape)
    holed_codes = np.where(draws < _MISSING_FRACTION + _UNKNOWN_FRACTION, UNKNOWN_CODE, holed.codes)
    holed_codes = np.where(draws < _MISSING_FRACTION, MISSING_CODE, holed_codes)
    holes = TableRows(np.where(missing, np.float32(np.nan), holed.numbers), holed_codes)
    return TableRows.concatenated([TableRows(numbers, codes), holes])


def choose_golden_rows(outputs: NDArray[np.float32], count: int = GOLDEN_ROWS) -> list[int]:
    """Indices of rows spread evenly over what the model answers, its lowest and highest first output among them."""
    by_output = np.argsort(outputs[:, 0], kind="stable")
    return evenly(by_output.tolist(), count)


def attribute_golden_rows(
    rows: TableRows,
    reference: NDArray[np.float32],
    candidates: Sequence[int],
    *,
    columns: TableColumns,
    outputs: Outputs,
    background: Background,
    unit: float,
) -> tuple[bundle_pb2.GoldenAttributions | None, Mapping[int, NDArray[np.float64]]]:
    """How the attributions are made, and those of a few of the `candidates` by index; float64 [players] each.

    `rows` are the golden ones, with their outputs `reference`, float32 [rows, outputs]. `outputs` are the graph's,
    float32 [rows, outputs]. Nothing is attributed, and the first is None, when that would
    take more than MOST_MODEL_ROWS, or when the model's answers hardly depend on the columns.
    """
    players = len(columns.players)
    cost = players * len(background)
    affordable = [(rows, each) for rows, each in _CHOICES if rows * each * cost <= MOST_MODEL_ROWS]
    if not affordable:
        return None, {}
    row_count, evaluations_per_player = affordable[0]
    recipe = bundle_pb2.GoldenAttributions(
        method=METHOD,
        method_version=METHODS[METHOD].version,
        seed=0,
        evaluations_per_player=evaluations_per_player,
        tolerance=TOLERANCE,
    )
    attributions = {}
    for index in evenly(candidates, row_count):
        values = explain_game(
            _game(
                rows[[index]], int(reference[index].argmax()), columns=columns, outputs=outputs, background=background
            ),
            players,
            method=recipe.method,
            seed=recipe.seed,
            max_evaluations=max(_LEAST_EVALUATIONS, evaluations_per_player * players),
        ).values
        if np.linalg.norm(values) >= _LEAST_NORM * unit:
            attributions[index] = values
    return (recipe, attributions) if attributions else (None, {})


def _game(
    row: TableRows, output: int, *, columns: TableColumns, outputs: Outputs, background: Background
) -> Callable[[NDArray[np.bool_]], NDArray[np.float64]]:
    """v(S) = Σ_b weight_b · output(the row's values of S, row b's values of the rest)."""
    of_number, of_code = columns.owners[: columns.numbers], columns.owners[columns.numbers :]
    coalitions_at_once = max(1, _BATCH_ROWS // len(background))

    def value(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        parts = []
        for start in range(0, len(coalitions), coalitions_at_once):
            some = coalitions[start : start + coalitions_at_once, None]  # [m, 1, players]
            numbers = np.where(some[..., of_number], row.numbers, background.numbers)  # [m, b, columns]
            codes = np.where(some[..., of_code], row.codes, background.codes)
            asked = TableRows(
                *(array.reshape(len(some) * len(background), array.shape[2]) for array in (numbers, codes))
            )
            parts.append(outputs(asked)[:, output].reshape(len(some), -1).astype(np.float64) @ background.weights)
        return np.concatenate(parts)

    return value
