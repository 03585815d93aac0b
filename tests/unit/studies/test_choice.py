"""Which run is taken: the Pareto set beside Optuna's own, floors, and the rule of one standard error."""

import random

import optuna
import pytest

from explicate_studies.choice import Goals, Measured, Tried, choose, pareto

GOALS = Goals("accuracy", False, "evaluations_per_player")


def tried(number: int, accuracy: float, cost: float, *, half: float = 0.0, missed: float = -1.0) -> Tried:
    return Tried(
        number,
        {},
        Measured(accuracy, accuracy - half, accuracy + half),
        {"evaluations_per_player": Measured(cost)},
        {"auroc": missed},
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_pareto_set_is_that_of_optuna(seed: int) -> None:
    stream = random.Random(seed)
    runs = [tried(number, stream.randint(0, 9) / 10, stream.randint(1, 9)) for number in range(30)]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"])
    for run in runs:
        values = [run.metric.value, GOALS.costs(run)]
        study.add_trial(optuna.trial.create_trial(values=values))
    theirs = {tuple(trial.values) for trial in study.best_trials}
    assert {(run.metric.value, GOALS.costs(run)) for run in pareto(runs, GOALS)} == theirs


def test_a_run_that_misses_a_floor_is_neither_kept_nor_taken() -> None:
    good, forbidden = tried(0, 0.8, 10), tried(1, 0.9, 5, missed=0.1)
    assert pareto([good, forbidden], GOALS) == [good]
    taken = choose([good, forbidden], GOALS)
    assert taken is not None
    assert taken[0] is good


def test_without_any_feasible_run_the_nearest_is_named_with_what_it_misses() -> None:
    taken = choose([tried(0, 0.8, 10, missed=0.2), tried(1, 0.7, 10, missed=0.05)], GOALS)
    assert taken is not None
    assert taken[0].number == 1
    assert "misses auroc by 0.05" in taken[1]


def test_the_cheapest_run_within_one_standard_error_of_the_best_is_taken() -> None:
    best = tried(0, 0.85, 14, half=0.0196)  # a standard error of .01
    near, far = tried(1, 0.841, 9, half=0.0196), tried(2, 0.835, 5, half=0.0196)
    taken = choose([best, near, far], GOALS)
    assert taken is not None
    assert taken[0] is near
    assert "instead of 14.0" in taken[1]


def test_with_one_objective_the_best_is_taken_by_its_own_direction() -> None:
    runs = [tried(0, 0.8, 1), tried(1, 0.9, 2)]
    for goals, number in ((Goals("accuracy", False), 1), (Goals("error", True), 0)):
        taken = choose(runs, goals)
        assert taken is not None
        assert taken[0].number == number


def test_nothing_is_taken_of_nothing() -> None:
    assert choose([], GOALS) is None
