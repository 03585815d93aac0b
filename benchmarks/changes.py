"""`python -m benchmarks.changes`: smallest sets of players whose absence flips the sign of a game, against brute force.

Games of which every value is known: the golden ones (../shared/data/golden) with all their 14 players and with 12 drawn
from them, sigmoids of single players, pairs and triples, and games of independent values, of which a guess knows
nothing. A set flips a game where its output is on the other side of a line than the whole input's: of the mean over all
coalitions ("centred"), or of the middle between the two ends, which takes larger sets. The search is guided by the
attributions of kernel-shap from 16n evaluations; a request without options has at most 32n.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.accuracy import GOLDEN
from benchmarks.accuracy_methods import Floats
from explicate_server.explain import explain_game
from explicate_server.explain.changes.flip_moves import Moves
from explicate_server.explain.changes.flip_search import FlipSearch, FoundFlip

BUDGETS = (4, 8, 16)
LEAST_EQUAL = 0.9
_FEW_PLAYERS = 12
_GAMES = 60


def main() -> None:
    """Print a table, a line for each set of games, line and budget."""
    print(f"{'games':<34}{'line':<9}{'flip':>6}{'budget':>8}{'tried':>7}{'equal':>7}{'proven':>8}{'wrong claims':>14}")
    for name, games in _games().items():
        for line, of_game in {"mean": np.mean, "middle": lambda game: (game[0] + game[-1]) / 2}.items():
            margins = [_margins(game, float(of_game(game))) for game in games]
            for budget in BUDGETS:
                print(f"{name:<34}{line:<9}" + _line(margins, budget), flush=True)
    print(f"\nasked for: equal in {LEAST_EQUAL:.0%} for n <= 12, no wrong claim")


def _games() -> dict[str, Sequence[Floats]]:
    """Games by name, each all its values float64[2^n]; bit i of a place is player i."""
    randoms = [np.random.default_rng(seed) for seed in range(_GAMES)]
    games: dict[str, Sequence[Floats]] = {
        "sigmoids, n = 10": [_sigmoids(10, random) for random in randoms],
        "sigmoids, n = 12": [_sigmoids(12, random) for random in randoms],
        "independent values, n = 10": [random.normal(size=2**10) for random in randoms],
    }
    for path in sorted(GOLDEN.glob("*.npz")):
        golden = list(np.load(path)["V"].astype(np.float64))
        name = path.stem.split("_")[0]
        games[f"{name}, {_FEW_PLAYERS} of 14 players"] = [
            _fewer(game, random) for game, random in zip(golden, randoms, strict=False)
        ]
        games[f"{name}, n = 14"] = golden
    return games


def _sigmoids(n: int, random: np.random.Generator) -> Floats:
    presence = _presence(n)
    score = presence @ random.standard_t(3, n) * 0.6
    for size, scale in ((2, 0.5), (3, 0.4)):
        for _ in range(n):
            together = presence[:, random.choice(n, size, replace=False)].all(axis=1)
            score = score + scale * random.normal() * together
    return np.asarray(1 / (1 + np.exp(score.mean() - score)))


def _presence(n: int) -> Floats:
    return ((np.arange(2**n)[:, np.newaxis] >> np.arange(n)) & 1).astype(np.float64)


def _fewer(game: Floats, random: np.random.Generator) -> Floats:
    """The game with some of its players, the others always present."""
    n = len(game).bit_length() - 1
    kept = np.sort(random.choice(n, _FEW_PLAYERS, replace=False))
    coalitions = np.ones((2**_FEW_PLAYERS, n), dtype=np.intp)
    coalitions[:, kept] = _presence(_FEW_PLAYERS)
    return game[coalitions @ (1 << np.arange(n))]


def _margins(game: Floats, line: float) -> Floats:
    """How far each coalition is from a flip, float64[2^n], below 0 past it."""
    return game - line if game[-1] >= line else line - game


def _line(games: Sequence[Floats], budget: int) -> str:
    flipped = equal = proven = wrong = tried = 0
    for seed, margins in enumerate(games):
        n = len(margins).bit_length() - 1
        found, smallest = _search(margins, budget * n, seed=seed), _smallest(margins)
        size = None if found.moves is None else len(found.moves)
        tried += found.tried
        flipped += smallest is not None
        equal += size == smallest
        proven += found.none_smaller
        wrong += _is_wrong(found, margins, smallest)
    shares = f"{equal / len(games):>7.2f}{proven / len(games):>8.2f}{wrong:>14}"
    return f"{flipped:>3}/{len(games)}{budget:>7}n{tried / len(games):>7.0f}" + shares


def _search(margins: Floats, budget: int, *, seed: int) -> FoundFlip:
    n = len(margins).bit_length() - 1
    places = 1 << np.arange(n)
    attributions = explain_game(lambda coalitions: margins[coalitions @ places], n, max_evaluations=16 * n, seed=seed)
    moves = Moves.of_absence(attributions.values)
    search = FlipSearch(moves, margin=float(margins[-1]), budget=budget, seed=seed)
    while (absent := search.ask()) is not None:
        values = margins[~absent @ places]
        search.tell(values, values < 0)
    return search.found


def _smallest(margins: Floats) -> int | None:
    """The size of the smallest set whose absence flips the game, by brute force; None where none does."""
    n = len(margins).bit_length() - 1
    return min((n - int(index).bit_count() for index in np.flatnonzero(margins < 0)), default=None)


def _is_wrong(found: FoundFlip, margins: Floats, smallest: int | None) -> bool:
    """Whether the set does not flip, or is called the smallest and is not."""
    if found.moves is None:
        return found.none_smaller and smallest is not None
    absent = sum(1 << int(player) for player in found.moves)
    return bool(margins[len(margins) - 1 - absent] >= 0) or (found.none_smaller and len(found.moves) != smallest)


if __name__ == "__main__":
    main()
