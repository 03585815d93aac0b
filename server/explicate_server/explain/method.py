"""What an explanation method is: how its estimator is built, and its defaults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from explicate_server.explain.game import Estimator, GameInfo, TooFewEvaluationsError
from explicate_server.explain.refinement import refined
from explicate_server.explain.rounds import ExplanationRun, RunSettings

# The masking of methods whose rows the game draws.
DRAWN = "drawn"
# Fewer rows than v(∅), v(N) and one pair of coalitions explain nothing.
LEAST_EVALUATIONS = 4
# The wire holds no larger one, nor does numpy's RandomState take one.
MAX_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Method:
    """One explanation method.

    Attributes:
        name: in kebab-case, as requests name it.
        version: of the implementation; it changes whenever the same request, its defaults filled in, would get another
            answer.
        build: makes an estimator from a game and max_evaluations.
        players: "distinct-words" if equal words of a text are one player; "words" if each word is its own player, or
            each part of another granularity that was asked for.
        default_masking: how absence is expressed unless the caller says otherwise; if a model does not have it, the
            model's own default.
        default_granularity: what the players are unless the caller says otherwise; None is the model's own default.
        drawn: whether its rows are drawn by the game, which is the masking "drawn" and no other.
        default_max_evaluations: rows through the model, from the number of players.
        default_min_evaluations: rows before the tolerance may stop, from the number of players.
        least_evaluations: max_evaluations below this are refused, from the number of players.
        default_tolerance: see RunSettings.tolerance.
        reads: the kinds of input it explains, by their names; None is every kind.
        needs: what a model must tell of itself, see `Modality.tells`; then it is asked for no coalition. None: nothing.
        lacks: what is said of a model that does not have what it needs, and the remedy.
        additive: whether the values promise to sum to v(N) − v(∅).
        needs_empty: whether v(∅) must be known before.
        maskings: the only ones that it knows; None: all of the model's.
        along_path: whether it integrates the model's gradient, of which it takes rows in the place of coalitions. Its
            values are no Shapley values, so "auto" never takes it.
        takes_baseline: whether a caller may choose what stands in for absent players.
        refines: whether games of too many players are grouped and refined where the weight is.
        long_texts_from: from so many players on a text is explained word by word in its sections, not grouped unless
            that was asked for. None: never.
        previews: whether its values are Shapley values that take many rows, of which an explainer may guess first.
        interacts: whether its rows tell what pairs of players do together: they come as S, N∖S, of all sizes; or its
            games are told.
        shared: whether many games can be played on the same coalitions: its estimators are `Shared`, or ask for none.
        round_rows: see RunSettings.round_rows.
        differs: the fields that have another value for a kind of input, by its name.
    """

    name: str
    version: str = "1"
    build: Callable[[GameInfo, int], Estimator]
    players: Literal["words", "distinct-words"] = "words"
    default_masking: str = "attention"
    default_granularity: str | None = None
    drawn: bool = False
    default_max_evaluations: Callable[[int], int]
    default_min_evaluations: Callable[[int], int] = lambda n: max(8 * n, LEAST_EVALUATIONS)
    least_evaluations: Callable[[int], int] = lambda _n: 1
    default_tolerance: float = 0.0
    reads: tuple[str, ...] | None = None
    needs: str | None = None
    lacks: str = ""
    additive: bool = True
    needs_empty: bool = True
    maskings: tuple[str, ...] | None = None
    along_path: bool = False
    takes_baseline: bool = True
    refines: bool = False
    long_texts_from: int | None = None
    previews: bool = False
    interacts: bool = False
    shared: bool = False
    round_rows: int | None = None
    differs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, reads: str) -> "Method":
        """The method as it explains one kind of input."""
        return replace(self, **self.differs.get(reads, {}))

    def settings(
        self,
        n_players: int,
        *,
        max_evaluations: int | None = None,
        min_evaluations: int | None = None,
        tolerance: float | None = None,
        top_k: int | None = None,
    ) -> RunSettings:
        """The loop's settings, with this method's defaults for what is None; min is brought below max.

        Raises:
            TooFewEvaluationsError: the method cannot do with the budget.
        """
        most = self.default_max_evaluations(n_players) if max_evaluations is None else max_evaluations
        least = self.default_min_evaluations(n_players) if min_evaluations is None else min_evaluations
        if most < self.least_evaluations(n_players):
            raise TooFewEvaluationsError(method=self.name, n_players=n_players, max_evaluations=most)
        return RunSettings(
            max_evaluations=most,
            min_evaluations=min(least, most),
            tolerance=self.default_tolerance if tolerance is None else tolerance,
            top_k=top_k,
            round_rows=self.round_rows,
        )

    def start(self, game: GameInfo, settings: RunSettings, *, max_players: int, spent: int) -> ExplanationRun:
        """Begin to explain a game, of whose rows `spent` were evaluated; more than `max_players` are grouped."""
        estimator = refined(self.build, game, max_players=max_players, max_evaluations=settings.max_evaluations)
        return ExplanationRun(estimator, settings=settings, spent=spent, drawn=game.drawn, games=game.games)
