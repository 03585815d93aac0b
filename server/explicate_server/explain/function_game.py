"""Explain a plain function of coalitions, with no server: for tests, benchmarks and notebooks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from explicate_server.explain.arrays import Booleans, Floats
from explicate_server.explain.game import GameInfo
from explicate_server.explain.loop import ExplanationRun, StopReason, require_finite
from explicate_server.explain.registry import AUTO, METHODS, Method, chosen

Value = Callable[[Booleans], ArrayLike]


@dataclass(frozen=True, kw_only=True)
class GameExplanation:
    """The explanation of a game. Arrays are [n] when the game gives one number, [outputs, n] when it gives several.

    Attributes:
        values: what each player adds.
        standard_errors: of the values; NaN where unknown.
        lower, upper: ends of the confidence intervals; NaN where unknown.
        baseline_value: float or [outputs]; v(∅) for SHAP methods, the intercept for lime.
        instance_value: float or [outputs]; v(N).
        evaluations: different rows evaluated, ∅ and N included.
        rounds: rounds of asking and telling.
        stop_reason: why it stopped.
        converged: the tolerance was met or the values are exact.
        additivity_gap: |Σ values + baseline − instance|, the largest over outputs; NaN for lime.
        held_out_r_squared: of the additive model on coalitions it was not fitted to, the smallest over outputs; NaN
            where undefined.
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
    additivity_gap: float
    held_out_r_squared: float


def explain_game(
    value: Value,
    n_players: int,
    *,
    method: str = "kernel-shap",
    seed: int = 0,
    max_evaluations: int | None = None,
    min_evaluations: int | None = None,
    tolerance: float = 0.0,
    confidence: float = 0.95,
    on_round: Callable[[GameExplanation], None] | None = None,
) -> GameExplanation:
    """Attribute v(N) of a game to its players.

    Args:
        value: the game; takes bool[m, n] (True: present), gives float[m] or float[m, outputs].
        n_players: n, from 0.
        method: a name in METHODS, or "auto".
        seed: of all random choices.
        max_evaluations, min_evaluations: rows; None means the method's default.
        tolerance: see RunSettings; 0 spends the whole budget.
        confidence: coverage of the intervals, in (0, 1).
        on_round: called with the estimate after every round.

    Raises:
        ValueError: an argument is out of range, or the game's values have the wrong shape.
        TooFewEvaluationsError: the method cannot do with max_evaluations.
        NonFiniteValueError: the game gave NaN or infinity.
    """
    played = _checked_method(method, n_players, max_evaluations, seed=seed, confidence=confidence)
    settings = played.settings(
        n_players, max_evaluations=max_evaluations, min_evaluations=min_evaluations, tolerance=tolerance
    )
    game, squeeze, spent = _ends(value, n_players, played, seed=seed, confidence=confidence)
    if settings.max_evaluations < spent:
        raise ValueError(f"max_evaluations is {settings.max_evaluations}; {played.name} needs at least {spent}.")
    run = ExplanationRun(played.build(game, settings.max_evaluations), settings=settings, spent=spent)
    while (coalitions := run.next_round()) is not None:
        run.tell(_values(value, coalitions, n_outputs=game.n_outputs))
        if on_round is not None:
            on_round(_explanation(run, game, squeeze=squeeze))
    return _explanation(run, game, squeeze=squeeze)


def _checked_method(name: str, n_players: int, max_evaluations: int | None, *, seed: int, confidence: float) -> Method:
    if name not in (AUTO, *METHODS):
        raise ValueError(f"There is no method {name!r}; choose one of {', '.join((AUTO, *METHODS))}.")
    if n_players < 0:
        raise ValueError(f"n_players is {n_players}; it must be 0 or more.")
    method = chosen(name, n_players=n_players, max_evaluations=max_evaluations)
    if not 0 <= seed <= method.max_seed:
        raise ValueError(f"The seed is {seed}; for {method.name} it must be from 0 to {method.max_seed}.")
    if not 0 < confidence < 1:
        raise ValueError(f"The confidence is {confidence}; it must be between 0 and 1.")
    return method


def _ends(value: Value, n_players: int, method: Method, *, seed: int, confidence: float) -> tuple[GameInfo, bool, int]:
    """The game's ends, whether its values are plain numbers, and how many rows that took."""
    both = method.needs_empty and n_players > 0  # with no players ∅ and N are one
    rows = np.ones((2 if both else 1, n_players), dtype=np.bool_)
    rows[1:] = False
    ends = np.asarray(value(rows), dtype=np.float64)
    if ends.ndim not in (1, 2) or len(ends) != len(rows):
        raise ValueError(
            f"For {len(rows)} coalitions the game gave shape {ends.shape}; it must give [m] or [m, outputs]."
        )
    values = ends.reshape(len(rows), -1)
    require_finite(rows, values, np.ones(len(rows), np.bool_), round=0)
    empty = values[-1] if method.needs_empty else np.full(values.shape[1], np.nan)
    game = GameInfo(n_players=n_players, empty=empty, full=values[0], seed=seed, confidence=confidence)
    return game, ends.ndim == 1, len(rows)


def _values(value: Value, coalitions: Booleans, *, n_outputs: int) -> Floats:
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
        additivity_gap=attribution.additivity_gap(game.full),
        held_out_r_squared=float(attribution.held_out_r_squared.min()),
    )
