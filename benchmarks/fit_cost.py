"""`python -m benchmarks.fit_cost`: what one fit takes when every one of 1,000 classes is explained.

Each method has the largest budget that the server accepts for that many classes, in one round, so that the one fit is
the costliest there can be (lime's come in its own rounds). Seconds are those of the processor, which a busy machine
changes least; the memory is what numpy and Python held at most.
"""

import time
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.accuracy_methods import Floats
from explicate_server.explain import METHODS, GameInfo
from explicate_server.inference.explain_options import most_evaluations

CLASSES = 1000
PLAYERS = (12, 20, 131)
LIMIT_S = 0.2
# The first run takes its memory from the system, which is three times as slow; the best of these counts.
REPEATS = 3


def main() -> None:
    """Print a table, a line for each method and number of players."""
    print(f"{'method':<18}{'players':>8}{'rows':>7}{'fit s':>8}{'quality s':>11}{'peak MB':>9}")
    with threadpool_limits(limits=1, user_api="blas"):
        for players in PLAYERS:
            for name in ("kernel-shap", "permutation-shap", "lime", "lime-stratified", "exact-shap"):
                rows = most_evaluations(players, CLASSES)
                if METHODS[name].least_evaluations(players) <= rows:
                    print(f"{name:<18}{players:>8}" + _measured(name, players, rows), flush=True)
    print(f"\nasked for: {LIMIT_S} s")


def _measured(name: str, players: int, rows: int) -> str:
    """Rows, seconds of the fit and of the quality figures, and memory, in the columns of the table."""
    method, random = METHODS[name], np.random.default_rng(0)
    slopes = random.normal(size=(players, CLASSES)) / np.sqrt(players)
    bends = random.normal(size=(players, 8)), random.normal(size=(8, CLASSES)) / 3

    def value(coalitions: Floats) -> Floats:
        scores = coalitions @ slopes + np.tanh(coalitions @ bends[0]) @ bends[1]
        return np.asarray(1 / (1 + np.exp(-scores)))

    empty, full = value(np.stack((np.zeros(players), np.ones(players))))
    game = GameInfo(n_players=players, empty=empty if method.needs_empty else np.full(CLASSES, np.nan), full=full)
    settings = method.settings(players, max_evaluations=rows, min_evaluations=rows)
    best = [np.inf, np.inf]
    for _ in range(REPEATS):
        run, told, steps = method.start(game, settings, max_players=players, spent=2), 0, [0.0, 0.0]
        tracemalloc.start()
        while (asked := run.next_round()) is not None:
            values = value(np.asarray(asked, np.float64))
            steps[0] = max(steps[0], _seconds(partial(run.tell, values)))
            steps[1] = max(steps[1], _seconds(partial(run.quality, game)))
            told += len(asked)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        best = [min(pair) for pair in zip(best, steps, strict=True)]
    return f"{told:>7,}{best[0]:>8.3f}{best[1]:>11.3f}{peak / 1e6:>9.0f}"


def _seconds(step: Callable[[], object]) -> float:
    started_s = time.process_time()
    step()
    return time.process_time() - started_s


if __name__ == "__main__":
    main()
