"""A fleet of servers and the scorers that send it rows, as discrete events: an event is a call of rows.

Scorers read shards, each part by part, and keep a window of calls in flight that grows by one a window of answers and
halves when all servers that were asked refuse (AIMD). A server computes calls in the order they came with all its
cores, and refuses one for whose rows its queue has no room. Servers die with what they hold and come back; scorers die
with every part that is not written, and go on after the written ones; some servers are slow.

Checked at the end of every run: each row was written once, and the servers' work is that of the rows that were written
plus what was lost with those who died.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.fleet import Fleet, Outcome

# Servers that a call asks before its scorer backs off, and calls of one scorer in flight at most.
MOST_ATTEMPTS = 3
MOST_IN_FLIGHT = 64
_SPREAD = 0.2  # of a pause, at random
_LEAST_PAUSE_S = 0.05
# A run that takes a thousand times what it could is one that never ends: parts longer than their scorers live.
_NEVER = 1_000.0


class WrongRows(AssertionError):
    """A row was lost or written twice, or work is not accounted for: the protocol or its simulation is wrong."""


class Part:
    """A part that is not written yet: rows not asked for, rows without an answer, and the work in the answers."""

    __slots__ = ("missing", "number", "rows", "spent_s", "unasked")

    def __init__(self, number: int, rows: int) -> None:
        self.number = number
        self.rows = self.unasked = self.missing = rows
        self.spent_s = 0.0


class Scorer:
    """A pod that scores one shard after the other. Answers for an earlier ``life`` are nobody's."""

    __slots__ = (
        "again",
        "free_s",
        "held",
        "in_flight",
        "life",
        "open",
        "parts",
        "resting",
        "shard",
        "successes",
        "window",
    )

    def __init__(self) -> None:
        self.life = 0
        self.shard = -1
        self.parts: deque[int] = deque()  # of the shard, neither begun nor written
        self.free_s = 0.0  # until when its core is busy
        self.forget()

    def forget(self) -> None:
        """What a process knows when it starts."""
        self.open: dict[int, Part] = {}
        self.again: deque[tuple[Part, int]] = deque()  # rows whose call was refused
        self.in_flight = self.successes = self.held = 0
        self.window = 2.0
        self.resting = False


class Call:
    """Rows of a part on their way, for which life of which scorer, and what they cost a server."""

    __slots__ = ("cost_s", "life", "part", "rows", "scorer")

    def __init__(self, scorer: Scorer, part: Part, rows: int, cost_s: float) -> None:
        self.scorer, self.life, self.part, self.rows, self.cost_s = scorer, scorer.life, part, rows, cost_s


class Server:
    """A replica: the call that it computes, and those that wait. ``run`` tells a computation from an earlier one."""

    __slots__ = ("began_s", "now", "queued_rows", "run", "speed", "up", "waiting")

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.up = True
        self.run = 0
        self.now: Call | None = None
        self.began_s = 0.0
        self.waiting: deque[Call] = deque()
        self.queued_rows = 0


