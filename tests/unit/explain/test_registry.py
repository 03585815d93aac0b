"""The methods by name, and what every one of them promises as an estimator."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import explicate_server
from explicate_server.explain import METHODS, Attribution, Estimator, GameInfo, StopReason, explain_game
from explicate_server.explain.game import TooFewEvaluationsError
from explicate_server.explain.methods import AUTO, chosen
from support.exact_games import model_like_game

N = 9
OUTPUTS = 2
BUDGET = 2**N


def value(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.stack([model_like_game(N, seed)(coalitions) for seed in (0, 1)], axis=1)


def estimator_of(method: str, seed: int = 0) -> tuple[Estimator, GameInfo]:
    ends = value(np.stack((np.zeros(N, np.bool_), np.ones(N, np.bool_))))
    empty = ends[0] if METHODS[method].needs_empty else np.full(OUTPUTS, np.nan)
    game = GameInfo(n_players=N, empty=empty, full=ends[1], seed=seed)
    return METHODS[method].build(game, BUDGET), game


def rounds(estimator: Estimator, count: Callable[[], int]) -> Iterator[tuple[NDArray[np.bool_], Attribution]]:
    """Ask and tell until nothing is left."""
    while (coalitions := estimator.ask(count())) is not None and len(coalitions):
        estimator.tell(value(coalitions))
        yield coalitions, estimator.estimate()


def test_the_names_are_those_of_the_contract() -> None:
    assert list(METHODS) == [
        "exact-shap",
        "kernel-shap",
        "lime",
        "lime-stratified",
        "occlusion",
        "partition-shap",
        "permutation-shap",
    ]
    assert all(name == method.name for name, method in METHODS.items())
    assert AUTO not in METHODS


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_named_by_its_own_file_and_by_what_chooses_for_the_caller(method: str) -> None:
    server = Path(explicate_server.__file__).parent
    naming = {
        path.name
        for path in server.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value == method
    }
    # "auto" takes one of two methods, and `explain_game` has a default.
    choosing = {"exact-shap": {"methods.py"}, "kernel-shap": {"methods.py", "explain_game.py"}}
    assert naming == {f"{method.replace('-', '_')}.py"} | choosing.get(method, set())


@pytest.mark.parametrize("method", METHODS)
def test_no_coalition_comes_twice_nor_one_that_is_known_nor_more_than_asked_for(method: str) -> None:
    estimator, _ = estimator_of(method)
    random = np.random.default_rng(0)
    counts: list[int] = []

    def count() -> int:
        counts.append(int(random.integers(2, 60)))
        return counts[-1]

    asked = []
    for coalitions, _ in rounds(estimator, count):
        assert len(coalitions) <= counts[-1]
        assert coalitions.shape[1] == N
        asked += [row.tobytes() for row in coalitions]
    known = {np.ones(N, np.bool_).tobytes()}
    if METHODS[method].needs_empty:
        known.add(np.zeros(N, np.bool_).tobytes())
    assert len(set(asked) | known) == len(asked) + len(known)
    assert len(asked) <= BUDGET - len(known)


@pytest.mark.parametrize("method", METHODS)
def test_estimates_are_finite_and_of_one_shape_after_every_round_also_the_first(method: str) -> None:
    estimator, game = estimator_of(method)
    estimates = [estimator.estimate()] + [attribution for _, attribution in rounds(estimator, lambda: 30)]
    for attribution in estimates:
        for array in (attribution.values, attribution.standard_errors, attribution.lower, attribution.upper):
            assert array.shape == (OUTPUTS, N)
        assert np.isfinite(attribution.values).all()
        assert attribution.additive is METHODS[method].additive
        if attribution.additive:
            assert attribution.additivity_gap(game.full).max() < 1e-9
    assert not estimates[0].exact
    assert estimates[-1].exact is (method != "lime")


@pytest.mark.parametrize("method", METHODS)
def test_half_a_round_that_the_deadline_cut_is_enough_for_an_estimate(method: str) -> None:
    estimator, game = estimator_of(method)
    for _ in range(2):
        coalitions = estimator.ask(40)
        if coalitions is None:
            break
        evaluated = np.random.default_rng(0).random(len(coalitions)) < 0.6
        estimator.tell(np.where(evaluated[:, None], value(coalitions), np.nan), evaluated)
    attribution = estimator.estimate()
    assert np.isfinite(attribution.values).all()
    assert not attribution.exact
    if attribution.additive:
        assert attribution.additivity_gap(game.full).max() < 1e-9
    halves = estimator.halves()
    assert halves is None or np.isfinite(halves).all()


@pytest.mark.parametrize("method", METHODS)
def test_halves_are_two_estimates_that_differ_or_nothing(method: str) -> None:
    estimator, game = estimator_of(method)
    assert estimator.halves() is None
    drawn = method not in ("occlusion", "partition-shap")
    for _ in range(2):
        coalitions = estimator.ask(100)
        if coalitions is None:
            break
        estimator.tell(value(coalitions))
    halves = estimator.halves()
    assert (halves is not None) is drawn
    if halves is not None:
        first, second = halves
        assert first.shape == second.shape == (OUTPUTS, N)
        assert not np.allclose(first, second)
        together = estimator.estimate().values
        for half in halves:
            assert np.corrcoef(half.ravel(), together.ravel())[0, 1] > 0.7
        if METHODS[method].additive:
            assert np.allclose(first.sum(axis=1), game.full - game.empty)


# kernel-shap chooses one surrogate for all outputs, partition-shap below its budget one order of the cuts.
@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"kernel-shap"}))
def test_all_outputs_come_from_the_same_rows_and_as_if_each_were_alone(method: str) -> None:
    budget = 2**N if method == "exact-shap" else 200
    both = explain_game(value, N, method=method, seed=1, max_evaluations=budget)
    for output in range(OUTPUTS):

        def alone(coalitions: NDArray[np.bool_], output: int = output) -> NDArray[np.float64]:
            return value(coalitions)[:, output]

        one = explain_game(alone, N, method=method, seed=1, max_evaluations=budget)
        assert both.values[output] == pytest.approx(one.values, abs=1e-9)
        assert one.evaluations == both.evaluations


def test_auto_takes_exact_shap_where_all_coalitions_fit_the_budget() -> None:
    assert chosen(AUTO, n_players=10, max_evaluations=2**10).name == "exact-shap"
    assert chosen(AUTO, n_players=10, max_evaluations=2**10 - 1).name == "kernel-shap"
    assert chosen(AUTO, n_players=8).name == "exact-shap"  # 256 rows, as many as kernel-shap's default
    assert chosen(AUTO, n_players=9).name == "kernel-shap"
    assert chosen(AUTO, n_players=1024, max_evaluations=16384).name == "kernel-shap"
    assert chosen("occlusion", n_players=3, max_evaluations=100).name == "occlusion"
    with pytest.raises(KeyError):
        chosen("magic", n_players=3)


def test_auto_explains_games_small_and_large() -> None:
    game = model_like_game(10, seed=0)
    small = explain_game(game, 10, method=AUTO, max_evaluations=1024)
    assert small.stop_reason is StopReason.EXACT
    assert small.values == pytest.approx(game.shapley_values, abs=1e-12)
    assert explain_game(game, 10, method=AUTO).evaluations == 320


@pytest.mark.parametrize(("method", "rows"), [("kernel-shap", 640), ("permutation-shap", 640), ("occlusion", 22)])
def test_default_budgets_follow_the_number_of_players(method: str, rows: int) -> None:
    assert METHODS[method].settings(20).max_evaluations == rows


@pytest.mark.parametrize("n", [2, 7, 64, 171])
def test_partition_shap_converges_at_its_default_budget(n: int) -> None:
    explanation = explain_game(lambda c: c.mean(axis=1) ** 2, n, method="partition-shap")
    assert explanation.stop_reason is StopReason.EXACT
    assert explanation.values == pytest.approx(np.full(n, 1 / n), abs=1e-9)


def test_only_exact_shap_refuses_a_small_budget() -> None:
    for name, method in METHODS.items():
        if name == "exact-shap":
            with pytest.raises(TooFewEvaluationsError) as caught:
                method.settings(20, max_evaluations=1000)
            assert caught.value.problem.startswith("is 1,000; exact-shap needs all 2^20 coalitions of 20 players")
        else:
            assert method.settings(20, max_evaluations=4).max_evaluations == 4
