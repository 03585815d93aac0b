"""`python -m benchmarks.interactions`: how often intervals of interactions hold, and how near the values are.

Games whose values are all known: the golden ones (14 players), sigmoids of random words, pairs and triples (12), and
independent values for every coalition (10), the hardest there are. Besides polynomials of pairs, triples and fours of
60 players, where there are four times as many unknowns as rows at 16n. Their interactions are the index by its formula.
`kernel-shap` is asked for the five strongest pairs, and for all of them: intervals of all are those of the five, which
are of a higher level than was asked for. Prints Markdown; docs/benchmarks.md has the table. A minute of one core.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.explain_game import explain_game
from explicate_server.explain.interactions.faith_shap import exact_interactions, pairs_of
from support.exact_games import TableGame, golden_games, model_like_game, random_game

Floats = NDArray[np.float64]
STRONGEST = 5
_ROWS_PER_PLAYER = (4, 8, 16, 32, 64)
_FEWEST_LARGE, _LARGE_PLAYERS = 16, 60


@dataclass(frozen=True)
class KnownGame:
    """A game with its interactions, float64[n, n], the upper triangle."""

    value: Callable[[NDArray[np.bool_]], Floats]
    n_players: int
    interactions: Floats


def of_table(game: TableGame) -> KnownGame:
    """By the formula, from all values."""
    n = game.n_players
    coalitions = (np.arange(1, 2**n - 1)[:, np.newaxis] >> np.arange(n) & 1).astype(np.bool_)
    table = game.table[:, np.newaxis]
    (interactions,) = exact_interactions(coalitions, table[1:-1], empty=table[0], full=table[-1])
    matrix = np.zeros((n, n))
    matrix[pairs_of(np.arange(n))] = interactions
    return KnownGame(game, n, matrix)


def polynomial_game(n: int, seed: int) -> KnownGame:
    """A sum of players, and of pairs, triples and fours that count only together.

    t players that count only together share 6 / (t (t + 1)) as the interaction of each of their pairs: the weights of
    the index, ∫ 6 q (1 − q) q^(t − 2) dq.
    """
    random = np.random.default_rng(seed)
    alone, matrix = random.standard_t(3, n), np.zeros((n, n))
    together = [
        (random.choice(n, size, replace=False), random.normal()) for size in (2, 2, 3, 4) for _ in range(n // 2)
    ]
    for members, value in together:
        first, second = pairs_of(np.sort(members))
        matrix[first, second] += value * 6 / (len(members) * (len(members) + 1))

    def value(coalitions: NDArray[np.bool_]) -> Floats:
        sums = coalitions @ alone
        for members, of_all in together:
            sums = sums + of_all * coalitions[:, members].all(axis=1)
        return np.asarray(sums)

    return KnownGame(value, n, matrix)


def measured(game: KnownGame, rows_per_player: int, seed: int) -> Mapping[str, float]:
    """How many intervals hold, of all pairs and of the strongest; error of all values; how many of the five strongest
    are among those told; half the width of the told intervals, by the largest interaction."""
    n, truth = game.n_players, game.interactions
    told = explain_game(
        game.value, n, seed=seed, max_evaluations=rows_per_player * n, interactions=comb(n, 2)
    ).interactions
    assert told is not None
    (pairs,) = told
    true = truth[pairs.first, pairs.second]
    holds = (pairs.lower <= true) & (true <= pairs.upper)
    strongest = np.argsort(-np.abs(true), kind="stable")[:STRONGEST]
    return {
        "all": holds.mean(),
        "first": holds[0],
        "strongest": holds[:STRONGEST].mean(),
        "error": np.linalg.norm(pairs.values - true) / np.linalg.norm(truth),
        "found": (strongest < STRONGEST).mean(),
        "width": float(np.median((pairs.upper - pairs.lower)[:STRONGEST])) / 2 / np.abs(truth).max(),
        "certain": (pairs.lower * pairs.upper > 0)[:STRONGEST].mean(),
    }


def lines(games: Mapping[str, list[KnownGame]], seeds: int) -> Iterator[tuple[str, int, Mapping[str, float]]]:
    """Games, rows per player, and the mean of each figure (of errors and widths the median)."""
    for name, of_name in games.items():
        for rows in _ROWS_PER_PLAYER:
            n = of_name[0].n_players
            if rows * n >= 2**n or (n == _LARGE_PLAYERS and rows < _FEWEST_LARGE):
                continue
            figures = [measured(game, rows, seed) for game in of_name for seed in range(seeds)]
            medians = {key: np.median([each[key] for each in figures]) for key in ("error", "width")}
            yield name, rows, {key: float(np.mean([each[key] for each in figures])) for key in figures[0]} | medians


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="of each game (default: 3)")
    parser.add_argument("--games", type=int, default=30, help="of each kind at most (default: 30)")
    arguments = parser.parse_args()
    tables = {
        "DistilBERT, 14 words": golden_games("distilbert_imdb_14_tokens.npz"),
        "ResNet18, 14 segments": golden_games("resnet18_imagenet_14_superpixels.npz"),
        "sigmoids, 12": [model_like_game(12, seed) for seed in range(30)],
        "independent values, 10": [random_game(10, seed) for seed in range(20)],
    }
    games = {name: [of_table(game) for game in of_name[: arguments.games]] for name, of_name in tables.items()}
    games["polynomials, 60"] = [polynomial_game(60, seed) for seed in range(min(arguments.games, 4))]
    print("| Games | Rows | all hold | first holds | five hold | error | of the five found | half-width | certain |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, rows, told in lines(games, arguments.seeds):
        figures = [f"{told[key]:.3f}" for key in ("all", "first", "strongest", "error", "found", "width", "certain")]
        print(f"| {name} | {rows}n | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
