"""Which rows of a table are golden, and rows with holes to compare on."""

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.columns import MISSING_CODE, UNKNOWN_CODE, TableColumns, TableRows
from explicate_bundle.table_arrays import Background
from explicate_export.golden_inputs import Compared, GoldenChoice, spread_evenly

GOLDEN_ROWS = 32
# Rows of the model that the attributions of a bundle may take at every load: 0.1 s or so. How many rows are attributed
# and with how many evaluations per player is the first of these that fits; 2 is one order of the players.
MOST_MODEL_ROWS = 20_000
_CHOICES = ((4, 8), (4, 2), (1, 2))
_EDGE_ROWS = 6
_MISSING_FRACTION, _UNKNOWN_FRACTION = 0.3, 0.2


def golden_rows(compared: Compared, columns: TableColumns, background: Background) -> GoldenChoice:
    """Rows spread evenly over the first output, the lowest and the highest among them, and the edge cases."""
    by_output = np.argsort(compared.reference[: compared.held_out, 0], kind="stable")
    whole = spread_evenly(by_output.tolist(), GOLDEN_ROWS)
    chosen = [*whole, *range(compared.held_out, len(compared.values))]
    cost = len(columns.players) * len(background.weights)
    for rows, evaluations_per_player in _CHOICES:
        if rows * evaluations_per_player * cost <= MOST_MODEL_ROWS:
            return GoldenChoice(chosen, spread_evenly(whole, rows), evaluations_per_player)
    return GoldenChoice(chosen, ())


def edge_places(rows: int) -> NDArray[np.intp]:
    """Which of so many rows the edge cases are made of."""
    return np.concatenate(([0, 0], np.linspace(0, rows - 1, _EDGE_ROWS).round())).astype(np.intp)


def edge_rows(rows: TableRows) -> TableRows:
    """A row with everything missing, one whose categories are all unknown, and a few of `rows` with some of both."""
    stream = np.random.Generator(np.random.Philox(0))
    places = edge_places(len(rows))
    first, holed = rows[places[:2]], rows[places[2:]]
    numbers, codes = np.full_like(first.numbers, np.nan), np.full_like(first.codes, MISSING_CODE)
    numbers[1], codes[1] = first.numbers[1], UNKNOWN_CODE
    missing = stream.random(holed.numbers.shape) < _MISSING_FRACTION
    draws = stream.random(holed.codes.shape)
    holed_codes = np.where(draws < _MISSING_FRACTION + _UNKNOWN_FRACTION, UNKNOWN_CODE, holed.codes)
    holed_codes = np.where(draws < _MISSING_FRACTION, MISSING_CODE, holed_codes)
    holes = TableRows(np.where(missing, np.float32(np.nan), holed.numbers), holed_codes)
    return TableRows.concatenated([TableRows(numbers, codes), holes])
