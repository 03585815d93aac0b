"""`python -m benchmarks.fit_cost`: what one fit takes when every one of 1,000 classes is explained.

The largest budget that the server accepts for that many classes is given to each method in one round, so that the one
fit is the costliest there can be. Seconds are those of the processor, which a busy machine changes least; the memory is
what numpy and Python held at most beside the values themselves.
"""

import time
import tracemalloc

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.accuracy_methods import Floats
from explicate_server.explain import METHODS, GameInfo
from explicate_server.inference.explain_options import most_evaluations

CLASSES = 1000
PLAYERS = (12, 20, 131)
LIMIT_S = 0.2


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
    estimator = method.build(game, rows)
    coalitions = estimator.ask(rows - 2)
    assert coalitions is not None
    values = value(coalitions.astype(np.float64))
    run = method.start(
        game, method.settings(players, max_evaluations=rows, min_evaluations=rows), max_players=players, spent=2
    )
    told = 0
    tracemalloc.start()
    fit_s = quality_s = 0.0
    while (asked := run.next_round()) is not None:
        part = values[told : told + len(asked)]
        fit_s = max(fit_s, _seconds(lambda part=part: run.tell(part)))
        quality_s = max(quality_s, _seconds(lambda: run.quality(game)))
        told += len(asked)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return f"{told:>7,}{fit_s:>8.3f}{quality_s:>11.3f}{peak / 1e6:>9.0f}"


def _seconds(step) -> float:
    started_s = time.process_time()
    step()
    return time.process_time() - started_s


if __name__ == "__main__":
    main()
