"""`python -m benchmarks.interpretability_pictures DIR`: the pictures of docs/interpretability.md, light and dark.

Made games of 30 players whose values are a sum of effects and, in a growing share, interactions of three: how many rows
our explanations take to tolerance .1, by how much of the game is a sum. It needs no model, and takes seconds. (Not of
pairs: coalitions are asked together with their complements, so interactions of two cost nothing.)
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any  # matplotlib's axes

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.interpretability_plot import THEMES, settings
from explicate_server.explain import explain_game
from explicate_training.interpretability.pruning import additive_r2

PLAYERS, GAMES = 30, 9
SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # of the spread that is interactions
_TOLERANCE, _FLOOR = 0.1, 2
_DRAWS, _TRIPLES = 600, 60

Game = Callable[[NDArray[np.bool_]], NDArray[np.float64]]


def made_game(share: float, stream: np.random.Generator) -> Game:
    """v(S) = (1 − share) Σ effects + share Σ triples, both of unit spread over random coalitions."""
    effects = stream.normal(size=PLAYERS) * stream.gamma(0.7, size=PLAYERS)
    triples = np.array([stream.choice(PLAYERS, 3, replace=False) for _ in range(_TRIPLES)])
    weights = stream.normal(size=_TRIPLES)
    sample = stream.random((_DRAWS, PLAYERS)) < 0.5

    def of_triples(present: NDArray[np.bool_]) -> NDArray[np.float64]:
        signs = np.where(present, 1.0, -1.0)  # in signs, a triple has no part that is a sum
        return np.asarray(signs[:, triples].prod(axis=2) @ weights)

    one, other = (sample @ effects).std(), of_triples(sample).std()
    return lambda present: (1 - share) * (present @ effects) / one + share * of_triples(present) / other


def measured(share: float) -> tuple[list[float], list[float]]:
    """Of several games: R² of the additive fit, and rows a player."""
    fits, costs = [], []
    for number in range(GAMES):
        stream = np.random.Generator(np.random.Philox([number, round(100 * share)]))
        game = made_game(share, stream)
        present = stream.random((_DRAWS, PLAYERS)) < 0.5
        fits.append(additive_r2(present, game(present)))
        explained = explain_game(
            game, PLAYERS, method="kernel-shap", seed=0, tolerance=_TOLERANCE, min_evaluations=_FLOOR * PLAYERS
        )
        costs.append(explained.evaluations / PLAYERS)
    return fits, costs


def draw(folder: Path) -> list[Path]:
    """Writes additivity-light.svg and -dark.svg."""
    found = [measured(share) for share in SHARES]
    written = []
    for theme, colours in THEMES.items():
        with mpl.rc_context(settings(theme)):
            figure = Figure(figsize=(7, 3.8), layout="constrained")
            axes: Any = figure.add_subplot()
            axes.set(xlabel="share of the game that is a sum of its parts (R²)", ylabel="rows a part, to tolerance .1")
            for fits, costs in found:
                axes.plot(fits, costs, "o", color=colours["points"], markersize=3, alpha=0.5)
            middles = [(statistics.median(fits), statistics.median(costs)) for fits, costs in found]
            axes.plot(*zip(*middles, strict=True), "-o", color=colours["ours"], markersize=5)
            axes.set_ylim(bottom=0)
            path = folder / f"additivity-{theme}.svg"
            figure.savefig(path, metadata={"Date": None})
            written.append(path)
    return written


def main() -> None:
    """Draws them into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures go, such as docs")
    for path in draw(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
