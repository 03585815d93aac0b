"""The search for what would change an answer, on a served model: what may be changed, the rounds, and what is told.

It comes after the attributions, which guide it, in the time that is left. Changes of a row of a table are rows of the
model; where players are absent they are coalitions of the explanation's own game, so that those that it has evaluated
cost nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol  # Any: see Step

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.changes.flip_moves import Moves
from explicate_server.explain.changes.flip_search import FlipSearch, SearchEnd
from explicate_server.explain.game import Asked
from explicate_server.inference.asking.change_wish import ChangeWish
from explicate_server.inference.changed.decided import ChangedAnswer, ChangeFound, Question, decided
from explicate_server.inference.evaluations import Evaluations
from explicate_server.inference.explain_work import Work
from explicate_server.modalities.modality import ColumnPlayer, Game
from explicate_server.modalities.rows.cell_changes import CellAlternatives, CellMoves, Kept
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.runtime.queue import Row

_Floats = NDArray[np.float64]
Step = Callable[..., Awaitable[Any]]
"""Runs a function with its arguments off the event loop; Any: what it gives."""


class Subject(Protocol):
    """What may be changed, and what a change is of the model."""

    moves: Moves

    weights: _Floats
    """float64[b], of the model rows of one change."""

    def rows(self, coalitions: Asked) -> list[Row]:
        """A model row of count b for each of what `asked` gives."""

    def asked(self, sets: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Sets of moves as they are evaluated."""


class AbsentPlayers:
    """Players of the explanation's game that may be absent: phrases where it has grouped words."""

    def __init__(self, game: Game, groups: NDArray[np.intp] | None, adds: _Floats) -> None:
        """``groups`` intp[players] as an attribution has them; ``adds`` float64[n], what each adds to a margin."""
        self.moves = Moves.of_absence(adds)
        self.weights = game.weights
        self.rows = game.rows
        self._played = game.played
        self._groups = groups

    def asked(self, sets: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Coalitions as the game's rows take them."""
        present = ~sets if self._groups is None else ~sets[:, self._groups]
        return np.asarray(self._played(present), np.bool_)


class ChangeSearch:
    """The search for one answer."""

    def __init__(self, served: ServedModel, work: Work, wish: ChangeWish) -> None:
        scales, attribution = served.scales, work.run.attribution
        self._whole = scales.means(work.prediction[np.newaxis, np.newaxis], np.ones(1))
        cells = served.modality.alternatives if not wish.absence else None
        averaged = cells is None and len(work.game.weights) > 1
        self._decided = decided(
            Question(
                wish=wish,
                scales=scales,
                labels=served.labels,
                outputs=work.outputs,
                whole=self._whole,
                averaged=averaged,
            )
        )
        adds = np.nan_to_num(self._decided.guide(attribution.values, work.outputs.class_indices))
        self.cells = None if cells is None else _cell_moves(cells, work, wish, adds)
        self.subject: Subject = self.cells or AbsentPlayers(work.game, attribution.groups, adds)
        margin = float(self._decided.margins(self._whole)[0])
        budget = wish.max_evaluations or 0
        self._search = FlipSearch(self.subject.moves, margin=margin, budget=budget, seed=work.options.seed)

    async def run(self, evaluations: Evaluations, step: Step, priority: Priority) -> ChangeFound:
        """Search until nothing is left to try, or the budget or the time is; ``step`` runs what takes a while."""
        before = self._decided.answer(self._whole)
        if self._decided.flips(self._whole)[0]:
            return self._told(before, before, evaluations)
        after: ChangedAnswer | None = None
        while (sets := await step(self._search.ask)) is not None:
            kept, evaluated = await evaluations.of(self.subject.asked(sets), priority)
            await step(self._search.tell, self._decided.margins(kept), self._decided.flips(kept), evaluated)
            if (row := self._search.best_row) is not None:
                after = self._decided.answer(kept[row : row + 1])
        return self._told(before, after, evaluations)

    def _told(self, before: ChangedAnswer, after: ChangedAnswer | None, evaluations: Evaluations) -> ChangeFound:
        flip = self._search.found
        if after is before:  # it is answered already
            flip = replace(
                flip, moves=np.zeros(0, np.intp), none_smaller=True, none_nearer=True, end=SearchEnd.COMPLETE
            )
        chosen = [] if flip.moves is None else flip.moves.tolist()
        return ChangeFound(
            absent=chosen if self.cells is None else (),
            cells=() if self.cells is None else [self.cells.cells[move] for move in chosen],
            before=before,
            after=after,
            flip=flip,
            evaluations=evaluations.count,
            reused=evaluations.reused,
        )


def _cell_moves(alternatives: CellAlternatives, work: Work, wish: ChangeWish, adds: _Floats) -> CellMoves:
    groups = work.run.attribution.groups
    players = work.game.players if groups is None else work.game.grouped(groups)
    expected = {
        name: amount / len(player.columns)
        for player, amount in zip(players, adds.tolist(), strict=True)
        if isinstance(player, ColumnPlayer)
        for name, _ in player.columns
    }
    (row,) = work.encoded.row.values
    fixed = (part.columns for part in work.game.fixed if isinstance(part, ColumnPlayer))
    kept = {name: Kept() for columns in fixed for name, _ in columns}
    return alternatives.moves(row, {**kept, **wish.columns}, keep_others=wish.keep_others, expected=expected)
