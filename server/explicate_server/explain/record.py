"""The coalitions of one explanation and their values, kept for its quality figures."""

import numpy as np

from explicate_server.explain.arrays import Booleans, Floats

# Coalition entries and values kept at most: 8 to 64 MB. The rows after that are left out; as estimators draw in random
# order, the first ones speak for all.
MAX_CELLS = 8_000_000


class Record:
    """Rows in the order in which they were told, up to MAX_CELLS."""

    def __init__(self) -> None:
        self._coalitions: list[Booleans] = []
        self._values: list[Floats] = []
        self._cells_left = MAX_CELLS

    def add(self, coalitions: Booleans, values: Floats) -> None:
        """Keep bool[m, n] coalitions and their float64[m, outputs] values, as far as there is room."""
        cells_per_row = coalitions.shape[1] + values.shape[1]
        rows = min(len(coalitions), self._cells_left // max(cells_per_row, 1))
        if rows:
            self._cells_left -= rows * cells_per_row
            self._coalitions.append(coalitions[:rows].copy())
            self._values.append(values[:rows].copy())

    def rows(self) -> tuple[Booleans, Floats] | None:
        """Coalitions bool[m, n] and values float64[m, outputs]; None when there are none."""
        if not self._coalitions:
            return None
        return np.concatenate(self._coalitions), np.concatenate(self._values)
