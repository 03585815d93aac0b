"""The queue of one class: rows leave in order of age, with others of about their length, each exactly once."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from explicate_server.runtime.queue import Entry, Row, RowQueue, Ticket

MOST_TOKENS = 64


def entry(sequence: int, length: int, ticket: Ticket | None = None, *, caller: str = "") -> Entry:
    return Entry(sequence, ticket or Ticket(1, 1, caller), 0, Row(length, np.zeros((1, length))), 0.0)


def most_rows(length: int) -> int:
    return MOST_TOKENS // length


def take(queue: RowQueue) -> list[Entry]:
    return queue.take(list(queue.callers), most_rows) if queue.rows else []


def sequences(batch: list[Entry]) -> list[int]:
    return [item.sequence for item in batch]


def test_the_oldest_row_is_always_in_the_next_batch_however_long_it_is() -> None:
    queue = RowQueue()
    for sequence, length in enumerate((8, 500, 8, 8)):
        queue.put(entry(sequence, length))
    assert sequences(take(queue)) == [0, 2, 3]
    assert sequences(take(queue)) == [1]
    assert take(queue) == []


def test_a_batch_fills_up_with_shorter_rows_but_not_much_shorter_ones() -> None:
    queue = RowQueue()
    for sequence, length in enumerate((16, 12, 11, 17)):
        queue.put(entry(sequence, length))
    assert sequences(take(queue)) == [0, 1, 2]  # 11 shares the bucket of 12; 17 would make all rows longer


def test_the_wait_of_the_oldest_row_is_told_over_all_callers_and_lengths() -> None:
    queue = RowQueue()
    assert queue.oldest_s(now_s=100.0) == 0.0
    for sequence, (length, caller, arrived_s) in enumerate(((40, "a", 90.5), (8, "a", 92.0), (8, "b", 99.0))):
        queue.put(replace(entry(sequence, length, caller=caller), arrived_s=arrived_s))
    assert queue.oldest_s(now_s=100.0) == 9.5
    queue.take(["a"], lambda _length: 1)  # its oldest
    assert queue.oldest_s(now_s=100.0) == 8.0
    queue.clear()
    assert queue.oldest_s(now_s=100.0) == 0.0


def test_rows_of_a_ticket_that_left_are_gone_and_nobody_elses() -> None:
    queue = RowQueue()
    leaver, stayer = Ticket(2, 1), Ticket(2, 1)
    for sequence, (length, ticket) in enumerate(((8, leaver), (8, stayer), (20, leaver), (20, stayer))):
        queue.put(entry(sequence, length, ticket))
    assert queue.drop(leaver) == 2
    assert queue.drop(leaver) == 0
    assert queue.rows == 2
    assert sequences(take(queue) + take(queue)) == [1, 3]
    assert not queue.callers


@settings(max_examples=100)
@given(st.lists(st.one_of(st.tuples(st.just("put"), st.integers(0, 5), st.integers(1, 40)), st.just(("take",)),
                          st.tuples(st.just("drop"), st.integers(0, 5)))))  # fmt: skip
def test_whatever_is_put_taken_and_dropped_each_row_leaves_once(steps: list[tuple[object, ...]]) -> None:
    queue, tickets = RowQueue(), [Ticket(1, 1) for _ in range(6)]
    waiting: dict[int, Entry] = {}
    for sequence, step in enumerate(steps):
        if step[0] == "put":
            waiting[sequence] = entry(sequence, step[2], tickets[step[1]])  # type: ignore[arg-type,call-overload]
            queue.put(waiting[sequence])
        elif step[0] == "drop":
            ticket = tickets[step[1]]  # type: ignore[call-overload]
            leaving = [number for number, item in waiting.items() if item.ticket is ticket]
            assert queue.drop(ticket) == len(leaving)
            for number in leaving:
                del waiting[number]
        else:
            batch = take(queue)
            lengths = [item.row.length for item in batch]
            assert bool(batch) == bool(waiting)
            if batch:
                # Buckets are four tokens wide: from the oldest row's bucket down to three quarters of it.
                bucket = -(-waiting[min(waiting)].row.length // 4)
                assert min(waiting) in sequences(batch)
                assert max(lengths) <= 4 * bucket
                assert min(lengths) > 4 * (int(0.75 * bucket) - 1)
                assert len(batch) == 1 or len(batch) * 4 * bucket <= MOST_TOKENS
            for number in sequences(batch):
                del waiting[number]
        assert queue.rows == len(waiting)
    assert sorted(sequences(queue.clear())) == sorted(waiting)
    assert queue.rows == 0
