"""The single changes that a search may make, and the sets of them, at most one for each player.

A move takes one player away, or gives it one other value. A set of moves is bool[moves], a change of the input.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices

# Sets of one size that are held at once.
MOST_SETS = 8192


@dataclass(frozen=True, kw_only=True)
class Moves:
    """What may be done to an input.

    Attributes:
        players: intp[moves], whom each one changes, from 0 in ascending order; nobody is left out.
        distances: float64[moves], how far each one takes the input from what it is, above 0.
        expected: float64[moves], a guess at how much each one takes from the margin, on any scale.
    """

    players: Indices
    distances: Floats
    expected: Floats

    @classmethod
    def of_absence(cls, attributions: Floats) -> "Moves":
        """The absence of each player; ``attributions`` float64[n] are what each adds, NaN where nobody knows."""
        n = len(attributions)
        return cls(players=np.arange(n), distances=np.ones(n), expected=np.nan_to_num(attributions))

    def __len__(self) -> int:
        return len(self.players)

    @property
    def n_players(self) -> int:
        """How many players have a move."""
        return int(self.players[-1]) + 1 if len(self) else 0

    @cached_property
    def by_player(self) -> list[Indices]:
        """The moves of each player."""
        return [np.flatnonzero(self.players == player) for player in range(self.n_players)]

    @cached_property
    def counts(self) -> list[int]:
        """How many sets there are of each size from 0 to n: the elementary symmetric sums of moves by player."""
        sums = [1]
        for of_player in np.bincount(self.players, minlength=self.n_players).tolist():
            sums = [
                whole + of_player * smaller for whole, smaller in zip([*sums, 0], [0, *sums], strict=True)
            ]  # with the player's moves or without
        return sums

    def distance(self, sets: Booleans) -> Floats:
        """How far each of bool[m, moves] is from the input, float64[m]."""
        return np.asarray(sets @ self.distances)

    def sets_of(self, size: int, worth: Floats, *, most: int = MOST_SETS) -> tuple[Booleans, bool]:
        """Sets of one size, bool[m, moves], and whether they are all there are.

        Where there are more than `most`, they are those of the moves that are ``worth`` most, float64[moves], as many
        moves as fit: first the best one of each player.
        """
        complete = self.counts[size] <= most
        kept = np.arange(len(self)) if complete else self._worthiest(size, worth, most)
        chosen = np.zeros((1, 0), dtype=np.intp)  # [sets, moves chosen so far], in ascending order of players
        for left in range(size, 0, -1):
            chosen = self._longer(chosen, kept, left)
        sets = np.zeros((len(chosen), len(self)), dtype=np.bool_)
        sets[np.arange(len(chosen))[:, np.newaxis], chosen] = True
        return sets, complete

    def _longer(self, chosen: Indices, kept: Indices, left: int) -> Indices:
        """Each choice with each move of a later player, as long as there are players for the others that are left."""
        of_kept = self.players[kept]
        last = self.players[chosen[:, -1]] if chosen.shape[1] else np.full(len(chosen), -1)
        later = len(set(of_kept.tolist())) - np.searchsorted(np.unique(of_kept), of_kept)  # players from this one on
        fits = (of_kept > last[:, np.newaxis]) & (later >= left)
        rows, moves = np.nonzero(fits)
        return np.concatenate((chosen[rows], kept[moves, np.newaxis]), axis=1)

    def _worthiest(self, size: int, worth: Floats, most: int) -> Indices:
        order = np.argsort(-worth, kind="stable")
        rank = np.zeros(len(self), dtype=np.intp)  # among the moves of its player
        for moves in self.by_player:
            rank[moves[np.argsort(-worth[moves], kind="stable")]] = np.arange(len(moves))
        order = order[np.argsort(rank[order], kind="stable")]
        few, many = size, len(self)  # by halving: so many moves have at most `most` sets
        while few < many:
            middle = (few + many + 1) // 2
            few, many = (middle, many) if self._part(order[:middle]).counts_of(size) <= most else (few, middle - 1)
        return np.sort(order[:few])

    def _part(self, kept: Indices) -> "Moves":
        """Some of the moves, their players counted anew."""
        kept = np.sort(kept)
        players = np.unique(self.players[kept], return_inverse=True)[1]
        return Moves(players=players, distances=self.distances[kept], expected=self.expected[kept])

    def counts_of(self, size: int) -> int:
        """How many sets have a size; 0 of one that is more than the players."""
        return self.counts[size] if size <= self.n_players else 0
