"""Explain a plain function of coalitions, with no server: for tests, benchmarks and notebooks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import ThreadpoolController

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.game import Asked, GameInfo
from explicate_server.explain.interactions.strongest_pairs import StrongestPairs, strongest_pairs
from explicate_server.explain.method import MAX_SEED, Method
from explicate_server.explain.methods import AUTO, METHODS, chosen
from explicate_server.explain.quality import FaithfulnessCheck, Quality
from explicate_server.explain.reduction import Reduction
from explicate_server.explain.rounds import ExplanationRun, StopReason, require_finite

Value = Callable[[Any], ArrayLike]
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class GameExplanation:
    """The explanation of a game. Arrays are [n] when the game gives one number, [outputs, n] when it gives several.

    Attributes:
        values: what each player adds; each group of players where they were grouped.
        standard_errors: of the values; NaN where unknown.
        lower, upper: ends of the confidence intervals; NaN where unknown.
        baseline_value: float or [outputs]; v(∅) for SHAP methods, the intercept for lime.
        instance_value: float or [outputs]; v(N).
        evaluations: different rows evaluated, ∅ and N included.
        rounds: rounds of asking and telling.
        stop_reason: why it stopped.
        converged: tolerance or top_k were met or the values are exact.
        quality: how far to trust it.
        groups: intp[n_players], the group of each player; None when each is its own.
        interactions: of each output the strongest pairs, if they were asked for; None if too little was evaluated.
    """

    values: Floats
    standard_errors: Floats
    lower: Floats
    upper: Floats
    baseline_value: Floats
    instance_value: Floats
    evaluations: int
    rounds: int
    stop_reason: StopReason
    converged: bool
    quality: Quality
    groups: Indices | None
    interactions: Sequence[StrongestPairs] | None = None


def explain_game(
    value: Value,
    n_players: int,
    *,
    method: str = "kernel-shap",
    seed: int = 0,
    max_evaluations: int | None = None,
    min_evaluations: int | None = None,
    tolerance: float = 0.0,
    top_k: int | None = None,
    confidence: float = 0.95,
    max_players: int | None = None,
    quality: Literal["basic", "full"] = "basic",
    interactions: int | None = None,
    reads: str = "text",
    drawn: Booleans | None = None,
    breaks: Indices | None = None,
    reduction: Reduction | None = None,
    on_round: Callable[[GameExplanation], None] | None = None,
) -> GameExplanation:
    """Attribute v(N) of a game to its players.

    Args:
        value: the game; takes bool[m, n] (True: present), or intp[m] with `drawn`; gives float[m] or float[m, outputs].
        n_players: n, from 0.
        method: a name in METHODS, or "auto".
        seed: of all random choices.
        max_evaluations, min_evaluations: rows; None means the method's default.
        tolerance, top_k: see RunSettings; 0 and None spend the whole budget.
        confidence: coverage of the intervals, in (0, 1).
        max_players: more players than this are grouped (refinement.py) by methods that can; None never groups them.
        quality: "full" evaluates up to 20 rows more, beyond max_evaluations, for comprehensiveness and sufficiency; not
            of drawn rows, which have no coalition without exactly one player.
        interactions: how many of the strongest pairs of players to tell, by methods that can (`Method.interacts`).
        reads: the kind of input that is explained; only "lime" and "lime-stratified" differ by it.
        drawn: bool[rows, n], which players are present in the rows that "lime" of a table fits, the first one the input
            itself. The game is then asked for these rows by their numbers.
        breaks: intp[n − 1], how much parts each player from the next where they are grouped; see GameInfo.
        reduction: of the n players, some of them as one and some always present; the values are those of its players.
        on_round: called with the estimate after every round.

    Raises:
        ValueError: an argument is out of range, or the game's values have the wrong shape.
        TooFewEvaluationsError: the method cannot do with max_evaluations.
        NonFiniteValueError: the game gave NaN or infinity.
    """
    if reduction is not None:
        if drawn is not None or len(reduction.owner) != n_players:
            raise ValueError(f"The reduction must be of the {n_players} players, and of coalitions, not of drawn rows.")
        value, n_players, breaks = _reduced(value, reduction), reduction.n_players, reduction.breaks(breaks)
    played = _checked_method(method, n_players, max_evaluations, reads=reads, seed=seed, confidence=confidence)
    for name, number, least in (
        ("max_players", max_players, 2),
        ("top_k", top_k, 1),
        ("interactions", interactions, 1),
    ):
        if number is not None and number < least:
            raise ValueError(f"{name} is {number}; it must be at least {least}.")
    if interactions is not None and not played.interacts:
        raise ValueError(f"{played.name} does not tell interactions.")
    most_players = n_players if max_players is None or not played.refines else max_players
    settings = played.settings(
        min(n_players, most_players),
        max_evaluations=max_evaluations,
        min_evaluations=min_evaluations,
        tolerance=tolerance,
        top_k=top_k,
    )
    game, squeeze, spent = _ends(value, n_players, played, seed=seed, confidence=confidence, drawn=drawn)
    game = replace(game, breaks=breaks)
    if settings.max_evaluations < spent:
        raise ValueError(f"max_evaluations is {settings.max_evaluations}; {played.name} needs at least {spent}.")
    run = _on_one_thread(played.start, game, settings, max_players=most_players, spent=spent)
    while (coalitions := _on_one_thread(run.next_round)) is not None:
        _on_one_thread(run.tell, _values(value, coalitions, n_outputs=game.n_outputs))
        if on_round is not None:
            on_round(_explanation(run, game, squeeze=squeeze))
    explanation = _explanation(run, game, squeeze=squeeze)
    if interactions is not None:
        pairs = _on_one_thread(partial(strongest_pairs, count=interactions), run.rows, run.attribution, game)
        explanation = replace(explanation, interactions=pairs)
    return explanation if quality == "basic" or drawn is not None else _with_faithfulness(explanation, run, game, value)


def _reduced(value: Value, reduction: Reduction) -> Value:
    return lambda coalitions: value(reduction.spread(coalitions))


def _on_one_thread(
    step: Callable[_Arguments, _Result], *arguments: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """A step of the engine with BLAS on one thread; the game itself may use more.

    Several threads on busy cores make the engine's small matrices up to a hundred times slower. A limit takes 0.05 ms.
    """
    with _blas().limit(limits=1, user_api="blas"):
        return step(*arguments, **named)


@cache
def _blas() -> ThreadpoolController:
    """The libraries that are loaded; finding them takes 4 ms."""
    return ThreadpoolController()


def _with_faithfulness(
    explanation: GameExplanation, run: ExplanationRun, game: GameInfo, value: Value
) -> GameExplanation:
    check = FaithfulnessCheck(run.attribution, seed=game.seed)
    if not len(check.coalitions):
        return explanation
    values = _values(value, check.coalitions, n_outputs=game.n_outputs)
    require_finite(check.coalitions, values, np.ones(len(values), np.bool_), round=run.rounds + 1)
    quality = check.added_to(explanation.quality, values, game.full)
    return replace(explanation, quality=quality, evaluations=explanation.evaluations + len(values))


def _checked_method(
    name: str, n_players: int, max_evaluations: int | None, *, reads: str, seed: int, confidence: float
) -> Method:
    if name not in (AUTO, *METHODS):
        raise ValueError(f"There is no method {name!r}; choose one of {', '.join((AUTO, *METHODS))}.")
    if n_players < 0:
        raise ValueError(f"n_players is {n_players}; it must be 0 or more.")
    method = chosen(name, n_players=n_players, max_evaluations=max_evaluations, reads=reads)
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"The seed is {seed}; it must be from 0 to {MAX_SEED}.")
    if not 0 < confidence < 1:
        raise ValueError(f"The confidence is {confidence}; it must be between 0 and 1.")
    return method


def _ends(
    value: Value, n_players: int, method: Method, *, seed: int, confidence: float, drawn: Booleans | None
) -> tuple[GameInfo, bool, int]:
    """The game's ends, whether its values are plain numbers, and how many rows that took."""
    both = method.needs_empty and n_players > 0  # with no players ∅ and N are one
    rows = np.ones((2 if both else 1, n_players), dtype=np.bool_)
    rows[1:] = False
    ends = np.asarray(value(rows if drawn is None else np.zeros(1, np.intp)), dtype=np.float64)
    if ends.ndim not in (1, 2) or len(ends) != len(rows):
        raise ValueError(
            f"For {len(rows)} coalitions the game gave shape {ends.shape}; it must give [m] or [m, outputs]."
        )
    values = ends.reshape(len(rows), -1)
    require_finite(rows, values, np.ones(len(rows), np.bool_), round=0)
    empty = values[-1] if method.needs_empty else np.full(values.shape[1], np.nan)
    game = GameInfo(n_players=n_players, empty=empty, full=values[0], seed=seed, confidence=confidence, drawn=drawn)
    return game, ends.ndim == 1, len(rows)


def _values(value: Value, coalitions: Asked, *, n_outputs: int) -> Floats:
    values = np.asarray(value(coalitions), dtype=np.float64)
    if values.ndim not in (1, 2) or values.size != len(coalitions) * n_outputs or len(values) != len(coalitions):
        raise ValueError(
            f"For {len(coalitions)} coalitions the game gave shape {values.shape}; before it gave {n_outputs} outputs."
        )
    return values.reshape(len(coalitions), n_outputs)


def _explanation(run: ExplanationRun, game: GameInfo, *, squeeze: bool) -> GameExplanation:
    attribution = run.attribution

    def shaped(array: Floats) -> Floats:
        return array[0] if squeeze else array

    return GameExplanation(
        values=shaped(attribution.values),
        standard_errors=shaped(attribution.standard_errors),
        lower=shaped(attribution.lower),
        upper=shaped(attribution.upper),
        baseline_value=shaped(attribution.baseline),
        instance_value=shaped(game.full),
        evaluations=run.evaluations,
        rounds=run.rounds,
        stop_reason=run.stop_reason,
        converged=run.converged,
        quality=_on_one_thread(run.quality, game),
        groups=attribution.groups,
    )
