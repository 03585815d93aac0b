"""A game whose players are groups of another game's, and in which some of that one's are always present.

It plays the smaller game (`explain/reduction.py`) and leaves everything else to the game that it was made of: rows,
what is kept of values, and what a model tells of itself.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.game import Asked
from explicate_server.explain.reduction import FIXED, Reduction
from explicate_server.modalities.modality import (
    Game,
    GivesGradients,
    GroupPlayer,
    Guesses,
    Player,
    SegmentPlayer,
    TellsItself,
    Told,
)
from explicate_server.runtime.queue import Row


class GroupedGame(Game):
    """See the module."""

    def __init__(self, game: Game, reduction: Reduction, names: Mapping[int, str]) -> None:
        """Take the names of the players that were asked for."""
        self._game, self._reduction = game, reduction
        self.weights, self.regions = game.weights, game.regions
        self.unread, self.unspaced_scripts = game.unread, game.unspaced_scripts
        members = [reduction.members(player) for player in range(reduction.n_players)]
        self.players: list[Player] = [
            GroupPlayer(names[player], tuple(game.listed(its_members)))
            if player in names
            else game.players[its_members[0]]
            for player, its_members in enumerate(members)
        ]
        self.fixed = game.listed(reduction.members(FIXED))
        self.breaks = reduction.breaks(game.breaks)
        self._numbers = np.array([each.id for each in game.players if isinstance(each, SegmentPlayer)], np.intp)
        if game.segment_map is not None:
            self.segment_map = self._numbers[game.segment_map]

    def joined(self, players: Sequence[int]) -> Player:
        """One of its players itself; several, none of which is a named group, as the game joins theirs."""
        if len(players) == 1:
            return self.players[players[0]]
        return self._game.joined([each for player in players for each in self._reduction.members(player)])

    def grouped_map(self, groups: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """Players that are joined have the number of the first one; all others, and what is fixed, keep theirs."""
        if self._game.segment_map is None:
            return None
        numbers = self._numbers.copy()
        for group in np.flatnonzero(np.bincount(groups) > 1):
            its_members = np.flatnonzero(np.isin(self._reduction.owner, np.flatnonzero(groups == group)))
            numbers[its_members] = numbers[its_members[0]]
        return numbers[self._game.segment_map]

    def played(self, coalitions: Asked) -> Asked:
        """As coalitions of the game, so that it shares what is known of them."""
        return self._reduction.spread(np.asarray(coalitions, np.bool_))

    def rows(self, coalitions: Asked) -> list[Row]:
        """Those of the game."""
        return self._game.rows(coalitions)

    @property
    def guesses(self) -> bool:
        """Whether the game does."""
        return isinstance(self._game, Guesses) and self._game.guesses

    def guessed(self) -> NDArray[np.float64]:
        """The sums of what the members may add."""
        assert isinstance(self._game, Guesses)
        return self._reduction.sums(self._game.guessed())

    @property
    def gradient_rows(self) -> int:
        """That of the game."""
        return self._game.gradient_rows if isinstance(self._game, GivesGradients) else 0

    def gradients(
        self, points: NDArray[np.float64], explained: NDArray[np.float64], *, scores: bool, fixed: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """The sums of what the members add."""
        assert isinstance(self._game, GivesGradients)
        always = ~self._reduction.spread(~fixed[np.newaxis])[0] | (self._reduction.owner == FIXED)
        return self._reduction.sums(self._game.gradients(points, explained, scores=scores, fixed=always).T).T

    def told(self) -> Told:
        """What the model tells of the game, for groups and fixed players; the game's model tells of itself."""
        assert isinstance(self._game, TellsItself)
        return self._game.told().reduced(self._reduction)
