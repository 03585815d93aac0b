"""Admission: limits in all and by caller, and nothing kept of callers who are done."""

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explicate_server.call_record import counted_as
from explicate_server.errors import Overloaded
from explicate_server.inference.admission import Admission, Seat, caller_of


@pytest.fixture
def admission() -> Admission:
    return Admission(max_explanations=8, max_evaluations_per_caller=100)


def test_explanations_over_the_limit_are_refused_until_one_ends() -> None:
    admission = Admission(max_explanations=3, max_evaluations_per_caller=100)
    with admission.explanation("a"), admission.explanation("b"):
        with admission.explanation("c"):
            with pytest.raises(Overloaded, match="3 explanations") as caught, admission.explanation("d"):
                pass
            assert (caught.value.reason, caught.value.retry_after_s > 0) == ("TOO_MANY_EXPLANATIONS", True)
        with admission.explanation("d"):
            assert admission.in_progress == 3
    assert admission.in_progress == 0


def test_a_caller_has_half_of_the_seats_at_most_and_others_find_one(admission: Admission) -> None:
    with ExitStack() as seats:
        for _ in range(4):
            seats.enter_context(admission.explanation("a"))
        with pytest.raises(Overloaded, match="4 explanations of yours") as caught, admission.explanation("a"):
            pass
        assert caught.value.reason == "CALLER_LIMIT"
        for caller in ("b", "b", "c", "d"):
            seats.enter_context(admission.explanation(caller))
        with pytest.raises(Overloaded) as caught, admission.explanation("e"):
            pass
        assert caught.value.reason == "TOO_MANY_EXPLANATIONS"
    assert admission.in_progress == 0


def test_evaluations_are_counted_by_caller_and_given_back(admission: Admission) -> None:
    with admission.explanation("a") as first, admission.explanation("a") as second:
        first.reserve(60)
        second.reserve(40)
        with admission.explanation("b") as other:
            other.reserve(100)
        with admission.explanation("a") as third, pytest.raises(Overloaded) as caught:
            third.reserve(1)
        assert caught.value.reason == "CALLER_LIMIT"
        assert admission.evaluations_by_caller == {"a": 100}
    assert admission.evaluations_by_caller == {}
    assert admission.refusals == {"CALLER_LIMIT": 1}


def test_what_was_refused_is_not_counted_and_less_may_still_fit(admission: Admission) -> None:
    with admission.explanation("a") as first, admission.explanation("a") as second:
        first.reserve(60)
        with pytest.raises(Overloaded):
            second.reserve(41)
        second.reserve(40)


def test_a_single_explanation_is_let_in_whatever_it_needs(admission: Admission) -> None:
    """Refusing it would be for ever, and "try again later" a lie; options have a limit of their own."""
    with admission.explanation("a") as seat:
        seat.reserve(90)
        seat.reserve(5000)
        with admission.explanation("a") as second, pytest.raises(Overloaded):
            second.reserve(1)


def test_an_explanation_that_fails_gives_its_place_back(admission: Admission) -> None:
    def fail() -> None:
        with admission.explanation("a") as seat:
            seat.reserve(100)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert admission.in_progress == 0
    assert admission.evaluations_by_caller == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 150), st.booleans()), max_size=40))
def test_whatever_comes_and_goes_a_caller_is_over_the_limit_only_with_one_explanation(
    steps: list[tuple[str, int, bool]],
) -> None:
    admission = Admission(max_explanations=1000, max_evaluations_per_caller=100)
    open_blocks = []
    seats: list[tuple[str, Seat]] = []
    for caller, evaluations, leaves in steps:
        if leaves and seats:
            open_blocks.pop(0).__exit__(None, None, None)
            seats.pop(0)
        else:
            block = admission.explanation(caller)
            seat = block.__enter__()
            open_blocks.append(block)
            seats.append((caller, seat))
            try:
                seat.reserve(evaluations)
            except Overloaded:
                assert seat.evaluations == 0
        for name in "abc":
            held = [item.evaluations for owner, item in seats if owner == name and item.evaluations]
            assert admission.evaluations_by_caller.get(name, 0) == sum(held)
            assert sum(held) <= 100 or len(held) == 1
    for block in open_blocks:
        block.__exit__(None, None, None)
    assert (admission.in_progress, admission.evaluations_by_caller) == (0, {})


@pytest.mark.parametrize(
    ("peer", "caller"),
    [
        ("ipv4:10.0.0.7:53412", "ipv4:10.0.0.7"),
        ("ipv6:%5B::1%5D:53412", "ipv6:%5B::1%5D"),
        ("ipv6:[2001:db8::7]:53412", "ipv6:[2001:db8::7]"),
        ("unix:", "unix:"),
        ("unix:/run/explicate.sock", "unix:/run/explicate.sock"),
    ],
)
def test_a_caller_is_its_address_without_the_port(peer: str, caller: str) -> None:
    assert caller_of(peer) == caller


@pytest.mark.parametrize(
    ("caller", "counted"),
    [
        ("ipv4:10.0.0.7", "ipv4:10.0.0.7"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D", "ipv6:2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::7]", "ipv6:2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:3::7]", "ipv6:2001:db8:1:3::/64"),
        ("ipv6:%5Bfe80::7%25eth0%5D", "ipv6:fe80::/64"),
        ("ipv6:%5B::1%5D", "ipv6:%5B::1%5D"),
        ("ipv6:[::ffff:10.0.0.7]", "ipv4:10.0.0.7"),
        ("ipv6:nonsense", "ipv6:nonsense"),
        ("unix:", "unix:"),
        ("token:shop", "token:shop"),
    ],
)
def test_limits_count_an_address_of_ipv6_as_its_network(caller: str, counted: str) -> None:
    assert counted_as(caller) == counted
