"""`python -m benchmarks.accuracy`: error at equal budgets of our methods, shap and lime on exact games.

The games are those of two real models with all 2^14 coalitions known, read from ../shared/data/golden, so that the
Shapley values are known exactly. Every method sees the same games, seeds and budgets, counted in rows of the model. A
method that is done before the budget is spent has its last figure there. lime's coefficients and occlusion's losses
estimate something else; they stand here because people read them as if they were Shapley values.
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from benchmarks.accuracy_methods import METHODS, Attributor, Floats, Game
from benchmarks.stopping import ToleranceStops, TopKStops, measure_tolerance, measure_top_k, print_stops

GOLDEN = Path(__file__).parents[2] / "shared" / "data" / "golden"
FILES = {"text": "distilbert_imdb_14_tokens.npz", "image": "resnet18_imagenet_14_superpixels.npz"}
RESULTS = Path(__file__).parent / "results"
BUDGETS_PER_PLAYER = (2, 4, 8, 16, 32, 64)
TOP = 5


@dataclass(frozen=True)
class Accuracy:
    """How near one method comes at one budget; medians over games and seeds, the last two means."""

    games: str
    method: str
    evaluations_per_player: int
    spearman: float
    relative_l2: float
    top_five_jaccard: float
    coverage: float | None


def main() -> None:
    """Measure, print one table per set of games, and keep the figures as JSON; `--plot` draws them too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="seeds per game (default: 2)")
    parser.add_argument("--games", choices=FILES, nargs="+", default=list(FILES), help="which games (default: all)")
    parser.add_argument("--stops", action="store_true", help="measure early stops instead: coverage, wrong top k")
    parser.add_argument(
        "--floors", type=int, nargs="+", default=[], metavar="N", help="with --stops: from N rows a player on"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw error against rows per player")
    arguments = parser.parse_args()
    if not GOLDEN.exists():
        sys.exit(f"The exact games are not in {GOLDEN}; put them there to run this benchmark.")
    if arguments.stops:
        measure_stops(arguments.games, seeds=arguments.seeds, floors=arguments.floors)
        return
    figures: list[Accuracy] = []
    # Small matrices: on busy cores several BLAS threads are a hundred times slower, for every method here.
    with threadpool_limits(limits=1, user_api="blas"):
        for games in arguments.games:
            measured = measure(games, seeds=range(arguments.seeds))
            print_table(games, measured)
            figures += measured
    RESULTS.mkdir(exist_ok=True)
    record = {"seeds": arguments.seeds, "cores": os.cpu_count(), "figures": [asdict(figure) for figure in figures]}
    (RESULTS / "accuracy.json").write_text(json.dumps(record, indent=1) + "\n")
    if arguments.plot:
        from benchmarks.accuracy_plot import plot

        plot(figures, arguments.plot)


def measure_stops(chosen: Sequence[str], *, seeds: int, floors: Sequence[int]) -> None:
    """Print what holds at the stops of our methods that stop by themselves."""
    tolerance: list[ToleranceStops] = []
    top_k: list[TopKStops] = []
    with threadpool_limits(limits=1, user_api="blas"):
        for games in chosen:
            tables, n = exact_games(games)
            played, truths = [_game(table, n) for table in tables], [shapley_values(table, n) for table in tables]
            tolerance += measure_tolerance(games, played, truths, seeds, floors)
            top_k += [] if floors else measure_top_k(games, played, truths, seeds)
    print_stops(tolerance, top_k)


def exact_games(games: str) -> tuple[Floats, int]:
    """All values of all games of one set, float64[games, 2^n], and n."""
    data = np.load(GOLDEN / FILES[games])
    return data["V"].astype(np.float64), int(data["n"])


def measure(games: str, *, seeds: Sequence[int]) -> list[Accuracy]:
    """All methods at all budgets on one set of games; progress on stderr."""
    tables, n = exact_games(games)
    truths = [shapley_values(table, n) for table in tables]
    figures = []
    for name, attribute in METHODS.items():
        started_s = time.monotonic()
        for budget in BUDGETS_PER_PLAYER:
            accuracy = _accuracy(games, name, attribute, tables, truths, budget, seeds)
            if accuracy is not None:
                figures.append(accuracy)
        print(f"{games}: {name} took {time.monotonic() - started_s:.1f} s", file=sys.stderr, flush=True)
    return figures


def _accuracy(
    games: str,
    name: str,
    attribute: Attributor,
    tables: Floats,
    truths: list[Floats],
    per_player: int,
    seeds: Sequence[int],
) -> Accuracy | None:
    n = len(truths[0])
    rows = []
    for table, truth in zip(tables, truths, strict=True):
        for seed in seeds:
            answer = attribute(_game(table, n), n, per_player * n, seed)
            if answer is None:
                return None  # the budget does not reach
            values, interval = answer
            rows.append(
                (
                    float(spearmanr(values, truth).statistic),
                    float(np.linalg.norm(values - truth) / np.linalg.norm(truth)),
                    _jaccard(values, truth),
                    np.nan if interval is None else ((interval[0] <= truth) & (truth <= interval[1])).mean(),
                )
            )
    spearman, error, jaccard, coverage = np.array(rows).T
    return Accuracy(
        games=games,
        method=name,
        evaluations_per_player=per_player,
        spearman=float(np.nanmedian(spearman)),
        relative_l2=float(np.median(error)),
        top_five_jaccard=float(jaccard.mean()),
        coverage=None if np.isnan(coverage).any() else float(coverage.mean()),
    )


def _game(table: Floats, n: int) -> Game:
    places = 1 << np.arange(n)
    return lambda coalitions: np.asarray(table[coalitions @ places])


def shapley_values(table: Floats, n: int) -> Floats:
    """Shapley values by definition from all 2^n values, bit i of the index = player i; float64[n]."""
    index = np.arange(2**n)
    sizes = ((index[:, None] >> np.arange(n)) & 1).sum(axis=1)
    weights = np.array([1 / (n * comb(n - 1, size)) if size < n else 0.0 for size in range(n + 1)])
    values = np.empty(n)
    for player in range(n):
        without = index[(index >> player) & 1 == 0]
        values[player] = weights[sizes[without]] @ (table[without | (1 << player)] - table[without])
    return values


def _jaccard(values: Floats, truth: Floats) -> float:
    ours, true = (set(np.argsort(-np.abs(v))[:TOP].tolist()) for v in (values, truth))
    return len(ours & true) / len(ours | true)


def print_table(games: str, figures: Sequence[Accuracy]) -> None:
    """Spearman / relative L2 error / top-5 Jaccard, and the coverage of 95 % intervals where there are any."""
    print(f"\n{games} games ({FILES[games]}): Spearman / relative L2 / top-5 Jaccard [coverage at 0.95]")
    print(f"{'rows per player':<28}" + "".join(f"{budget:>22}" for budget in BUDGETS_PER_PLAYER))
    for method in dict.fromkeys(figure.method for figure in figures):
        cells = {f.evaluations_per_player: f for f in figures if f.method == method}
        print(f"{method:<28}" + "".join(f"{_cell(cells.get(budget)):>22}" for budget in BUDGETS_PER_PLAYER))


def _cell(figure: Accuracy | None) -> str:
    if figure is None:
        return "-"
    coverage = "" if figure.coverage is None else f" [{figure.coverage:.2f}]"
    cell = f"{figure.spearman:.3f}/{figure.relative_l2:.3f}/{figure.top_five_jaccard:.2f}{coverage}"
    return cell.replace("0.", ".")


if __name__ == "__main__":
    # shap and lime warn of their own dependencies, and of constant columns at tiny budgets.
    warnings.simplefilter("ignore")
    main()
