"""Games whose Shapley values are known from all their coalitions, by the definition and by nothing from the engine."""

from functools import cached_property
from math import factorial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "golden"


class TableGame:
    """A game given by all its values, float64[2^n] or float64[2^n, outputs]; bit i of the index is player i."""

    def __init__(self, table: NDArray[np.float64]) -> None:
        self.table = table
        self.n_players = len(table).bit_length() - 1
        self.asked: list[bytes] = []

    def __call__(self, coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        self.asked += [row.tobytes() for row in coalitions]
        values: NDArray[np.float64] = self.table[coalitions @ (1 << np.arange(self.n_players))]
        return values

    @cached_property
    def shapley_values(self) -> NDArray[np.float64]:
        """[n] or [outputs, n]: the mean marginal contribution over all orders of the players (Shapley 1953)."""
        n = self.n_players
        index = np.arange(2**n)
        sizes = np.array([int(i).bit_count() for i in index])
        shapley = []
        for player in range(n):
            without = index[(index >> player) & 1 == 0]
            weights = np.array([factorial(s) * factorial(n - 1 - s) / factorial(n) for s in sizes[without]])
            shapley.append(weights @ (self.table[without | (1 << player)] - self.table[without]))
        return np.moveaxis(np.array(shapley), 0, -1)


def random_game(n_players: int, seed: int, n_outputs: int | None = None) -> TableGame:
    """Independent values for every coalition: the hardest game there is."""
    shape = (2**n_players,) if n_outputs is None else (2**n_players, n_outputs)
    return TableGame(np.random.default_rng(seed).normal(size=shape))


def model_like_game(n_players: int, seed: int) -> TableGame:
    """A sigmoid of single players, pairs and triples: about what a classifier makes of words."""
    random = np.random.default_rng(seed)
    presence = (np.arange(2**n_players)[:, None] >> np.arange(n_players)) & 1
    score = presence @ random.standard_t(3, n_players) * 0.6
    for size, scale in ((2, 0.5), (3, 0.4)):
        for _ in range(n_players):
            together = presence[:, random.choice(n_players, size, replace=False)].all(axis=1)
            score = score + scale * random.normal() * together
    return TableGame(1 / (1 + np.exp(-(score - score.mean()))))


def golden_games(name: str) -> list[TableGame]:
    """All games of a golden file."""
    return [TableGame(row) for row in np.load(GOLDEN / name)["V"].astype(np.float64)]


def relative_error(values: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Euclidean norm of the difference over that of the truth."""
    return float(np.linalg.norm(values - truth) / np.linalg.norm(truth))
