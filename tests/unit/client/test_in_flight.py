"""The window of calls in flight, on a clock and with chances of the test's own."""

import asyncio
import math

import pytest

import explicate
from explicate.bulk.in_flight import FIRST_SIZE, PATIENCE_S, InFlight, Place, Turns
from explicate.errors import ErrorDetails

FULL = explicate.Overloaded("full", ErrorDetails("RESOURCE_EXHAUSTED", reason="QUEUE_FULL", retry_after_s=1.0))
AWAY = explicate.Unavailable("cannot reach", ErrorDetails("UNAVAILABLE"))
STARTING = explicate.Unavailable("loading", ErrorDetails("UNAVAILABLE", reason="STARTING", retry_after_s=2.0))
LATE = explicate.DeadlineExceeded("late", ErrorDetails("DEADLINE_EXCEEDED", reason="DEADLINE_PASSED"))
SILENCE = explicate.DeadlineExceeded("no answer", ErrorDetails("DEADLINE_EXCEEDED"))
BAD = explicate.InvalidArgument("bad", ErrorDetails("INVALID_ARGUMENT"))


class Clock:
    """A clock that the test sets, and chances that are always `chance` of their range."""

    def __init__(self, chance: float = 0.0) -> None:
        self.now_s = 100.0
        self.chance = chance

    def __call__(self) -> float:
        return self.now_s

    def uniform(self, low: float, high: float) -> float:
        return low + self.chance * (high - low)

    def window(self, size="auto", **options) -> InFlight:
        return InFlight(size, clock=self, uniform=self.uniform, **options)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def fill(window: InFlight) -> list[Place]:
    places = []
    while window.wait_s() == 0:
        places.append(window.begin())
    return places


def refuse_one(window: InFlight) -> None:
    """Refuse one call of a full window, answer the others, and go on when the pause is over."""
    first, *others = fill(window)
    assert window.end(first, FULL)
    for place in others:
        window.end(place)


class TestSize:
    def test_it_begins_small_and_doubles_with_each_window_until_a_refusal(self, clock):
        window = clock.window(most=64)
        places = fill(window)
        for _ in range(20):
            window.end(places.pop(0))
            places += fill(window)
        assert window.size == FIRST_SIZE + 20

    def test_after_a_refusal_a_whole_window_of_answers_lets_one_more_in(self, clock):
        window = clock.window()
        refuse_one(window)
        clock.now_s += 10
        size, places, answers = window.size, fill(window), 0
        while window.size < size + 3:
            window.end(places.pop(0))
            places += fill(window)
            answers += 1
        # size, size + 1 and size + 2 answers, up to what the sum of 1 / n rounds
        assert abs(answers - (3 * size + 3)) <= 3

    def test_a_refusal_halves_it_once_a_window(self, clock):
        window = clock.window()
        places = fill(window)
        for _ in range(28):
            window.end(places.pop(0))
            places += fill(window)
        assert window.size == 32
        for place in places:
            assert window.end(place, FULL)
        assert window.size == 16
        clock.now_s += 10
        window.end(window.begin(), FULL)
        assert window.size == 8

    def test_it_never_falls_below_one(self, clock):
        window = clock.window()
        for _ in range(10):
            window.end(window.begin(), FULL)
            clock.now_s += 10
        assert window.size == 1

    def test_a_refusal_of_a_call_that_began_before_the_pause_does_not_hide_the_next(self, clock):
        window = clock.window(most=8)
        early = [window.begin() for _ in range(4)]
        window.end(early.pop(), FULL)
        clock.now_s += 10
        window.end(early.pop())
        window.end(early.pop())
        late = window.begin()
        window.end(early.pop(), FULL)  # old news
        assert window.size == 2
        window.end(late, FULL)
        assert window.size == 1

    def test_it_does_not_grow_while_the_inputs_come_too_slowly_to_fill_it(self, clock):
        window = clock.window()
        for _ in range(100):
            window.end(window.begin())
        assert window.size == FIRST_SIZE

    def test_it_does_not_grow_beyond_its_cap(self, clock):
        window = clock.window(most=6)
        places = fill(window)
        for _ in range(50):
            window.end(places.pop(0))
            places += fill(window)
        assert window.size == 6
        assert clock.window(most=2).size == 2

    def test_calls_that_take_long_do_not_let_it_grow(self, clock):
        window = clock.window(slow_s=7.5)
        places = fill(window)
        clock.now_s += 8
        for place in places:
            window.end(place)
        assert window.size == FIRST_SIZE

    def test_an_input_that_is_refused_is_an_answer_like_any(self, clock):
        window = clock.window()
        places = fill(window)
        assert not window.end(places[0], BAD)
        assert window.size == FIRST_SIZE + 1

    def test_a_number_stays_as_it_is(self, clock):
        window = clock.window(16)
        places = fill(window)
        assert len(places) == 16
        for place in places[:8]:
            assert window.end(place, FULL)
        for place in places[8:]:
            window.end(place)
        assert window.size == 16


