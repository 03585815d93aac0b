"""Long inputs: play on phrases first, then on single players where the weight is.

A regression over hundreds of players needs thousands of rows before its intervals say anything. Here the first stage
plays on as many groups of neighbours as its share of the budget can tell apart (on all players when it is enough for
that). Its values say where the weight is; the heavy groups are split into single players and the light ones merged
(phrases.py), and the last stage spends what is left on that partition. Each stage plays the quotient game, in which a
group is present as a whole or not at all, with an estimator of its own. So the answer is the Shapley values of a game
that was really played: additive, with honest intervals. Against those of the single players it leaves out only how the
members of one group share what they add together.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from explicate_server.explain.attribution import Attribution, Booleans, Floats, Indices
from explicate_server.explain.game import WALL, Asked, Estimator, GameInfo
from explicate_server.explain.groups import phrases, recut, spread, starts

Build = Callable[[GameInfo, int], Estimator]

# The first stage's share of the budget, and how many rows it has for each group. Measured on reviews of 85 and 89 words
# at 200 and 350 rows, error of the word values, a group's spread evenly over its words: .50 and .31. Three stages from
# a third as many phrases gave .56 and .43. (Kernel SHAP on all words: .45 and .30.)
FIRST_SHARE = 0.4
FIRST_ROWS_PER_GROUP = 4
# The last stage has no more groups than leave it this many rows each.
LAST_ROWS_PER_GROUP = 6
# From this many rows per group on the last stage speaks; until then the first one does.
SPEAKING_ROWS_PER_GROUP = 4


def refined(build: Build, game: GameInfo, *, max_players: int, max_evaluations: int) -> Estimator:
    """What `build` makes of the game itself where it has at most `max_players`, else of its phrases: at least as many
    as walls allow.
    """
    max_players = max(max_players, _least_groups(game))
    if game.n_players <= max_players:
        return build(game, max_evaluations)
    return Refinement(build, game, max_players=max_players, max_evaluations=max_evaluations)


def _least_groups(game: GameInfo) -> int:
    """How few groups a game can be cut into: none goes across a wall."""
    return 1 if game.breaks is None else 1 + int((game.breaks >= WALL).sum())


@dataclass
class _Stage:
    """A partition, the estimator of its quotient game, the rows it is to have and those it had."""

    groups: Indices
    n_groups: int
    estimator: Estimator
    rows: int
    last: bool
    told: int = 0


class Refinement:
    """An estimator on groups of neighbours, which are cut anew once; see `Estimator` for what its methods promise."""

    def __init__(self, build: Build, game: GameInfo, *, max_players: int, max_evaluations: int) -> None:
        """Take the builder of the stages' estimators, a game of more than `max_players`, and the whole budget."""
        self._build = build
        self._game = game
        first_rows = int(FIRST_SHARE * max_evaluations)
        self._last_rows = max_evaluations - first_rows
        self._max_groups = max(2, _least_groups(game), min(max_players, self._last_rows // LAST_ROWS_PER_GROUP))
        self._known: dict[bytes, Floats] = {}
        self._asked: tuple[Booleans, Booleans] | None = None
        first_groups = phrases(game.n_players, max(2, int(first_rows / FIRST_ROWS_PER_GROUP)), game.breaks)
        self._stage = self._staged(first_groups, first_rows, last=False)
        self._speaker = self._stage

    @property
    def rows_left(self) -> int:
        """Those of the stage, and before the last one also the share of that."""
        return self._stage.estimator.rows_left + (0 if self._stage.last else self._last_rows)

    def ask(self, count: int) -> Asked | None:
        """Up to `count` rows of the current stage, or of the last one when the first has had its share."""
        while True:
            stage = self._stage
            rows_left = stage.rows - stage.told
            coalitions = stage.estimator.ask(max(0, min(count, rows_left)))
            if coalitions is None or (not len(coalitions) and rows_left <= count):
                if stage.last:
                    return None if coalitions is None else np.zeros((0, self._game.n_players), np.bool_)
                values = stage.estimator.estimate().values
                groups = recut(stage.groups, values, self._max_groups, self._game.breaks)
                self._stage = self._staged(groups, self._last_rows, last=True)
                continue
            fine = spread(np.asarray(coalitions, np.bool_), stage.groups)
            new = np.array([row.tobytes() not in self._known for row in fine], dtype=np.bool_)
            self._asked = fine, new
            if new.any() or not len(fine):
                return fine[new]
            self.tell(np.zeros((0, self._game.n_outputs)))

    def tell(self, values: Floats, evaluated: Booleans | None = None) -> None:
        """The values of the rows of the last `ask`; those known from the first stage are added."""
        if self._asked is None:
            raise ValueError("There is nothing to tell: ask for coalitions first.")
        fine, new = self._asked
        self._asked = None
        done = np.ones(len(fine), dtype=np.bool_)
        done[new] = True if evaluated is None else evaluated
        whole = np.zeros((len(fine), self._game.n_outputs))
        whole[new] = values
        for row in np.flatnonzero(~new):
            whole[row] = self._known[fine[row].tobytes()]
        self._known.update((fine[row].tobytes(), whole[row]) for row in np.flatnonzero(new & done))
        stage = self._stage
        stage.estimator.tell(whole, done)
        stage.told += int(done.sum())
        if stage.told >= min(stage.rows, SPEAKING_ROWS_PER_GROUP * stage.n_groups):
            self._speaker = stage

    def estimate(self) -> Attribution:
        """Values of the groups of the stage that has enough rows; provisional while that is the first."""
        stage = self._speaker
        attribution = stage.estimator.estimate()
        return replace(
            attribution, groups=stage.groups, provisional=not stage.last, exact=attribution.exact and stage.last
        )

    def halves(self) -> tuple[Floats, Floats] | None:
        """Those of the stage that `estimate` speaks of."""
        return self._speaker.estimator.halves()

    def _staged(self, groups: Indices, rows: int, *, last: bool) -> _Stage:
        first = starts(groups)
        breaks = None if self._game.breaks is None else self._game.breaks[first[1:] - 1]
        quotient = replace(self._game, n_players=len(first), breaks=breaks)
        return _Stage(groups, len(first), self._build(quotient, rows), rows, last)
