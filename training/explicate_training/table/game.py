"""A row of a table as a game of its columns, as the trained network reads it."""

from collections.abc import Callable, Sequence
from typing import Any  # cells; numbers of any type

import numpy as np
from numpy.typing import NDArray

import explicate
from explicate_bundle.columns import TableRows
from explicate_training.report.explanations import Game

_BACKGROUND_ROWS = 25


def background_rows(train: TableRows, *, seed: int) -> TableRows:
    """Training rows that stand in for what is absent, drawn at random."""
    stream = np.random.Generator(np.random.Philox(seed))
    return train[np.sort(stream.permutation(len(train))[:_BACKGROUND_ROWS])]


def table_game(
    row: TableRows,
    cells: dict[str, Any],
    places: Sequence[tuple[str, Sequence[int], Sequence[int]]],
    background: TableRows,
    predict: Callable[[TableRows], NDArray[np.floating[Any]]],
) -> Game:
    """The game of the columns: an absent one has the values of the background's rows, and the answers are averaged.

    Args:
        row: the one row, encoded.
        cells: the same as it was read.
        places: each column's name, and where it is among the encoded numbers and codes.
        background: rows to average over.
        predict: the network.
    """
    features = tuple(explicate.Feature(column=name, values={name: cells.get(name)}) for name, *_ in places)

    def outputs(present: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
        numbers = np.tile(background.numbers, (len(present), 1, 1))  # [coalitions, background rows, numbers]
        codes = np.tile(background.codes, (len(present), 1, 1))
        for player, (_, of_numbers, of_codes) in enumerate(places):
            chosen = np.flatnonzero(present[:, player])
            for place in of_numbers:
                numbers[chosen, :, place] = row.numbers[0, place]
            for place in of_codes:
                codes[chosen, :, place] = row.codes[0, place]
        rows = len(present) * len(background)
        flat = TableRows(numbers.reshape(rows, numbers.shape[2]), codes.reshape(rows, codes.shape[2]))
        answers = predict(flat).reshape(len(present), len(background), -1)
        return np.asarray(answers.mean(axis=1))

    return Game(features, tuple(name for name, *_ in places), outputs, {"row": cells})
