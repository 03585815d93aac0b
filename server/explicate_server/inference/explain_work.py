"""What one explanation is made of, how far it is, and the answer that it gives at any time.

An explanation of a game that its model tells (`explain/told_game.py`) is made here in one step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.attribution import Attribution
from explicate_server.explain.game import GameInfo
from explicate_server.explain.quality import FaithfulnessCheck, Quality
from explicate_server.explain.rounds import ExplanationRun, StopReason
from explicate_server.inference.asking.additions import NOTHING_ADDED, Additions
from explicate_server.inference.asking.targets import Outputs
from explicate_server.inference.evaluations import Evaluations, Timings
from explicate_server.inference.explain_options import ResolvedOptions
from explicate_server.inference.told.gradient_work import Integrated
from explicate_server.inference.told.told_outputs import told_game
from explicate_server.modalities.modality import EncodedInput, Game, Player, TellsItself
from explicate_server.registry.records import ServedModel


@dataclass(frozen=True)
class ExplainAnswer:
    """The prediction and the explanation so far; ``final`` on the last one.

    ``prediction`` is the graph's own answer, float64[outputs]: logits, or the value; ``full`` float64[explained].
    ``fitted_evaluations`` are those that the attributions rest on, ``unevaluated`` those of the last round for which
    there was no time. A ``preview`` rests on none: it is a guess, and never final.
    """

    prediction: NDArray[np.float64]
    encoded: EncodedInput
    players: Sequence[Player]
    fixed: Sequence[Player]
    segment_map: NDArray[np.intp] | None
    unspaced_scripts: Sequence[str]
    outputs: Outputs
    attribution: Attribution
    quality: Quality
    full: NDArray[np.float64]
    options: ResolvedOptions
    evaluations: int
    reused_evaluations: int
    rounds: int
    stop_reason: StopReason
    cut_by_clock: bool
    fitted_evaluations: int
    unevaluated: int
    converged: bool
    timings: Timings
    final: bool
    additions: Additions
    preview: bool = False


@dataclass
class Work:
    """What is explained, and how far it is."""

    encoded: EncodedInput
    game: Game
    options: ResolvedOptions
    prediction: NDArray[np.float64]
    outputs: Outputs
    information: GameInfo
    run: ExplanationRun
    evaluations: "Evaluations | _OneRow"
    unevaluated: int = 0
    additions: Additions = NOTHING_ADDED
    path: Integrated | None = None

    def answer(self, quality: Quality, timings: Timings, *, final: bool) -> ExplainAnswer:
        """What is known now."""
        run, groups, game = self.run, self.run.attribution.groups, self.game
        players = game.players if groups is None else game.grouped(groups)
        return ExplainAnswer(
            prediction=self.prediction,
            encoded=self.encoded,
            players=[*players, *game.unread],
            fixed=game.fixed,
            segment_map=game.segment_map if groups is None else game.grouped_map(groups),
            unspaced_scripts=self.game.unspaced_scripts,
            outputs=self.outputs,
            attribution=run.attribution.with_nothing_for(len(self.game.unread)),
            quality=quality,
            full=self.information.full,
            options=self.options,
            evaluations=self.evaluations.count + (self.path.rows if self.path else 0),
            reused_evaluations=self.evaluations.reused,
            rounds=run.rounds,
            stop_reason=run.stop_reason,
            cut_by_clock=run.cut_by_clock,
            fitted_evaluations=run.evaluations,
            unevaluated=self.unevaluated,
            converged=run.converged,
            timings=timings,
            final=final,
            additions=self.additions,
        )


def knows_the_ends_only(run: ExplanationRun, ends: int) -> bool:
    """Whether the attributions rest on v(∅) and v(N) alone, so that they say nothing of one player that they do not say
    of all. That is so too where rows were evaluated, but not all that the method needs for its first estimate.
    """
    return run.evaluations <= ends or bool(know_the_ends_only(run.attribution)[0])


def know_the_ends_only(attribution: Attribution, games: int = 1) -> NDArray[np.bool_]:
    """The same of each of several games that were evaluated, bool[games]."""
    values, errors = (each.reshape(games, -1) for each in (attribution.values, attribution.standard_errors))
    equal = (attribution.values == attribution.values[:, :1]).reshape(games, -1).all(axis=1)
    return np.asarray(np.isnan(errors).all(axis=1) & equal & values.any(axis=1))


@dataclass(frozen=True)
class _OneRow:
    """The evaluations of an explanation that rests on the prediction's row alone."""

    count: int = 1
    reused: int = 0


def told_work(
    served: ServedModel, encoded: EncodedInput, game: Game, options: ResolvedOptions, prediction: NDArray[np.float64]
) -> Work:
    """The explanation of a game that its model tells, beside the model's own answer float64[outputs]."""
    assert isinstance(game, TellsItself)
    scales = served.scales
    outputs = Outputs.choose(
        options.target, options.output_space, scales=scales, prediction=prediction, labels=served.labels
    )
    whole = scales.means(prediction[np.newaxis, np.newaxis], np.ones(1))
    told = told_game(game.told(), game.weights, outputs)
    information = GameInfo(
        n_players=len(game.players),
        empty=told.baseline,
        full=outputs.of(whole)[0],
        seed=options.seed,
        confidence=options.confidence,
        told=told,
    )
    evaluations = _OneRow()
    run = run_of(information, options, spent=evaluations.count)
    run.next_round()  # which asks for nothing, and says why it stops
    return Work(encoded, game, options, prediction, outputs, information, run, evaluations)


def told_quality(work: Work) -> Quality:
    """How far it can be trusted, with comprehensiveness and sufficiency if they were asked for."""
    information, run, told = work.information, work.run, work.information.told
    quality = run.quality(information)
    if work.options.quality != "full" or told is None:
        return quality
    check = FaithfulnessCheck(run.attribution, seed=information.seed)
    return check.added_to(quality, told.values(check.coalitions), information.full)


def run_of(information: GameInfo, options: ResolvedOptions, *, spent: int) -> ExplanationRun:
    """The rounds of an explanation, of whose rows ``spent`` were evaluated."""
    settings = options.method.settings(
        information.n_players,
        max_evaluations=options.max_evaluations,
        min_evaluations=options.min_evaluations,
        tolerance=options.tolerance,
        top_k=options.top_k,
    )
    max_players = options.max_players or information.n_players
    return options.method.start(information, settings, max_players=max_players, spent=spent)