class TestPauses:
    def test_the_servers_wish_is_honoured_and_spread_upwards(self):
        for chance in (0.0, 0.5, 1.0):
            clock = Clock(chance)
            window = clock.window()
            window.end(window.begin(), FULL)
            assert window.wait_s() == pytest.approx(1.0 * (1 + 0.5 * chance))

    def test_calls_that_were_under_way_do_not_make_the_pause_longer(self, clock):
        window = clock.window()
        places = fill(window)
        window.end(places[0], FULL)
        clock.now_s += 0.5
        for place in places[1:]:
            window.end(place, FULL)
        assert window.wait_s() == pytest.approx(0.5)

    def test_while_nobody_answers_the_pauses_grow_to_an_end(self, clock):
        window = clock.window(has_answered=True)
        pauses = []
        for _ in range(12):
            assert window.end(window.begin(), AWAY)
            pauses.append(window.wait_s())
            clock.now_s += pauses[-1]
        assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[5.0] * 6])
        assert window.size == FIRST_SIZE  # a restart says nothing of room
        window.end(window.begin())
        window.end(window.begin(), AWAY)
        assert window.wait_s() == pytest.approx(0.1)

    def test_the_rate_counts_inputs(self, clock):
        window = clock.window(8, rate=10.0)
        window.begin()
        assert window.wait_s() == pytest.approx(0.1)
        clock.now_s += 0.1
        window.begin(5)
        assert window.wait_s() == pytest.approx(0.5)
        clock.now_s += 100  # time that was not used is not made up for
        window.begin()
        assert window.wait_s() == pytest.approx(0.1)


class TestPatience:
    def test_a_server_that_never_answered_is_not_waited_for(self, clock):
        with pytest.raises(explicate.Unavailable):
            clock.window().end(Place(1, 100.0), AWAY)
        with pytest.raises(explicate.DeadlineExceeded):
            clock.window().end(Place(1, 100.0), SILENCE)

    @pytest.mark.parametrize("failure", [FULL, STARTING])
    def test_a_server_that_says_why_is_waited_for(self, clock, failure):
        window = clock.window()
        assert window.end(window.begin(), failure)

    @pytest.mark.parametrize(("patience_s", "lasts_s"), [(None, PATIENCE_S), (7.0, 7.0)])
    @pytest.mark.parametrize("failure", [FULL, STARTING, AWAY, SILENCE])
    def test_it_counts_from_the_first_failure_after_an_answer(self, clock, patience_s, lasts_s, failure):
        window = clock.window(patience_s=patience_s)
        window.end(window.begin())
        clock.now_s += 1000
        window.end(window.begin(), failure)
        clock.now_s += lasts_s - 0.1
        window.end(window.begin(), failure)
        window.end(window.begin())
        window.end(window.begin(), failure)
        clock.now_s += lasts_s + 0.1
        with pytest.raises(type(failure)):
            window.end(window.begin(), failure)

    def test_refusals_beside_own_calls_in_flight_do_not_end_it(self, clock):
        window = clock.window(patience_s=0.0)
        mine = window.begin()
        assert window.end(window.begin(), FULL)
        window.end(mine)
        with pytest.raises(explicate.Overloaded):
            window.end(window.begin(), FULL)


def test_calls_that_run_out_of_time_halve_it_without_a_pause(clock):
    window = clock.window()
    places = fill(window)
    assert not any(window.end(place, LATE) for place in places)
    assert window.size == FIRST_SIZE // 2
    assert window.wait_s() == 0


def test_what_is_too_much_by_itself_is_not_for_later(clock):
    window = clock.window()
    reasons = ErrorDetails("RESOURCE_EXHAUSTED", reason="DEVICE_OUT_OF_MEMORY", retry_after_s=1.0)
    assert not window.end(window.begin(), explicate.Overloaded("too little memory", reasons))
    pushed_back = ErrorDetails("RESOURCE_EXHAUSTED", reason="QUEUE_FULL", retry_after_s=math.inf)
    assert not window.end(window.begin(), explicate.Overloaded("never", pushed_back))
    assert window.size == FIRST_SIZE


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("in_flight", {"size": 0}),
        ("in_flight", {"size": "many"}),
        ("most_in_flight", {"most": 0}),
        ("rate", {"rate": 0.0}),
        ("rate", {"rate": math.nan}),
        ("patience_s", {"patience_s": -1.0}),
        ("patience_s", {"patience_s": math.nan}),
    ],
)
def test_a_value_without_sense_is_refused_by_name(field, options):
    with pytest.raises(explicate.InvalidArgument, match=f"^{field}: must be"):
        InFlight(**options)


class TestTurns:
    async def test_the_earliest_input_is_next(self):
        turns, begun = Turns(InFlight(1)), []

        async def ask(order: int) -> None:
            place = await turns.take(order)
            begun.append(order)
            await asyncio.sleep(0)
            turns.end(place)

        await asyncio.gather(*(ask(order) for order in (3, 2, 5, 1, 4)))
        assert begun == [3, 1, 2, 4, 5]
        assert turns.window.count == 0

    async def test_a_turn_that_is_cancelled_is_the_next_ones(self):
        turns = Turns(InFlight(1))
        place = await turns.take(0)
        waiting = [asyncio.create_task(turns.take(order)) for order in (1, 2, 3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        turns.end(place)  # the turn of 2 comes, and 2 goes at the same moment
        waiting[1].cancel()
        await asyncio.wait(waiting[:2])
        await waiting[2]
        assert turns.window.count == 1

    async def test_after_a_pause_it_goes_on_by_itself(self):
        turns = Turns(InFlight(rate=1000.0))
        await asyncio.gather(*(turns.take(order) for order in range(FIRST_SIZE)))
        assert turns.window.count == FIRST_SIZE
