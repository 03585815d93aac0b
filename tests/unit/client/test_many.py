"""Many inputs at once: what each one's call becomes, what is held, what ends all; also without a loop."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest

import explicate
from explicate.bulk.in_flight import InFlight, Turns
from explicate.bulk.in_thread import in_thread
from explicate.bulk.many import Outcome, ask_many
from explicate.errors import ErrorDetails, ServerError

FULL = explicate.Overloaded("full", ErrorDetails("RESOURCE_EXHAUSTED", reason="QUEUE_FULL", retry_after_s=0.001))
AWAY = explicate.Unavailable("away", ErrorDetails("UNAVAILABLE", reason="DRAINING"))
LATE = explicate.DeadlineExceeded("late", ErrorDetails("DEADLINE_EXCEEDED", reason="DEADLINE_PASSED"))
BROKEN = explicate.InternalError("broken", ErrorDetails("INTERNAL"))
BAD_INPUT = explicate.InvalidArgument("bad", ErrorDetails("INVALID_ARGUMENT", violations=(("input.text", "is empty"),)))
BAD_OPTION = explicate.InvalidArgument("bad", ErrorDetails("INVALID_ARGUMENT", violations=(("options.seed", "no"),)))
NO_MODEL = explicate.NotFound("no such model", ErrorDetails("NOT_FOUND", reason="MODEL_NOT_FOUND"))


class Server:
    """Answers `asked` with ten times the number; `failures` are what a number's calls meet before that."""

    def __init__(self, failures: dict[int, list[ServerError]] | None = None) -> None:
        self.failures = failures or {}
        self.calls: list[int] = []
        self.under_way: set[int] = set()
        self.most = 0
        self.held: dict[int, asyncio.Event] = {}

    async def __call__(self, asked: int) -> int:
        self.calls.append(asked)
        self.under_way.add(asked)
        self.most = max(self.most, len(self.under_way))
        try:
            await (self.held[asked].wait() if asked in self.held else asyncio.sleep(0))
            if self.failures.get(asked):
                raise self.failures[asked].pop(0)
            return 10 * asked
        finally:
            self.under_way.discard(asked)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the test's time cap bounds it
        await asyncio.sleep(0)


def turns(size=4) -> Turns:
    return Turns(InFlight(size, has_answered=True, uniform=lambda low, _: low))


async def outcomes_of(inputs, server: Server, size=4, **options) -> list[Outcome[int, int]]:
    return [outcome async for outcome in ask_many(inputs, server, turns(size), **options)]


async def test_outcomes_come_in_the_order_of_the_inputs():
    server = Server()
    server.held[0] = asyncio.Event()
    taken = []
    async with aclosing(ask_many(range(20), server, turns())) as outcomes:
        first = asyncio.ensure_future(anext(outcomes))
        await until(lambda: len(server.calls) == 8)  # two for each place: held for the first
        assert not first.done()
        server.held[0].set()
        taken.append(await first)
        taken += [outcome async for outcome in outcomes]
    assert [(outcome.index, outcome.input, outcome.result) for outcome in taken] == [
        (number, number, 10 * number) for number in range(20)
    ]
    assert server.most == 4


async def test_or_as_they_are_done():
    server = Server()
    server.held[0] = asyncio.Event()
    taken = []
    async for outcome in ask_many(range(5), server, turns(), ordered=False):
        taken.append(outcome.index)
        if len(taken) == 4:
            server.held[0].set()
    assert taken == [1, 2, 3, 4, 0]


@pytest.mark.parametrize("failure", [FULL, AWAY])
async def test_an_input_that_found_no_room_is_asked_again_until_it_does(failure):
    server = Server({2: [failure] * 3})
    assert [outcome.result for outcome in await outcomes_of(range(5), server)] == [0, 10, 20, 30, 40]
    assert server.calls.count(2) == 4


@pytest.mark.parametrize("failure", [LATE, BROKEN])
async def test_what_may_have_been_one_servers_fault_is_asked_once_more(failure):
    server = Server({1: [failure], 2: [failure, failure]})
    outcomes = await outcomes_of(range(4), server)
    assert [outcome.error for outcome in outcomes] == [None, None, failure, None]
    assert server.calls.count(2) == 2
    with pytest.raises(type(failure)):
        _ = outcomes[2].result


