"""Evaluating coalitions: each one of a game goes through the model once, for all explanations that ask for it.

A coalition is one row of the model or, for a table, one for each background row; what is kept of it is their mean.

Rows leave in flights: chunks that the batcher takes as one ticket. If another explanation of the same input is having a
coalition evaluated, it is not sent again; its flight is joined. A flight that every reader has left is given up.

Values are kept for the next explanation of the same input, so that a repeated or refined request pays only for rows
that are new. Both are for explanations of one caller only. What is kept is bounded in bytes; the inputs explained
longest ago go first. Used on the event loop only.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from explicate_server.explain.game import Asked
from explicate_server.inference.asking.targets import Outputs
from explicate_server.registry.records import Scales
from explicate_server.runtime.batcher import Batcher, Priority
from explicate_server.runtime.queue import Row, Ticket


@dataclass
class Timings:
    """Where the time of one call went, in seconds."""

    started_s: float = field(default_factory=time.monotonic)
    queue_s: float = 0.0
    preprocessing_s: float = 0.0
    solver_s: float = 0.0
    _runs: dict[int, float] = field(default_factory=dict)

    @property
    def total_s(self) -> float:
        """Since the call arrived."""
        return time.monotonic() - self.started_s

    @property
    def model_s(self) -> float:
        """Wall time of the batches that carried rows of this call, each counted once, also those side by side."""
        return sum(self._runs.values())

    def add(self, ticket: Ticket) -> None:
        """Count a ticket's wait and its batches."""
        self.queue_s = max(self.queue_s, ticket.queue_s)
        self._runs.update(ticket.runs)


# What a value costs beside its numbers (an entry in a dictionary, a key's and an array's header), and a game.
_ENTRY_BYTES = 250
_GAME_BYTES = 1000
# Coalitions handed to the batcher at once, at most with this many rows of the model, and how many such chunks may wait.
# Long enough to group rows by length over many batches, short enough that a deadline or a cancel finds little in the
# queue. Coalitions of many rows are those of small models.
_CHUNK_COALITIONS = 256
_CHUNK_ROWS = 4096
# Numbers that the model answers to one chunk with. Their scaling and averaging is a step of the event loop: 4 ms for
# these, 60 ms for 4,096 rows of 1,000 labels.
_CHUNK_NUMBERS = 1 << 18
_FLIGHTS_WAITING = 2

RowsOf = Callable[[Asked], Awaitable[list[Row]]]
_Explained = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class GameValues:
    """What is known of one game: values by coalition, and the rows that are under way.

    Attributes:
        caller: who asked for them; nobody else is told of them.
        known: float64[width] by coalition (see `coalition_keys` and `Scales`).
        under_way: the flight that carries a coalition's row, by coalition.
        readers: explanations that use it now.
        bytes: about what its values take.
        kept: whether the store still has it; a flight may land after that.
    """

    def __init__(self, caller: str = "") -> None:
        self.caller = caller
        self.known: dict[bytes, NDArray[np.float64]] = {}
        self.under_way: dict[bytes, Flight] = {}
        self.readers = 0
        self.bytes = 0
        self.kept = True


# A caller that holds more than this part of the store makes room from what it holds itself.
_MOST_OF_STORE = 0.25
_Key = tuple[str, Hashable]