class Simulation:
    """One run of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._random = random.Random(fleet.seed)
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []  # Any: each has its own
        self._planned = 0
        self._now_s = 0.0
        slow = round(fleet.slow * fleet.servers)
        self._servers = [
            Server(fleet.cores * (fleet.slow_speed if place < slow else 1.0)) for place in range(fleet.servers)
        ]
        self._scorers = [Scorer() for _ in range(fleet.scorers)]
        self._parts = math.ceil(fleet.rows / fleet.part_rows)
        self._writes = bytearray(self._parts)
        self._shards = deque(range(fleet.shards))
        core_speed = sum(each.speed for each in self._servers)
        self.outcome = Outcome(ideal_s=fleet.rows * fleet.row_s / core_speed, core_speed=core_speed)

    def run(self) -> Outcome:
        """Until every shard is written. Raises WrongRows, or ValueError for a run that does not end."""
        for server in self._servers:
            self._plan_death(self._fleet.server_mtbf_s, self._server_dies, server)
        for scorer in self._scorers:
            self._plan_death(self._fleet.scorer_mtbf_s, self._scorer_dies, scorer)
            self._take_shard(scorer)
        while self.outcome.shards_done < self._fleet.shards:
            if not self._events or self._now_s > _NEVER * self.outcome.ideal_s:
                raise ValueError("it does not end: its parts take longer than its scorers or servers live")
            self._now_s, _, happen, about = heapq.heappop(self._events)
            happen(*about)
        self.outcome.seconds = self._now_s
        self._check()
        return self.outcome

    def _plan(self, after_s: float, happen: Callable[..., None], *about: object) -> None:
        self._planned += 1
        heapq.heappush(self._events, (self._now_s + after_s, self._planned, happen, about))

    def _plan_death(self, mtbf_s: float, happen: Callable[..., None], who: object) -> None:
        if not math.isinf(mtbf_s):
            self._plan(self._random.expovariate(1 / mtbf_s), happen, who)

    def _check(self) -> None:
        told, fleet = self.outcome, self._fleet
        lost, twice = self._writes.count(0), sum(count > 1 for count in self._writes)
        if lost or twice or told.written_rows != fleet.rows:
            raise WrongRows(f"{lost} parts lost, {twice} written twice, {told.written_rows:,} rows of {fleet.rows:,}")
        accounted_s = told.useful_s + told.lost_with_scorers_s + told.lost_with_servers_s
        if not math.isclose(told.work_s, accounted_s, rel_tol=1e-6):
            raise WrongRows(f"servers worked {told.work_s:.3f} core seconds, and {accounted_s:.3f} are accounted for")

    # Scorers.

    def _take_shard(self, scorer: Scorer) -> None:
        scorer.shard = self._shards.popleft() if self._shards else -1
        if scorer.shard < 0:
            if math.isinf(self.outcome.end_s):
                self.outcome.end_s, self.outcome.end_work_s = self._now_s, self.outcome.work_s
            return
        of = self._fleet.shards
        scorer.parts = deque(range(scorer.shard * self._parts // of, (scorer.shard + 1) * self._parts // of))
        self._go_on(scorer)

    def _go_on(self, scorer: Scorer) -> None:
        """Fill the window, each call once the scorer's core has made it; take the next shard when this is written."""
        fleet = self._fleet
        while not scorer.resting and scorer.in_flight < int(scorer.window):
            taken = self._next_rows(scorer)
            if taken is None:
                break
            part, rows = taken
            scorer.in_flight += 1
            scorer.free_s = max(scorer.free_s, self._now_s) + rows * fleet.scorer_s
            cost_s = rows * fleet.row_s * (self._random.lognormvariate(0.0, fleet.noise) if fleet.noise else 1.0)
            self._plan(scorer.free_s - self._now_s + fleet.call_s, self._send, Call(scorer, part, rows, cost_s))
        self.outcome.most_rows_held = max(self.outcome.most_rows_held, scorer.held)
        if scorer.shard >= 0 and not scorer.open and not scorer.parts:
            self.outcome.shards_done += 1
            self._take_shard(scorer)

    def _next_rows(self, scorer: Scorer) -> tuple[Part, int] | None:
        if scorer.again:
            return scorer.again.popleft()
        part = next(reversed(scorer.open.values()), None)
        if part is None or not part.unasked:
            if not scorer.parts:
                return None
            number = scorer.parts.popleft()
            first = number * self._fleet.part_rows
            part = scorer.open[number] = Part(number, min(self._fleet.part_rows, self._fleet.rows - first))
        rows = min(self._fleet.call_rows, part.unasked)
        part.unasked -= rows
        scorer.held += rows
        return part, rows

    def _is_wanted(self, call: Call) -> bool:
        return call.life == call.scorer.life

    def _send(self, call: Call) -> None:
        """Offer a call to some servers; if all refuse, back off."""
        if not self._is_wanted(call):
            return
        self.outcome.calls += 1
        wait_s = self._fleet.server_restart_s
        for _ in range(MOST_ATTEMPTS):
            server = self._chosen()
            if server.up and server.queued_rows + call.rows <= self._fleet.queue_rows:
                self._accept(server, call)
                return
            self.outcome.refusals += 1
            if server.up:
                wait_s = min(wait_s, server.queued_rows * self._fleet.row_s / server.speed)
        self._back_off(call, wait_s)

    def _chosen(self) -> Server:
        """The one with the fewest rows of some at random, as least-request does; who is down is known."""
        drawn = [self._servers[int(self._random.random() * self._fleet.servers)] for _ in range(self._fleet.choices)]
        return min(drawn, key=lambda server: (not server.up, server.now is not None, server.queued_rows))

    def _back_off(self, call: Call, wait_s: float) -> None:
        scorer = call.scorer
        scorer.in_flight -= 1
        scorer.again.append((call.part, call.rows))
        if not scorer.resting:  # refusals of one moment halve once
            scorer.window, scorer.successes, scorer.resting = max(1.0, scorer.window / 2), 0, True
            pause_s = max(_LEAST_PAUSE_S, wait_s) * (1 + self._random.uniform(-_SPREAD, _SPREAD))
            self._plan(pause_s, self._wake, scorer, scorer.life)

    def _wake(self, scorer: Scorer, life: int) -> None:
        if life == scorer.life:
            scorer.resting = False
            self._go_on(scorer)

    def _answered(self, call: Call) -> None:
        scorer, part = call.scorer, call.part
        scorer.in_flight -= 1
        scorer.successes += 1
        if scorer.successes >= scorer.window:
            scorer.window, scorer.successes = min(scorer.window + 1, MOST_IN_FLIGHT), 0
        part.missing -= call.rows
        part.spent_s += call.cost_s
        if not part.missing:
            self._write(scorer, part)
        self._go_on(scorer)

    def _write(self, scorer: Scorer, part: Part) -> None:
        if self._writes[part.number]:
            raise WrongRows(f"part {part.number} is written twice")
        self._writes[part.number] += 1
        scorer.open.pop(part.number, None)
        scorer.held -= part.rows
        scorer.free_s = max(scorer.free_s, self._now_s) + self._fleet.write_s
        self.outcome.written_rows += part.rows
        self.outcome.useful_s += part.spent_s

    def _scorer_dies(self, scorer: Scorer) -> None:
        """Its parts that are not written are begun anew; servers see that it left and drop its calls."""
        fleet, told = self._fleet, self.outcome
        if scorer.shard < 0 and not self._shards:
            return  # the pod has ended
        told.scorer_deaths += 1
        told.lost_with_scorers_s += sum(part.spent_s for part in scorer.open.values())
        for server in self._servers:
            self._drop(server, scorer)
        scorer.parts.extendleft(sorted(scorer.open, reverse=True))
        scorer.life += 1
        scorer.forget()
        scorer.free_s = self._now_s + fleet.scorer_restart_s
        scorer.resting = True
        self._plan(fleet.scorer_restart_s, self._wake, scorer, scorer.life)
        self._plan_death(fleet.scorer_mtbf_s, self._scorer_dies, scorer)

    # Servers.

    def _accept(self, server: Server, call: Call) -> None:
        server.waiting.append(call)
        server.queued_rows += call.rows
        if server.now is None:
            self._compute(server)

    def _compute(self, server: Server) -> None:
        if server.waiting:
            call = server.now = server.waiting.popleft()
            server.queued_rows -= call.rows
            server.began_s = self._now_s
            self._plan(call.cost_s / server.speed, self._computed, server, server.run)

    def _computed(self, server: Server, run: int) -> None:
        call = server.now
        if run != server.run or call is None:
            return
        self.outcome.work_s += call.cost_s
        server.now = None
        server.run += 1
        self._compute(server)
        self._answered(call)

    def _interrupt(self, server: Server) -> float:
        """End a computation; returns the core seconds that it took."""
        done_s = (self._now_s - server.began_s) * server.speed if server.now else 0.0
        server.now = None
        server.run += 1
        self.outcome.work_s += done_s
        return done_s

    def _drop(self, server: Server, scorer: Scorer) -> None:
        """Forget the calls of a scorer that left."""
        kept: Iterable[Call] = [call for call in server.waiting if call.scorer is not scorer]
        server.waiting = deque(kept)
        server.queued_rows = sum(call.rows for call in server.waiting)
        if server.now and server.now.scorer is scorer:
            self.outcome.lost_with_scorers_s += self._interrupt(server)
            self._compute(server)

    def _server_dies(self, server: Server) -> None:
        """What it held is asked of others at once."""
        fleet, told = self._fleet, self.outcome
        told.server_deaths += 1
        held = [*([server.now] if server.now else []), *server.waiting]
        told.lost_with_servers_s += self._interrupt(server)
        server.up, server.waiting, server.queued_rows = False, deque(), 0
        for call in held:
            self._plan(fleet.call_s, self._send, call)
        self._plan(fleet.server_restart_s, self._server_is_back, server)

    def _server_is_back(self, server: Server) -> None:
        server.up = True
        self._plan_death(self._fleet.server_mtbf_s, self._server_dies, server)
