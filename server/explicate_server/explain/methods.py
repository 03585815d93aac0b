"""The explanation methods by name and by what the model reads. A new one is one file and one line here.

Most methods are the same for every kind of input. One that is not has a line for each, under one name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from explicate_server.explain.errors import TooFewEvaluationsError
from explicate_server.explain.estimators.exact_shap import ExactShap
from explicate_server.explain.estimators.kernel_shap import KernelShap
from explicate_server.explain.estimators.lime import Lime, image_sample, load_library, table_sample, text_sample
from explicate_server.explain.estimators.lime_stratified import LimeStratified
from explicate_server.explain.estimators.occlusion import Occlusion
from explicate_server.explain.estimators.partition_shap import PartitionShap
from explicate_server.explain.estimators.permutation_shap import PermutationShap
from explicate_server.explain.game import Estimator, GameInfo
from explicate_server.explain.run import RunSettings

# Stands for the method that `chosen` takes.
AUTO = "auto"
# The masking of methods whose rows the game draws.
DRAWN = "drawn"
# Fewer rows than v(∅), v(N) and one pair of coalitions explain nothing.
LEAST_EVALUATIONS = 4
# Where exact-shap stops on its own: 2^20 rows are hours of most models. Also keeps 2^n from outgrowing a float.
MOST_PLAYERS_BY_DEFAULT = 20
MAX_PHILOX_SEED = 2**64 - 1
MAX_RANDOM_STATE_SEED = 2**32 - 1

Reads: TypeAlias = str
"""What a model reads, by the name of the kind of input."""
ALL_INPUTS: tuple[Reads, ...] = ("text", "table", "image")


@dataclass(frozen=True, kw_only=True)
class Method:
    """One explanation method.

    Attributes:
        name: in kebab-case, as requests name it.
        version: of the implementation; it changes whenever the same request would get another answer.
        build: makes an estimator from a game and max_evaluations.
        reads: the kinds of input that it explains.
        players: "distinct-words" if equal words of a text are one player; "words" if each is its own, or whatever other
            granularity was asked for.
        default_masking: how absence is expressed unless the caller says otherwise; where a model has it not, its own
            default.
        default_granularity: what the players are unless the caller says otherwise; None is the model's own default.
        drawn: whether its rows are drawn by the game, which is the masking "drawn" and no other.
        default_max_evaluations: rows through the model, from the number of players.
        default_min_evaluations: rows before the tolerance may stop, from the number of players.
        least_evaluations: max_evaluations below this are refused, from the number of players.
        default_tolerance: see RunSettings.tolerance.
        max_seed: the largest seed its random stream takes.
        additive: whether the values promise to sum to v(N) − v(∅).
        needs_empty: whether v(∅) must be known before.
        refines: whether games of too many players are grouped and refined where the weight is.
        round_rows: see RunSettings.round_rows.
        prepare: loads what its first explanation would otherwise wait for.
    """

    name: str
    version: str = "1"
    build: Callable[[GameInfo, int], Estimator]
    reads: tuple[Reads, ...] = ALL_INPUTS
    players: Literal["words", "distinct-words"] = "words"
    default_masking: str = "attention"
    default_granularity: str | None = None
    drawn: bool = False
    default_max_evaluations: Callable[[int], int]
    default_min_evaluations: Callable[[int], int] = lambda n: max(8 * n, LEAST_EVALUATIONS)
    least_evaluations: Callable[[int], int] = lambda _n: 1
    default_tolerance: float = 0.0
    max_seed: int = MAX_PHILOX_SEED
    additive: bool = True
    needs_empty: bool = True
    refines: bool = False
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
            round_rows=self.round_rows,
        )


_METHODS = (
    Method(
        name="exact-shap",
        build=lambda game, _max_evaluations: ExactShap(game),
        default_max_evaluations=lambda n: 2 ** min(n, MOST_PLAYERS_BY_DEFAULT),
        least_evaluations=lambda n: 2**n,
    ),
    Method(
        name="kernel-shap",
        version="2",
        build=lambda game, _max_evaluations: KernelShap(game),
        default_max_evaluations=lambda n: max(32 * n, LEAST_EVALUATIONS),
        default_tolerance=0.2,
        refines=True,
    ),
    Method(
        name="lime",
        build=lambda game, max_evaluations: Lime(game, text_sample(game, max_evaluations)),
        reads=("text",),
        players="distinct-words",
        default_masking="delete",
        default_max_evaluations=lambda _n: 1000,
        max_seed=MAX_RANDOM_STATE_SEED,
        additive=False,
        needs_empty=False,
        round_rows=250,  # four updates of the default sample
        prepare=load_library,
    ),
    Method(
        name="lime",
        build=lambda game, max_evaluations: Lime(game, image_sample(game, max_evaluations)),
        reads=("image",),
        default_masking="mean",
        default_granularity="quickshift",
        default_max_evaluations=lambda _n: 1000,
        max_seed=MAX_RANDOM_STATE_SEED,
        additive=False,
        needs_empty=False,
        round_rows=250,
        prepare=load_library,
    ),
    Method(
        name="lime",
        build=lambda game, max_evaluations: Lime(game, table_sample(game, max_evaluations)),
        reads=("table",),
        default_masking=DRAWN,
        drawn=True,
        default_max_evaluations=lambda _n: 5000,
        max_seed=MAX_RANDOM_STATE_SEED,
        additive=False,
        needs_empty=False,
        round_rows=2500,  # two updates: with many columns the fit takes longer than the rows
        prepare=load_library,
    ),
    Method(
        name="lime-stratified",
        build=LimeStratified,
        reads=("text",),
        players="distinct-words",
        default_masking="delete",
        default_max_evaluations=lambda _n: 1000,
        additive=False,
        needs_empty=False,
        round_rows=250,
    ),
    Method(
        name="lime-stratified",
        build=LimeStratified,
        reads=("table", "image"),
        default_max_evaluations=lambda _n: 1000,
        additive=False,
        needs_empty=False,
        round_rows=250,
    ),
    Method(
        name="occlusion",
        build=lambda game, _max_evaluations: Occlusion(game),
        default_max_evaluations=lambda n: n + 2,
        additive=False,
    ),
    Method(
        name="partition-shap",
        build=PartitionShap,
        # A balanced tree takes up to 0.75 n², trees along real pauses 1 to 1.5 n², one text in twenty more than 2.5.
        default_max_evaluations=lambda n: 3 * n**2 + LEAST_EVALUATIONS,
    ),
    Method(
        name="permutation-shap",
        build=PermutationShap,
        default_max_evaluations=lambda n: max(32 * n, LEAST_EVALUATIONS),
        default_tolerance=0.2,
        refines=True,
    ),
)

METHODS_OF: Mapping[Reads, Mapping[str, Method]] = MappingProxyType(
    {reads: MappingProxyType({m.name: m for m in _METHODS if reads in m.reads}) for reads in ALL_INPUTS}
)
"""The methods of each kind of input, by name."""
METHODS = METHODS_OF["text"]
"""The methods of texts; the names are those of every kind of input."""


def chosen(name: str, *, n_players: int, max_evaluations: int | None = None, reads: Reads = "text") -> Method:
    """The method of a name; of `AUTO` exact-shap if all coalitions fit the budget, else kernel-shap.

    Args:
        name: `AUTO` or a name in METHODS.
        n_players: n.
        max_evaluations: the budget; None means the default one of kernel-shap.
        reads: the kind of input.

    Raises:
        KeyError: there is no such method.
    """
    methods = METHODS_OF[reads]
    if name != AUTO:
        return methods[name]
    otherwise = methods["kernel-shap"]
    budget = otherwise.default_max_evaluations(n_players) if max_evaluations is None else max_evaluations
    return methods["exact-shap"] if 2**n_players <= budget else otherwise