class ValueStore:
    """All games whose values are kept, apart for each caller: what is known already, and how fast it comes, would tell
    one caller what another has asked.

    Attributes:
        bytes: about what the values take now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._games: dict[_Key, GameValues] = {}
        # Those that nobody reads, the ones used last at the end: all of them, and by caller.
        self._idle: OrderedDict[_Key, None] = OrderedDict()
        self._idle_of: dict[str, OrderedDict[_Key, None]] = {}
        self._bytes_of: Counter[str] = Counter()

    @property
    def games(self) -> int:
        """Inputs of which something is kept or under way."""
        return len(self._games)

    @contextmanager
    def game(self, key: Hashable, *, caller: str = "") -> Iterator[GameValues]:
        """A caller's values of the game with this key, which must say everything that the model's answers depend on."""
        place = (caller, key)
        values = self._games.setdefault(place, GameValues(caller))
        values.readers += 1
        self._busy(place)
        try:
            yield values
        finally:
            values.readers -= 1
            if not values.readers and values.kept:
                if values.known:
                    self._idle[place] = None
                    self._idle_of.setdefault(caller, OrderedDict())[place] = None
                else:
                    self._drop(place)

    def remember(self, game: GameValues, keys: list[bytes], values: NDArray[np.float64]) -> None:
        """Keep float64[len(keys), width] if there is room, or room can be made from games that nobody reads."""
        size = sum(map(len, keys)) + values.nbytes + _ENTRY_BYTES * len(keys) + (0 if game.bytes else _GAME_BYTES)
        self._make_room(size, game.caller)
        if not game.kept or self.bytes + size > self._max_bytes:
            return
        game.known.update(zip(keys, values, strict=True))
        game.bytes += size
        self._count(game.caller, size)

    def forget(self, digest: str) -> None:
        """Drop the games of a bundle that was freed; their keys begin with its digest."""
        for place in [place for place in self._games if isinstance(place[1], tuple) and place[1][0] == digest]:
            self._drop(place)

    def _make_room(self, size: int, caller: str) -> None:
        while self.bytes + size > self._max_bytes:
            own = self._bytes_of[caller] + size > _MOST_OF_STORE * self._max_bytes
            idle = self._idle_of.get(caller) if own else self._idle
            if not idle:
                return
            self._drop(next(iter(idle)))

    def _drop(self, place: _Key) -> None:
        game = self._games.pop(place)
        game.kept = False
        self._busy(place)
        self._count(game.caller, -game.bytes)

    def _busy(self, place: _Key) -> None:
        self._idle.pop(place, None)
        of_caller = self._idle_of.get(place[0])
        if of_caller is not None:
            of_caller.pop(place, None)
            if not of_caller:
                del self._idle_of[place[0]]

    def _count(self, caller: str, size: int) -> None:
        self.bytes += size
        self._bytes_of[caller] += size
        if not self._bytes_of[caller]:
            del self._bytes_of[caller]


def coalition_keys(coalitions: Asked) -> list[bytes]:
    """A key for each coalition, its bits, or for each drawn row, its number."""
    if coalitions.dtype != np.bool_:
        return [number.tobytes() for number in coalitions]
    return [row.tobytes() for row in np.packbits(coalitions, axis=1)]


class Flight:
    """Rows on their way through the model, and how many readers wait for them.

    Attributes:
        places: the place of each coalition in the flight.
        ticket: once the rows are with the batcher.
        fault: what went wrong with it, if anything; rows that are done stay right.
        landed: ends when nothing more will come; it never raises.
    """

    def __init__(self, keys: list[bytes], priority: Priority) -> None:
        self.places = {key: place for place, key in enumerate(keys)}
        self.priority = priority
        self.readers = 0
        self.ticket: Ticket | None = None
        self.fault: Exception | None = None
        self.landed: asyncio.Task[None]


@dataclass(frozen=True)
class _Wait:
    """Rows of one reader in one flight: where the values go, the keys to find them by, whether it is another's."""

    flight: Flight
    rows: list[int]
    keys: list[bytes]
    joined: bool


