"""One explanation of a table, top to bottom: rows, predictions, groups of rows that share coalitions, answer.

A group plays one set of coalitions, with one factorisation for all of its rows. Groups take turns, a round each, so
that when time is up each row knows about as much as the others. While one is fitted, others are in the model.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import TypeVar

import numpy as np

from explicate_bundle.model_inputs import TabularInput
from explicate_server import tracing
from explicate_server.errors import MOST_VIOLATIONS_TOLD, DeadlinePassed, InvalidRequest, Violation
from explicate_server.explain.methods import AUTO, methods_of
from explicate_server.explain.quality import Quality
from explicate_server.inference.admission import Seat
from explicate_server.inference.asking.baselines import stand_in
from explicate_server.inference.asking.change_wish import PATH as CHANGE
from explicate_server.inference.asking.player_groups import FIXED, GROUPS
from explicate_server.inference.evaluations import Timings
from explicate_server.inference.explain_call import Deadline
from explicate_server.inference.explain_options import ROWS_THAT_TELL_A_PLAYER, CheckedOptions, ResolvedOptions
from explicate_server.inference.predictor import wrong_kind
from explicate_server.inference.table_answer import TableAnswer
from explicate_server.inference.table_values import TableValues, together
from explicate_server.inference.table_work import Group, TableWork
from explicate_server.inference.workers import Workers
from explicate_server.modalities.rows.packed_table import PackedTable
from explicate_server.modalities.rows.table_games import TableGames
from explicate_server.modalities.table import TabularModality
from explicate_server.registry.records import ServedModel
from explicate_server.runtime.batcher import Priority
from explicate_server.settings import Settings

# Groups in hand: one is fitted while another has rows in the model, and one more waits there.
_IN_HAND = 3
# Rows whose comprehensiveness and sufficiency a worker finds in one step, where the model tells its games: of trees a
# row takes 10 ms or more.
_TOLD_CHECKS = 4
# A table counts for this part of what one caller's explanations may have in progress, and no more: its rows are
# evaluated a block at a time, so that it takes no more of the queue than one explanation does.
_MOST_OF_EVALUATIONS = 4
# Bytes of a row's answer beside its numbers, and of a number.
_ROW_BYTES, _NUMBER_BYTES = 64, 8

_T = TypeVar("_T")


_OF_ONE_ROW = (
    (GROUPS, "is for one input at a time; ask about each row alone"),
    (FIXED, "is for one input at a time; ask about each row alone"),
    ("options.interactions", "are told of one row at a time: explain it by itself"),
    ("options.language", "is for sentences, which only explanations of one row at a time have; leave it out"),
    (CHANGE, "is searched for in one row at a time: explain the rows whose answer is to change by themselves"),
)
"""What is asked about one input, or told of it; see `check_shared`."""


def check_shared(checked: CheckedOptions) -> None:
    """Refuse a method whose coalitions cannot be shared by the rows of a table, and what is of one row only.

    Raises:
        InvalidRequest: it names the methods that can.
    """
    given = checked.given
    asked = (given.groups, given.fixed, given.interactions, given.language, given.change)
    of_one = [problem for problem, wish in zip(_OF_ONE_ROW, asked, strict=True) if wish not in (None, ())]
    if of_one:
        raise InvalidRequest([Violation(path, problem) for path, problem in of_one])
    if not checked.method.shared:
        choices = checked.choices
        methods = [each for each in methods_of(choices.reads).values() if each.shared and choices.fits(each)]
        names = ", ".join((AUTO, *(each.name for each in methods)))
        problem = f"is {checked.method.name}, which explains one row at a time; for many at once there are {names}"
        raise InvalidRequest([Violation("options.method", problem)])


class TableCall:
    """The state of one explanation of a table in progress."""

    def __init__(
        self,
        served: ServedModel,
        checked: CheckedOptions,
        *,
        caller: str,
        priority: Priority,
        time_limit_s: float,
        workers: Workers,
        settings: Settings,
    ) -> None:
        self._served = served
        self._checked = checked
        self._caller = caller
        self._priority = priority
        self._workers = workers
        self._settings = settings
        self._timings = Timings()
        self._deadline = Deadline(time_limit_s, self._timings, lambda: workers.explain.hand_over_s)

    async def answer(self, table: PackedTable, seat: Seat) -> TableAnswer:
        """Predict all rows, then ask, evaluate and tell until the rounds of each have ended."""
        games, unknown = await self._prepare(table)
        options = self._options(games, table.rows)
        most = self._settings.max_evaluations_per_caller // _MOST_OF_EVALUATIONS
        seat.reserve(min(table.rows * options.max_evaluations, max(most, options.max_evaluations)))
        values = TableValues(
            self._served,
            games,
            caller=self._caller,
            priority=self._priority,
            workers=self._workers,
            timings=self._timings,
            seconds_left=self._deadline.seconds_left,
        )
        ends = [games.rows, games.background] if options.method.needs_empty else [games.rows]
        with tracing.span("endpoints", rows=table.rows):
            answers, done = await values.of_rows(np.concatenate(ends))
        if not done.all():
            raise DeadlinePassed
        work = await self._fit(partial(TableWork, self._served, options, games, answers=answers, timings=self._timings))
        await self._explain(work, values)
        answer = work.answer
        if not answer.known.any():
            raise DeadlinePassed(
                "NO_TIME_TO_EXPLAIN", "only the predictions are known; ask for them, or give more time"
            )
        answer.unknown_category_columns, answer.rows_sent = unknown, values.rows_sent
        return answer

    async def _prepare(self, table: PackedTable) -> tuple[TableGames, Sequence[str]]:
        """The rows ready for the model, and the columns of which a category is not known."""
        modality = self._served.modality
        if not isinstance(modality, TabularModality):
            raise wrong_kind(self._served, "table", TabularInput)
        most = self._settings.max_explained_rows
        if not 1 <= table.rows <= most:
            raise InvalidRequest([Violation("table.rows", f"has {table.rows:,} rows; give 1 to {most:,} in one call")])

        def prepare() -> tuple[TableGames, Sequence[str]]:
            violations = modality.packed_violations(table)
            if violations:
                raise InvalidRequest(violations[:MOST_VIOLATIONS_TOLD])
            encoded = modality.encode_packed(table)
            instead = stand_in(self._served, self._checked.baseline)
            games = modality.games(encoded, {name for name, _ in table.columns}, stand_in=instead)
            return games, encoded.unknown_category_columns

        with tracing.span("prepare"):
            games, unknown = await self._in_worker(prepare)
        self._timings.preprocessing_s += self._timings.total_s
        return games, unknown

    def _options(self, games: TableGames, rows: int) -> ResolvedOptions:
        """The options for so many players.

        Raises:
            InvalidRequest: they fit no table of so many rows.
        """
        players = len(games.players)
        options = self._checked.for_players(players)
        if options.max_players is not None and options.max_players < players:
            given = self._checked.given.max_players
            field_, least = (
                ("max_players", players) if given else ("max_evaluations", ROWS_THAT_TELL_A_PLAYER * players)
            )
            problem = f"would group the {players:,} columns, which is for one row at a time; give {least:,} or more"
            raise InvalidRequest([Violation(f"options.{field_}", problem)])
        explained = len(self._served.labels) if options.target.all else 1
        numbers = explained * (4 * (players + len(games.unread)) + 3) + self._served.scales.outputs
        row_bytes = _ROW_BYTES + _NUMBER_BYTES * (numbers + len(fields(Quality)))
        most = max(1, self._settings.max_message_bytes // row_bytes)
        if rows > most:
            problem = (
                f"has {rows:,} rows; an answer of at most {self._settings.max_message_bytes:,} bytes holds {most:,}"
            )
            raise InvalidRequest([Violation("table.rows", problem)])
        return replace(options, language=None)

    async def _explain(self, work: TableWork, values: TableValues) -> None:
        """Let the groups take turns, a round each, until all have ended; all begin before any has a second round."""
        waiting, going = deque(work.parts()), deque[Group]()
        most, in_progress = max(_IN_HAND, work.groups_at_once), 0

        async def take_turns() -> None:
            nonlocal in_progress
            while waiting or going:
                if waiting and work.tells_itself and self._deadline.seconds_left() <= 0:
                    waiting.clear()  # a group of these is whole after one step, or it is not begun
                    continue
                if waiting and in_progress < most:
                    in_progress += 1
                    group = await self._fit(partial(work.begun, waiting.popleft()))
                else:  # as many as there may be in progress are more than the others have in hand
                    group = going.popleft()
                if await self._round(group, work, values):
                    going.append(group)
                else:
                    in_progress -= 1
                self._deadline.fits_to_come = 1 + in_progress

        await together(take_turns() for _ in range(_IN_HAND))

    async def _round(self, group: Group, work: TableWork, values: TableValues) -> bool:
        """One round of a group; whether it goes on."""
        asked = await self._fit(partial(group.rounds.next_round, self._deadline.seconds_left()))
        if asked is not None:
            coalitions, rows = np.asarray(asked, np.bool_), group.going_on
            group.asked.append(coalitions)
            with tracing.span("round", coalitions=len(coalitions), rows=len(rows)):
                each = np.repeat(coalitions, len(rows), axis=0)
                scores, done = await values.of(np.tile(rows, len(coalitions)), each, work.answer.outputs.space)
            await self._fit(partial(work.tell, group, scores, done))
            if len(group.rounds.games):
                return True
        await self._fit(partial(work.end, group))
        if work.answer.options.quality == "full":
            await self._check(group, work, values)
        return False

    async def _check(self, group: Group, work: TableWork, values: TableValues) -> None:
        """Comprehensiveness and sufficiency of the rows of a group that has ended, as far as there is time."""
        checks = await self._fit(partial(work.checks, group))
        if not checks:
            return
        if group.information.told is not None:
            for first in range(0, len(checks), _TOLD_CHECKS):
                if self._deadline.seconds_left() > 0:
                    await self._fit(partial(work.keep_told_checks, group, checks[first : first + _TOLD_CHECKS]))
            return
        coalitions = [each.check.coalitions for each in checks]
        rows = np.repeat([each.row for each in checks], [len(each) for each in coalitions])
        scores, done = await values.of(rows, np.concatenate(coalitions), work.answer.outputs.space)
        await self._fit(partial(work.keep_checks, checks, scores, done))

    async def _fit(self, step: Callable[[], _T]) -> _T:
        """A step of a group, off the event loop and on the clock."""
        started_s = time.monotonic()
        result = await self._in_worker(step)
        elapsed_s = time.monotonic() - started_s
        self._timings.solver_s += elapsed_s
        self._deadline.fit_took(elapsed_s)
        return result

    async def _in_worker(self, step: Callable[[], _T]) -> _T:
        return await self._workers.explain.run(step, caller=self._caller, priority=self._priority)
