"""The explanation methods by name. A new method is one file with an estimator and one line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from explicate_server.explain.estimator import Estimator
from explicate_server.explain.game import GameInfo
from explicate_server.explain.kernel_shap import KernelShap
from explicate_server.explain.lime import Lime, load_library
from explicate_server.explain.loop import RunSettings

# Fewer rows than v(∅), v(N) and one pair of coalitions explain nothing.
LEAST_EVALUATIONS = 4


@dataclass(frozen=True, kw_only=True)
class Method:
    """One explanation method.

    Attributes:
        name: in kebab-case, as requests name it.
        version: of the implementation; it changes whenever the same request would get another answer.
        build: makes an estimator from a game and max_evaluations.
        players: whether equal words of a text are one player ("distinct-words") or each its own ("words").
        default_masking: how absence is expressed unless the caller says otherwise.
        default_max_evaluations: rows through the model, from the number of players.
        default_min_evaluations: rows before the tolerance may stop, from the number of players.
        default_tolerance: see RunSettings.tolerance.
        max_seed: the largest seed its random stream takes.
        additive: whether the values promise to sum to v(N) − v(∅).
        needs_empty: whether v(∅) must be known before.
        round_rows: see RunSettings.round_rows.
        prepare: loads what its first explanation would otherwise wait for.
    """

    name: str
    version: str
    build: Callable[[GameInfo, int], Estimator]
    players: Literal["words", "distinct-words"]
    default_masking: Literal["attention", "mask-token", "delete"]
    default_max_evaluations: Callable[[int], int]
    default_min_evaluations: Callable[[int], int]
    default_tolerance: float
    max_seed: int
    additive: bool
    needs_empty: bool
    round_rows: int | None = None
    prepare: Callable[[], object] = lambda: None

    def settings(
        self,
        n_players: int,
        *,
        max_evaluations: int | None = None,
        min_evaluations: int | None = None,
        tolerance: float | None = None,
    ) -> RunSettings:
        """The loop's settings, with this method's defaults for what is None; min is brought below max."""
        most = self.default_max_evaluations(n_players) if max_evaluations is None else max_evaluations
        least = self.default_min_evaluations(n_players) if min_evaluations is None else min_evaluations
        return RunSettings(
            max_evaluations=most,
            min_evaluations=min(least, most),
            tolerance=self.default_tolerance if tolerance is None else tolerance,
            round_rows=self.round_rows,
        )


_METHODS = (
    Method(
        name="kernel-shap",
        version="1",
        build=lambda game, _max_evaluations: KernelShap(game),
        players="words",
        default_masking="attention",
        default_max_evaluations=lambda n: max(32 * n, LEAST_EVALUATIONS),
        default_min_evaluations=lambda n: max(8 * n, LEAST_EVALUATIONS),
        default_tolerance=0.2,
        max_seed=2**64 - 1,
        additive=True,
        needs_empty=True,
    ),
    Method(
        name="lime",
        version="1",
        build=Lime,
        players="distinct-words",
        default_masking="delete",
        default_max_evaluations=lambda _n: 1000,
        default_min_evaluations=lambda n: max(8 * n, LEAST_EVALUATIONS),
        default_tolerance=0.0,
        max_seed=2**32 - 1,
        additive=False,
        needs_empty=False,
        round_rows=250,  # four updates of the default sample
        prepare=load_library,
    ),
)

METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _METHODS})