class Evaluations:
    """The evaluations of one explanation.

    Attributes:
        reused: how many of its values were known, or under way, from other explanations.
    """

    def __init__(
        self,
        batcher: Batcher,
        game: GameValues,
        store: ValueStore,
        rows_of: RowsOf,
        *,
        weights: NDArray[np.float64],
        scales: Scales,
        timings: Timings,
        seconds_left: Callable[[], float],
        played: Callable[[Asked], Asked] = lambda coalitions: coalitions,
    ) -> None:
        """Take what makes model rows of coalitions, what their mean is, and how long evaluations may go on.

        ``weights`` float64[b] are those of a coalition's rows, see `Game.weights`; and see `Game.played`.
        """
        self.reused = 0
        self._batcher = batcher
        self._game = game
        self._store = store
        self._rows_of = rows_of
        self._played = played
        self._weights = weights
        self._scales = scales
        rows = min(_CHUNK_ROWS, _CHUNK_NUMBERS // scales.outputs)
        self._chunk = max(1, min(_CHUNK_COALITIONS, rows // len(weights)))
        self._timings = timings
        self._seconds_left = seconds_left
        self._own: set[bytes] = set()

    @property
    def count(self) -> int:
        """Different coalitions that this explanation rests on."""
        return len(self._own)

    async def of(
        self, coalitions: Asked, priority: Priority, outputs: Outputs | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Values of bool[m, n], and bool[m] which of them there was time for.

        The values are the explained ``outputs``, float64[m, explained]; without any all that is kept of a coalition,
        float64[m, width] (see `Scales`). Of a thousand classes on two scales that is two thousand times as much.

        Raises:
            ModelFault: the model failed on one of them.
            NotServing: the model is being unloaded.
        """
        coalitions = self._played(coalitions)
        keys = coalition_keys(coalitions)
        explained: _Explained = (lambda kept: kept) if outputs is None else outputs.of
        values = np.zeros((len(coalitions), explained(np.zeros((0, self._scales.width))).shape[1]))
        evaluated = np.zeros(len(coalitions), dtype=np.bool_)
        chunks = deque(range(0, len(coalitions), self._chunk))
        waits: deque[_Wait] = deque()
        try:
            while waits or (chunks and self._seconds_left() > 0):
                # Time that was left a line above may be over here; without a flight to wait for, go on all the same.
                if chunks and len(waits) < _FLIGHTS_WAITING and (not waits or self._seconds_left() > 0):
                    chunk = range(chunks[0], min(chunks.popleft() + self._chunk, len(coalitions)))
                    self._take_known(chunk, keys, values, evaluated, explained)
                    waits.extend(self._send(coalitions, [row for row in chunk if not evaluated[row]], keys, priority))
                else:
                    await asyncio.wait({waits[0].flight.landed}, timeout=max(0.0, self._seconds_left()))
                    self._collect(waits[0], values, evaluated, explained)
                    self._leave(waits.popleft().flight)
        finally:
            for wait in waits:
                self._leave(wait.flight)
        return values, evaluated

    def _take_known(
        self,
        chunk: range,
        keys: list[bytes],
        values: NDArray[np.float64],
        evaluated: NDArray[np.bool_],
        explained: _Explained,
    ) -> None:
        known = {row: value for row in chunk if (value := self._game.known.get(keys[row])) is not None}
        if known:
            rows = list(known)
            values[rows], evaluated[rows] = explained(np.stack(list(known.values()))), True
        for row in known:
            self._count(keys[row], reused=True)

    def _send(self, coalitions: Asked, rows: list[int], keys: list[bytes], priority: Priority) -> list[_Wait]:
        """Join the flights that carry some of the rows, and send the others off in a new one."""
        joined: dict[Flight, list[int]] = {}
        new: dict[bytes, int] = {}
        for row in rows:
            flight = self._game.under_way.get(keys[row])
            # A row that waits behind less urgent ones is sent again rather than waited for.
            if flight is not None and flight.priority <= priority:
                joined.setdefault(flight, []).append(row)
            else:
                new.setdefault(keys[row], row)
        if new:
            flight = Flight(list(new), priority)
            flight.landed = asyncio.create_task(self._evaluate(flight, coalitions[list(new.values())]))
            self._game.under_way.update(dict.fromkeys(new, flight))
            joined[flight] = [row for row in rows if keys[row] in new]
        for flight in joined:
            flight.readers += 1
        return [
            _Wait(flight, places, [keys[row] for row in places], joined=keys[places[0]] not in new)
            for flight, places in joined.items()
        ]

    async def _evaluate(self, flight: Flight, coalitions: Asked) -> None:
        """Make the rows, have them evaluated, and keep their values."""
        try:
            rows = await self._rows_of(coalitions)
            if flight.readers:
                flight.ticket = self._batcher.submit(
                    rows, priority=flight.priority, caller=self._game.caller, admitted=True
                )
                await self._batcher.wait(flight.ticket, timeout_s=None)
        except Exception as error:  # told to each reader that misses a row
            flight.fault = error
        finally:
            self._finish(flight)

    def _finish(self, flight: Flight) -> None:
        self._withdraw(flight)
        if flight.ticket is not None:
            keys = list(flight.places)
            done, values = self._means(flight.ticket, slice(None))
            self._store.remember(self._game, [keys[place] for place in np.flatnonzero(done)], values)

    def _means(self, ticket: Ticket, places: slice | list[int]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Which of the coalitions at these places of a ticket are done, bool[k], and the values of those."""
        rows = len(self._weights)
        # A copy: an abandoned flight's last batch may still be running.
        done: NDArray[np.bool_] = np.asarray(ticket.done.reshape(-1, rows)[places].all(axis=1))
        answers = ticket.values.reshape(-1, rows, self._scales.outputs)[places][done]
        return done, self._scales.means(answers, self._weights)

    def _withdraw(self, flight: Flight) -> None:
        for key in flight.places:
            if self._game.under_way.get(key) is flight:
                del self._game.under_way[key]

    def _collect(
        self, wait: _Wait, values: NDArray[np.float64], evaluated: NDArray[np.bool_], explained: _Explained
    ) -> None:
        """Take the coalitions that are done.

        Raises:
            Exception: what went wrong with the flight, when one of this reader is missing because of it.
        """
        flight, ticket = wait.flight, wait.flight.ticket
        if ticket is not None:
            done, means = self._means(ticket, [flight.places[key] for key in wait.keys])
            rows = np.array(wait.rows)
            values[rows[done]] = explained(means)
            evaluated[rows] = done
            self._timings.add(ticket)
            for place in np.flatnonzero(done):
                self._count(wait.keys[place], reused=wait.joined)
        if flight.fault is not None and not evaluated[wait.rows].all():
            raise flight.fault

    def _leave(self, flight: Flight) -> None:
        flight.readers -= 1
        if not flight.readers:
            self._withdraw(flight)  # nobody may join what is being given up
            if flight.ticket is not None:
                self._batcher.abandon(flight.ticket)

    def _count(self, key: bytes, *, reused: bool) -> None:
        if key not in self._own:
            self._own.add(key)
            self.reused += reused