async def test_a_bad_input_costs_nobody_else_anything():
    server = Server({1: [BAD_INPUT]})
    outcomes = await outcomes_of(range(4), server)
    assert [outcome.answer for outcome in outcomes] == [0, BAD_INPUT, 20, 30]
    assert sorted(server.calls) == [0, 1, 2, 3]


@pytest.mark.parametrize("failure", [BAD_OPTION, NO_MODEL])
async def test_what_is_wrong_for_all_ends_all(failure):
    server = Server({3: [failure]})
    server.held[0] = asyncio.Event()  # never set: only a cancel ends it
    with pytest.raises(type(failure)):
        await outcomes_of(itertools.count(), server)
    assert not server.under_way


async def test_what_the_inputs_raise_ends_all():
    def inputs():
        yield 1
        raise OSError("the disk is gone")

    server = Server()
    with pytest.raises(OSError, match="the disk is gone"):
        await outcomes_of(inputs(), server)
    assert not server.under_way


async def test_an_endless_iterator_is_read_only_as_outcomes_are_taken():
    read = 0

    async def endless() -> AsyncIterator[int]:
        nonlocal read
        for number in itertools.count():
            read += 1
            yield number

    taken = 0
    async with aclosing(ask_many(endless(), Server(), turns())) as outcomes:
        async for _ in outcomes:
            taken += 1
            for _ in range(20):
                await asyncio.sleep(0)  # whatever can go on does
            assert read <= taken + 8
            if taken == 50:
                break


async def test_closing_cancels_the_calls_under_way_and_frees_their_places():
    server = Server()
    server.held = {number: asyncio.Event() for number in range(1, 10)}
    shared = turns()
    async with aclosing(ask_many(range(10), server, shared)) as outcomes:
        await anext(outcomes)
        await until(lambda: len(server.under_way) == 4)
    assert not server.under_way
    assert shared.window.count == 0


async def test_two_runs_share_one_window():
    server, shared = Server(), turns(3)

    async def run() -> int:
        return len([outcome async for outcome in ask_many(range(20), server, shared)])

    assert await asyncio.gather(run(), run()) == [20, 20]
    assert server.most <= 3


def threads_of_calls() -> set[threading.Thread]:
    """Those that run; other tests may have left some to the collector."""
    return {thread for thread in threading.enumerate() if thread.name == "explicate-many"}


class TestInThread:
    def ask(self, server: Server, inputs, size=4):
        return in_thread(lambda values: ask_many(values, server, turns(size)), inputs, close=lambda: asyncio.sleep(0))

    def test_a_plain_program_gets_the_same_outcomes(self):
        assert [outcome.result for outcome in self.ask(Server(), range(50))] == list(range(0, 500, 10))
        assert list(self.ask(Server(), [])) == []

    async def test_and_so_does_one_within_an_event_loop_such_as_a_notebook(self):
        assert [outcome.result for outcome in self.ask(Server(), range(5))] == [0, 10, 20, 30, 40]

    def test_the_inputs_are_read_in_the_callers_thread_and_no_further_than_needed(self):
        threads, read = set(), []

        def inputs():
            for number in itertools.count():
                threads.add(threading.current_thread())
                read.append(number)
                yield number

        outcomes = self.ask(Server(), inputs())
        for taken in range(1, 30):
            next(outcomes)
            assert len(read) <= taken + 2 * 8
        outcomes.close()
        assert threads == {threading.current_thread()}

    def test_what_ends_all_is_raised_here_and_ends_the_thread(self):
        before = threads_of_calls()
        with pytest.raises(explicate.NotFound):
            list(self.ask(Server({3: [NO_MODEL]}), itertools.count()))
        with pytest.raises(ZeroDivisionError):
            list(self.ask(Server(), (1 // (3 - number) for number in itertools.count())))
        assert threads_of_calls() <= before

    def test_an_error_while_an_input_is_read_is_the_one_that_is_raised(self):
        def inputs():
            yield 0
            while threads_of_calls() > before:  # until the error of the first one has ended the thread
                pass

        before = threads_of_calls()
        with pytest.raises(explicate.NotFound):
            list(self.ask(Server({0: [NO_MODEL]}), inputs()))

    def test_closing_cancels_the_calls_under_way(self):
        server = Server()
        server.held = {number: asyncio.Event() for number in range(1, 10)}
        before = threads_of_calls()
        outcomes = self.ask(server, range(10))
        assert next(outcomes).result == 0
        outcomes.close()
        assert not server.under_way
        assert threads_of_calls() <= before
