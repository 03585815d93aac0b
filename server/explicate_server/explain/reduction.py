"""A smaller game made of a game: some players as one, and some that are always there.

With the players N of a game v cut into groups and fixed ones F, the smaller game has one player for each group G, which
is present as a whole or not at all, and values (the quotient game; Owen, Values of Games with a Priori Unions, 1977)

    v'(S) = v(F ∪ ⋃_{G in S} G).

So v'(∅) is v(F), which has to be evaluated, and v'(N') is v(N). Every value of v' is one of v: coalitions are spread
over the base players before they are evaluated, and known values of v serve v'.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.game import WALL

FIXED = -1
"""The owner of a player that is always present."""


@dataclass(frozen=True)
class Reduction:
    """Which player of the smaller game each base player belongs to.

    Attributes:
        owner: intp[n], from 0 in the order of their first base players, or FIXED.
        named: bool[n'], the groups that were asked for, which stay by themselves whatever else is joined.
    """

    owner: Indices
    named: Booleans

    @classmethod
    def of(cls, n_players: int, *, groups: Sequence[Iterable[int]] = (), fixed: Iterable[int] = ()) -> Self:
        """Of n base players, from groups of them and fixed ones; all others stay players by themselves.

        Raises:
            ValueError: a player is none of the game's, or has two places.
        """
        given = np.full(n_players, -1, np.intp)  # the group of a player; len(groups) of fixed ones
        for number, members in enumerate((*groups, fixed)):
            for player in members:
                if not 0 <= player < n_players or given[player] >= 0:
                    problem = "has two places" if 0 <= player < n_players else f"is none of the {n_players}"
                    raise ValueError(f"Player {player} {problem}.")
                given[player] = number
        alone = given < 0
        labels = np.where(alone, len(groups) + 1 + np.arange(n_players), given)
        free = np.flatnonzero(given != len(groups))
        _, first, places = np.unique(labels[free], return_index=True, return_inverse=True)
        ranks = np.empty(len(first), np.intp)
        ranks[np.argsort(first, kind="stable")] = np.arange(len(first))
        owner = np.full(n_players, FIXED, np.intp)
        owner[free] = ranks[places]
        named = np.zeros(len(first), np.bool_)
        named[owner[free[~alone[free]]]] = True
        return cls(owner, named)

    @property
    def n_players(self) -> int:
        """How many players the smaller game has."""
        return len(self.named)

    def members(self, player: int) -> list[int]:
        """The base players of one of its players, or of FIXED, ascending."""
        return np.flatnonzero(self.owner == player).tolist()

    def spread(self, coalitions: Booleans) -> Booleans:
        """Coalitions bool[m, n'] as coalitions of the base players, bool[m, n]."""
        always = np.ones((len(coalitions), 1), np.bool_)
        return np.concatenate((coalitions, always), axis=1)[:, self.owner]

    def sums(self, values: Floats) -> Floats:
        """Sums of float64[n, …] over the base players of each player, float64[n', …]; fixed ones are left out."""
        free = self.owner != FIXED
        totals = np.zeros((self.n_players, *values.shape[1:]))
        np.add.at(totals, self.owner[free], values[free])
        return totals

    def fixed_sum(self, values: Floats) -> Floats:
        """Sum of float64[n, …] over the fixed base players, float64[…]."""
        return np.asarray(values[self.owner == FIXED].sum(axis=0))

    def breaks(self, breaks: Indices | None) -> Indices | None:
        """What parts its players, intp[n' − 1], from what parts the base players, intp[n − 1]: see `GameInfo.breaks`.

        Neighbours have the strongest break that lies between them; a named group has walls around it.
        """
        if breaks is None and not self.named.any():
            return None
        base = np.zeros(max(len(self.owner) - 1, 0), np.intp) if breaks is None else breaks
        _, first = np.unique(np.append(self.owner, FIXED), return_index=True)
        first = first[1:]  # of each player its first base player
        strongest = np.zeros(max(self.n_players - 1, 0), np.intp)
        if len(strongest):
            # Each interval ends where the next one begins; of the last one the end is cut off.
            strongest = np.maximum.reduceat(base[: first[-1]], first[:-1])
        strongest[self.named[:-1] | self.named[1:]] = WALL
        return strongest
