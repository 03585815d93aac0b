"""The search for the smallest set of moves that flips a decision, nearest first among sets of one size.

Sans I/O, as an estimator is: the caller evaluates the sets that `ask` gives, and tells how far each is from a flip.

    search = FlipSearch(moves, margin=margin, budget=200, seed=0)
    while (sets := search.ask()) is not None:
        search.tell(*evaluate(sets))
    search.found

1. Every move alone, and the moves that are expected to take most, together: the first one, the first two, and so on.
2. Where nothing has flipped, sets beside the one that is nearest to it; then sets drawn at random.
3. What flips is pruned: a member leaves as long as the rest flips.
4. Sets with one member less, those first that are believed to take most from the margin (`flip_belief.py`); when one
   flips, again from 3. Then the sizes below, as far as the budget goes.
5. Of as many moves, sets that are nearer to the input.

If all sets fit the budget, they are tried in the order of their size instead, until one flips.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.changes.flip_belief import Belief
from explicate_server.explain.changes.flip_moves import Moves
from explicate_server.explain.game import NonFiniteValueError

# Sets of one batch, at least, and as a part of the budget.
_LEAST_BATCH = 16
_BATCHES = 16
# Sets of the first two batches whose sizes double from here on.
_EVERY_SIZE_TO = 16
# The part of what is left of the budget that smaller sets may take where nearer ones of the same size are wanted too.
_SMALLER_SHARE = 0.6
_DRAWN_SETS = 256


class SearchEnd(Enum):
    """Why a search ended."""

    COMPLETE = "complete"  # nothing is left to try: none is smaller, and none of as many moves nearer
    BUDGET = "budget"
    DEADLINE = "deadline"


@dataclass(frozen=True, kw_only=True)
class FoundFlip:
    """What a search has found.

    Attributes:
        moves: intp[k], the set that flips, each by its number; None if none was found.
        tried: sets evaluated.
        none_smaller: every smaller set was tried, and none flips. Without a find: every set was tried.
        none_nearer: every set of as many moves that is nearer was tried, too.
        sizes_tried: so many sizes, from 1 on, of which every set was tried.
        end: why it ended.
    """

    moves: Indices | None
    tried: int
    none_smaller: bool
    none_nearer: bool
    sizes_tried: int
    end: SearchEnd


class FlipSearch:
    """One search; ``margin`` above 0 is how far the input itself is from a flip, on the scale of what is told."""

    def __init__(self, moves: Moves, *, margin: float, budget: int, seed: int = 0) -> None:
        """``budget`` is how many sets may be tried; ``seed`` that of sets that are drawn at random."""
        self._moves = moves
        self._margin = margin
        self._budget = budget
        self._random = np.random.default_rng(seed)
        self._belief = Belief(moves.expected)
        self._seen: set[bytes] = set()
        self._tried_of_size = np.zeros(moves.n_players + 1, dtype=np.int64)
        self._best: tuple[tuple[int, float, float], Booleans] | None = None
        self._lowest = (margin, np.zeros(len(moves), dtype=np.bool_))
        self._near_done = False
        self._end: SearchEnd | None = None
        self._asked: Booleans | None = None
        self._batches = self._strategy()

    def ask(self) -> Booleans | None:
        """Further sets, bool[m, moves], m at least 1, none of them twice; None when the search is over."""
        if self._end is None:
            self._asked = next(self._batches, None)
            if self._asked is None:
                self._end = SearchEnd.COMPLETE if self._complete else SearchEnd.BUDGET
        return None if self._end is not None else self._asked

    def tell(self, margins: Floats, flips: Booleans, evaluated: Booleans | None = None) -> None:
        """What came of the sets asked for last.

        Args:
            margins: float64[m], how far each is from a flip.
            flips: bool[m], whether each one does.
            evaluated: bool[m], which of them there was time for; None means all. One that was not ends the search.

        Raises:
            NonFiniteValueError: a margin is not a finite number.
        """
        assert self._asked is not None, "ask first"
        known = np.ones(len(flips), np.bool_) if evaluated is None else evaluated
        sets, margins, flips = self._asked[known], margins[known], flips[known]
        bad = np.flatnonzero(~np.isfinite(margins))
        if len(bad):
            raise NonFiniteValueError(round=0, row=int(bad[0]), present=np.flatnonzero(~sets[bad[0]]).tolist())
        if not known.all():
            self._end = SearchEnd.DEADLINE
        self._seen.update(one.tobytes() for one in sets)
        np.add.at(self._tried_of_size, sets.sum(axis=1), 1)
        self._belief.tell(sets, self._margin - margins)
        self._keep_best(sets, margins, flips)

    def _keep_best(self, sets: Booleans, margins: Floats, flips: Booleans) -> None:
        sizes, distances = sets.sum(axis=1).tolist(), self._moves.distance(sets).tolist()
        for row, key in enumerate(zip(sizes, distances, margins.tolist(), strict=True)):
            if flips[row] and (self._best is None or key < self._best[0]):
                self._best = (key, sets[row])
            if margins[row] < self._lowest[0]:
                self._lowest = (float(margins[row]), sets[row])

    @property
    def found(self) -> FoundFlip:
        """What is found by now."""
        n = self._moves.n_players
        sizes = next((size - 1 for size in range(1, n + 1) if not self._exhausted(size)), n)
        none_smaller = sizes >= (n if self._best is None else self._size - 1)
        return FoundFlip(
            moves=None if self._best is None else np.flatnonzero(self._best[1]),
            tried=len(self._seen),
            none_smaller=none_smaller,
            none_nearer=self._best is not None and (self._near_done or self._exhausted(self._size)),
            sizes_tried=sizes,
            end=self._end or SearchEnd.BUDGET,
        )

    @property
    def _complete(self) -> bool:
        found = self.found
        return found.none_smaller and (found.moves is None or found.none_nearer)

    @property
    def _size(self) -> int:
        """How many moves the best set has."""
        assert self._best is not None
        return self._best[0][0]

    @property
    def _left(self) -> int:
        return self._budget - len(self._seen)

    @property
    def _batch(self) -> int:
        return max(_LEAST_BATCH, self._budget // _BATCHES)

    def _exhausted(self, size: int) -> bool:
        return bool(self._tried_of_size[size] >= self._moves.counts[size])

    def _new(self, sets: Booleans, most: int | None = None) -> Booleans:
        """The first of the sets that were not tried, each once, as many as the budget allows."""
        room = self._left if most is None else min(most, self._left)
        rows: dict[bytes, int] = {}
        for row, one in enumerate(sets):
            if len(rows) >= room:
                break
            key = one.tobytes()
            if key not in self._seen and one.any():
                rows.setdefault(key, row)
        return sets[list(rows.values())]

    def _strategy(self) -> Iterator[Booleans]:
        """Batches of sets, none empty, until there is nothing left to try or no budget."""
        if sum(self._moves.counts[1:]) <= self._budget:
            yield from self._in_order()
            return
        for batch in self._opening():
            if len(batch):
                yield batch
        while self._best is None and self._left > 0:
            if len(batch := self._toward_a_flip()):
                yield batch
            else:
                return
        if self._best is not None:
            yield from self._smaller()
            yield from self._nearer()

    def _in_order(self) -> Iterator[Booleans]:
        for size in range(1, self._moves.n_players + 1):
            sets, _ = self._moves.sets_of(size, self._moves.expected, most=self._budget)
            yield sets
            if self._best is not None:
                return

    def _opening(self) -> Iterator[Booleans]:
        """What the first guess says, then what is believed after it."""
        singles = np.eye(len(self._moves), dtype=np.bool_)
        order = np.lexsort((self._moves.distances, -self._moves.expected))
        together = self._first_together(self._moves.expected)
        yield self._new(np.concatenate((singles[order][: max(1, self._left // 2)], together)))
        yield self._new(self._first_together(self._belief.worth))

    def _first_together(self, worth: Floats) -> Booleans:
        """The best moves of so many players together, for every small number of them and then for ever larger steps."""
        best = np.array([moves[np.argmax(worth[moves])] for moves in self._moves.by_player], dtype=np.intp)
        order = best[np.argsort(-worth[best], kind="stable")]
        n = len(order)
        sizes = sorted({*range(2, min(n, _EVERY_SIZE_TO) + 1), *(min(n, 2**power) for power in range(1, 12)), n})
        sets = np.zeros((len(sizes), len(self._moves)), dtype=np.bool_)
        for row, size in enumerate(sizes):
            sets[row, order[:size]] = True
        return sets

    def _toward_a_flip(self) -> Booleans:
        """Sets beside the one that is nearest to a flip; where all were tried, the most promising of random ones."""
        beside = self._believed(self._beside(self._lowest[1]))
        if len(beside):
            return beside
        n, by_player = self._moves.n_players, self._moves.by_player
        drawn = np.zeros((_DRAWN_SETS, len(self._moves)), dtype=np.bool_)
        for one in drawn:
            for player in self._random.permutation(n)[: self._random.integers(1, n + 1)]:
                one[self._random.choice(by_player[player])] = True
        return self._believed(drawn)

    def _beside(self, one: Booleans) -> Booleans:
        """With one move more, less or in the place of another of its player, bool[moves, moves]."""
        changed = np.repeat(one[np.newaxis], len(self._moves), axis=0)
        same_player = self._moves.players[:, np.newaxis] == self._moves.players
        places = np.arange(len(self._moves))
        changed[same_player] = False
        changed[places, places] = ~one
        return changed

    def _believed(self, sets: Booleans) -> Booleans:
        """A batch of those that are believed to take most from the margin."""
        return self._new(sets[np.argsort(-self._belief.drops(sets), kind="stable")], self._batch)

    def _pruned(self) -> Iterator[Booleans]:
        """Members leave the best set, one at a time, while the rest flips."""
        size = None
        while size != self._size and self._size > 1 and self._best is not None:
            size = self._size
            members = np.flatnonzero(self._best[1])
            without = np.repeat(self._best[1][np.newaxis], size, axis=0)
            without[np.arange(size), members] = False
            if len(batch := self._new(without)):
                yield batch

    def _smaller(self) -> Iterator[Booleans]:
        stop = 0.0 if self._moves.distances.max() == self._moves.distances.min() else 1 - _SMALLER_SHARE
        reserve = int(stop * self._left)
        yield from self._pruned()
        size = self._size - 1
        while size >= 1 and self._left > reserve:
            before = self._size
            sets, _ = self._moves.sets_of(size, self._belief.worth)
            batch = self._believed(sets)
            if len(batch):
                yield batch
            else:
                size -= 1
            if self._size < before:
                yield from self._pruned()
                size = self._size - 1

    def _nearer(self) -> Iterator[Booleans]:
        """Sets of as many moves that are nearer; the nearest first of those that are believed to flip."""
        while self._left > 0 and not self._exhausted(self._size) and self._best is not None:
            every, complete = self._moves.sets_of(self._size, self._belief.worth)
            sets = np.concatenate((self._same_players(), every))
            sets = sets[self._moves.distance(sets) < self._best[0][1]]
            believed = self._margin - self._belief.drops(sets)
            distances = self._moves.distance(sets)
            order = np.lexsort((np.where(believed <= 0, distances, believed), believed > 0))
            batch = self._new(sets[order], self._batch)
            if not len(batch):
                self._near_done = complete
                return
            yield batch

    def _same_players(self) -> Booleans:
        """The best set with another move of one of its players."""
        assert self._best is not None
        rows = []
        for move in np.flatnonzero(self._best[1]):
            for other in self._moves.by_player[self._moves.players[move]]:
                one = self._best[1].copy()
                one[[move, other]] = False, True
                rows.append(one)
        return np.array(rows)
