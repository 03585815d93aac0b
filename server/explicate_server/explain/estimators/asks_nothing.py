"""An estimator that knows all it needs of its games before it begins, and the methods that have one."""

from collections.abc import Callable
from copy import copy
from typing import Self

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.game import Asked, Estimator, GameInfo
from explicate_server.explain.method import LEAST_EVALUATIONS, Method


class AsksNothing:
    """See `Estimator` for what its methods promise."""

    def __init__(self, game: GameInfo, attribution: Attribution) -> None:
        self._game = game
        self._attribution = attribution

    @property
    def rows_left(self) -> int:
        """None."""
        return 0

    def ask(self, count: int) -> Asked | None:  # noqa: ARG002
        """Nothing."""
        return None

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:  # noqa: ARG002
        """Nothing was asked."""
        raise ValueError("There is nothing to tell: no coalitions were asked for.")

    def estimate(self) -> Attribution:
        """The values, the same at any time."""
        return self._attribution

    def of(self, games: Indices) -> Self:
        """The same with some of the games."""
        part = copy(self)
        part._attribution, part._game = self._attribution.of(self._game.outputs_of(games)), self._game.of(games)
        return part

    def halves(self) -> tuple[Floats, Floats] | None:
        """None: no row was drawn."""
        return None


def method(*, name: str, build: Callable[[GameInfo, int], Estimator], needs: str, lacks: str) -> Method:
    """A method of tables whose model tells its games, so that no coalition is asked for; see `Method`."""
    return Method(
        name=name,
        build=build,
        reads=("table",),
        default_masking="background",
        default_max_evaluations=lambda _n: LEAST_EVALUATIONS,
        default_min_evaluations=lambda _n: 1,
        needs_empty=False,
        needs=needs,
        lacks=lacks,
        interacts=True,
        shared=True,
    )
