"""What the explanation of a table is made of: its groups of rows, how far each is, and the answer. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from explicate_server.explain.attribution import Booleans, Floats, Indices
from explicate_server.explain.game import GameInfo
from explicate_server.explain.quality import FaithfulnessCheck
from explicate_server.explain.rounds import StopReason
from explicate_server.explain.shared_rounds import SharedRounds
from explicate_server.inference.evaluations import Timings, coalition_keys
from explicate_server.inference.explain_options import ResolvedOptions
from explicate_server.inference.explain_work import run_of
from explicate_server.inference.table_answer import TableAnswer, TableOutputs
from explicate_server.inference.told.told_outputs import told_game
from explicate_server.modalities.modality import Told
from explicate_server.modalities.rows.table_games import TableGames
from explicate_server.registry.records import ServedModel

# Rows of a group: what a fit costs beside its arithmetic is shared by so many, and a fit with their surrogates, 1 ms or
# more each, is still a short step.
_GROUP_ROWS = 32
# Values of coalitions that groups in progress hold at most, on each of a handful of arrays: 100 to 200 MB.
_MOST_VALUES = 1 << 22


@dataclass
class Group:
    """Some rows, explained on the same coalitions.

    Attributes:
        rows: their places in the table.
        information: their games.
        rounds: how far they are.
        asked: the coalitions asked so far.
    """

    rows: Indices
    information: GameInfo
    rounds: SharedRounds
    asked: list[Booleans] = field(default_factory=list)

    @property
    def going_on(self) -> Indices:
        """Places of the rows that have not ended."""
        return self.rows[self.rounds.games]


@dataclass(frozen=True)
class RowCheck:
    """What comprehensiveness and sufficiency of a row need, and how many evaluations are new for it."""

    row: int
    place: int
    check: FaithfulnessCheck
    new: int


class TableWork:
    """An explanation of a table in progress. Different groups may be worked on side by side.

    Attributes:
        answer: what is known.
        groups_at_once: how many groups there is memory for, at least the number that was asked for.
    """

    def __init__(
        self, served: ServedModel, options: ResolvedOptions, games: TableGames, *, answers: Floats, timings: Timings
    ) -> None:
        """``answers`` float64[rows, outputs] are the graph's own, to the table's rows and, where the method needs v(∅),
        to the background rows behind them.
        """
        scales, rows = served.scales, len(games.rows)
        outputs = TableOutputs.choose(options, scales=scales, predictions=answers[:rows], labels=served.labels)
        whole = scales.means_on(outputs.space, answers[:rows, np.newaxis], np.ones(1))  # [rows, outputs]
        empty = np.full((1, scales.outputs), np.nan)
        if options.method.needs_empty:
            empty = scales.means_on(outputs.space, answers[np.newaxis, rows:], games.weights)
        everyone = np.arange(rows)
        ends = outputs.of(np.stack((np.broadcast_to(empty, whole.shape), whole)), everyone)  # [2, rows · explained]
        self._games = games
        self._told: Told | None = None if options.method.needs is None else games.told()
        self._explained = outputs.class_indices.shape[1]
        values_of_row = self._explained * options.max_evaluations
        most = _GROUP_ROWS if self._told is None else self._told.rows_at_once
        self._group_rows = max(1, min(most, _MOST_VALUES // values_of_row))
        self.groups_at_once = _MOST_VALUES // (values_of_row * self._group_rows)
        self.answer = TableAnswer(
            predictions=answers[:rows],
            outputs=outputs,
            players=[*games.players, *games.unread_players],
            options=options,
            baseline=ends[0].reshape(rows, -1).T.copy(),
            full=ends[1].reshape(rows, -1).T,
            timings=timings,
        )

    @property
    def tells_itself(self) -> bool:
        """Whether the model tells its games, so that a group of rows is explained in one step."""
        return self._told is not None

    def parts(self) -> Iterator[Indices]:
        """Places of the rows of each group. Those of a model that tells itself explain the same outputs."""
        together = [np.arange(self.answer.rows)]
        if self._told is not None:
            _, which = np.unique(self.answer.outputs.class_indices, axis=0, return_inverse=True)
            together = [np.flatnonzero(which.ravel() == number) for number in range(int(which.max()) + 1)]
        for rows in together:
            yield from (rows[first : first + self._group_rows] for first in range(0, len(rows), self._group_rows))

    def begun(self, rows: Indices) -> Group:
        """The group of some rows."""
        answer, options, told = self.answer, self.answer.options, None
        if self._told is not None:
            told = told_game(self._told.of(rows), self._games.weights, answer.outputs.of_row(int(rows[0])))
            answer.baseline[:, rows] = told.baseline[:, np.newaxis]
        information = GameInfo(
            n_players=len(self._games.players),
            empty=answer.baseline[:, rows].T.ravel(),
            full=answer.full[:, rows].T.ravel(),
            games=len(rows),
            seed=options.seed,
            confidence=options.confidence,
            told=told,
        )
        run = run_of(information, options, spent=answer.ends)
        return Group(rows, information, SharedRounds(run, information))

    def tell(self, group: Group, scores: Floats, done: Booleans) -> None:
        """The outputs float64[m · rows, outputs] of the coalitions asked last, of each those of the rows that go on,
        and bool[m · rows] which of them there was time for.
        """
        rows = group.going_on
        evaluated = np.asarray(done.reshape(-1, len(rows)).all(axis=1))
        values = self.answer.outputs.of(scores.reshape(-1, len(rows), scores.shape[1]), rows)
        group.rounds.tell(values, evaluated)
        if not evaluated.all():
            group.rounds.stop(StopReason.DEADLINE)

    def end(self, group: Group) -> None:
        """Keep what the rows of a group ended with."""
        for part in group.rounds.ended:
            self.answer.keep(group.rows[part.games], part)
        self.answer.cut_by_clock |= group.rounds.cut_by_clock

    def checks(self, group: Group) -> list[RowCheck]:
        """What comprehensiveness and sufficiency of the rows that are known need."""
        asked = [key for coalitions in group.asked for key in coalition_keys(coalitions)]
        known, checks = self.answer.known, []
        for part in group.rounds.ended:
            own = set(asked[: part.evaluations - self.answer.ends])
            for number, game in enumerate(part.games.tolist()):
                outputs = number * self._explained + np.arange(self._explained)
                check = FaithfulnessCheck(part.attribution.of(outputs), seed=group.information.seed)
                if known[group.rows[game]] and len(check.coalitions):
                    new = sum(key not in own for key in coalition_keys(check.coalitions))
                    checks.append(RowCheck(int(group.rows[game]), game, check, new))
        return checks

    def keep_checks(self, checks: list[RowCheck], scores: Floats, done: Booleans) -> None:
        """Keep the figures of those whose coalitions, one check after the other, were all evaluated."""
        ends = np.cumsum([len(each.check.coalitions) for each in checks])
        for each, last in zip(checks, ends.tolist(), strict=True):
            places = slice(last - len(each.check.coalitions), last)
            if done[places].all():
                values = self.answer.outputs.of(scores[places, np.newaxis], np.array([each.row]))
                self._keep_check(each, values)
                self.answer.evaluations[each.row] += each.new

    def keep_told_checks(self, group: Group, checks: list[RowCheck]) -> None:
        """Keep the figures of rows of a model that tells itself."""
        told = group.information.told
        assert told is not None
        for each in checks:
            self._keep_check(each, told.of(each.place).values(each.check.coalitions))

    def _keep_check(self, each: RowCheck, values: Floats) -> None:
        """From the explained outputs of its coalitions."""
        figures = each.check.figures(values, self.answer.full[:, each.row])
        self.answer.keep_faithfulness(each.row, *figures)
