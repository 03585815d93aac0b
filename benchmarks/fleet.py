"""What `benchmarks.scale_model` simulates, and what a run of it comes to."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Fleet:
    """What is simulated. Costs are seconds of one core.

    Attributes:
        rows: in all.
        servers, cores: replicas, and the cores of each.
        predict_s, explain_s: what a row costs its server to predict, and to explain.
        explained: part of the rows that are explained.
        scorer_s: what a row costs its scorer: reading, sending, writing.
        write_s: what a part costs its scorer besides: two fsyncs and a rename.
        call_s: what a call takes on the network.
        call_rows, part_rows: rows of a call, and of a part, which is written as a whole.
        queue_rows: rows that may wait at a server (--max-queued-bulk-rows).
        shards, scorers: pieces of the input, and pods that work on one piece at a time.
        server_mtbf_s, scorer_mtbf_s: mean time until one of them dies; infinity for never.
        server_restart_s, scorer_restart_s: until it works again.
        slow, slow_speed: part of the servers that are slow, and their speed.
        noise: standard deviation of the logarithm of a call's cost.
        choices: servers of which a call takes the one with the fewest rows; 1 is at random.
    """

    rows: int = 1_000_000_000
    servers: int = 100
    cores: int = 4
    predict_s: float = 20e-6
    explain_s: float = 0.15
    explained: float = 0.02
    scorer_s: float = 4e-6
    write_s: float = 0.02
    call_s: float = 2e-3
    call_rows: int = 2_000
    part_rows: int = 10_000
    queue_rows: int = 8_192
    shards: int = 1_000
    scorers: int = 100
    server_mtbf_s: float = 6 * 3600.0
    server_restart_s: float = 60.0
    scorer_mtbf_s: float = 6 * 3600.0
    scorer_restart_s: float = 30.0
    slow: float = 0.05
    slow_speed: float = 0.5
    noise: float = 0.1
    choices: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be simulated."""
        if min(self.rows, self.servers, self.scorers, self.shards, self.call_rows, self.choices) < 1:
            raise ValueError("rows, servers, scorers, shards, rows of a call and choices are 1 or more")
        if self.part_rows % self.call_rows:
            raise ValueError(f"a part of {self.part_rows} rows is not a whole number of calls of {self.call_rows}")
        if self.call_rows > self.queue_rows:
            raise ValueError(f"a call of {self.call_rows} rows never fits a queue of {self.queue_rows}")

    @property
    def row_s(self) -> float:
        """Core seconds of a row at its server."""
        return self.predict_s + self.explained * self.explain_s


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        seconds, ideal_s: how long it took, and how long with every core busy all the time.
        end_s: from when on a scorer had no shard left to take; ``end_work_s`` is what servers had worked by then.
        core_speed: cores of all servers, slow ones as what they are worth.
        shards_done: how many are written.
        written_rows: rows in written parts.
        work_s: core seconds that servers worked; ``useful_s`` of them for rows that were written, the others lost.
        calls, refusals: calls that were sent, and servers that refused one.
        most_rows_held: rows of a scorer that were asked for and not written, at most: its memory.
    """

    seconds: float = 0.0
    ideal_s: float = 0.0
    end_s: float = math.inf
    end_work_s: float = 0.0
    core_speed: float = 0.0
    shards_done: int = 0
    written_rows: int = 0
    work_s: float = 0.0
    useful_s: float = 0.0
    lost_with_scorers_s: float = 0.0
    lost_with_servers_s: float = 0.0
    calls: int = 0
    refusals: int = 0
    server_deaths: int = 0
    scorer_deaths: int = 0
    most_rows_held: int = 0

    @property
    def lost(self) -> float:
        """Part of the servers' work that was for nothing."""
        return (self.lost_with_scorers_s + self.lost_with_servers_s) / self.work_s

    @property
    def slowest(self) -> float:
        """Part of the whole time that the last shards add: what the end took beyond its work on all cores."""
        work_s = self.work_s - self.end_work_s
        return max(0.0, self.seconds - self.end_s - work_s / self.core_speed) / self.seconds
