"""`explain_many` of both clients against the canned server."""

import asyncio
import itertools
import math
import threading

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

import explicate
from explicate.v1 import inference_service_pb2 as inference_pb
from support.canned.canned_server import CannedServer


@pytest.fixture(params=["Client", "AsyncClient"])
def explain_many(request, server: CannedServer):
    """`explain_many("reviews", inputs, take=n)` gives the outcomes, the first `take` of them, of either client."""

    def blocking(*given, take=None, **options):
        with explicate.Client(server.target) as client:
            outcomes = client.explain_many(*given, **options)
            taken = list(itertools.islice(outcomes, take))
            outcomes.close()
            return taken

    async def asynchronous(*given, take=None, **options):
        taken = []
        async with explicate.AsyncClient(server.target) as client:
            outcomes = client.explain_many(*given, **options)
            while take is None or len(taken) < take:
                try:
                    taken.append(await anext(outcomes))
                except StopAsyncIteration:
                    break
            await outcomes.aclose()
        return taken

    if request.param == "Client":
        return blocking
    return lambda *given, **options: asyncio.run(asynchronous(*given, **options))


def texts(count: int) -> list[str]:
    return [" ".join(["word"] * (1 + number)) for number in range(count)]


def test_each_input_has_its_own_explanation_in_order(explain_many, server):
    outcomes = explain_many("reviews", texts(30), method="kernel-shap", seed=7)
    assert [outcome.input for outcome in outcomes] == texts(30)
    assert [len(outcome.result.explanation.features) for outcome in outcomes] == list(range(1, 31))
    assert {request.spec.options.seed for request in server.requests} == {7}


def test_calls_are_bulk_unless_said_otherwise(explain_many, server):
    explain_many("reviews", texts(2))
    assert {request.spec.priority for request in server.requests} == {inference_pb.PRIORITY_BULK}
    server.requests.clear()
    explain_many("reviews", texts(2), priority="interactive")
    assert {request.spec.priority for request in server.requests} == {inference_pb.PRIORITY_INTERACTIVE}


def test_a_bad_input_costs_nobody_else_anything(explain_many):
    outcomes = explain_many("reviews", ["good tea", "", "\ud800", "bad tea"])
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None),
        explicate.InvalidArgument,
        explicate.InvalidArgument,  # not even sent
        type(None),
    ]


def test_a_wrong_option_ends_all_before_anything_is_sent(explain_many, server):
    with pytest.raises(explicate.InvalidArgument, match=r"options\.granularity"):
        explain_many("reviews", itertools.repeat("good tea"), granularity="letter")
    with pytest.raises(explicate.InvalidArgument, match="in_flight: must be"):
        explain_many("reviews", texts(2), in_flight=0)
    with pytest.raises(explicate.UsageError, match="an iterable of texts"):
        explain_many("reviews", "good tea")
    assert server.requests == []


def test_what_the_server_refuses_for_all_ends_all(explain_many, server):
    info = error_details_pb2.ErrorInfo(reason="RIGHT_MISSING", domain="explicate")
    server.status = status(code_pb2.PERMISSION_DENIED, info)
    with pytest.raises(explicate.PermissionDenied):
        explain_many("reviews", itertools.repeat("good tea"))
    assert len(server.requests) <= 8


def status(code: int, *details):
    made = status_pb2.Status(code=code, message="refused")
    for detail in details:
        made.details.add().Pack(detail)
    return made


def test_a_full_server_is_waited_for_and_a_restart_too(explain_many, server):
    server.status = status(
        code_pb2.RESOURCE_EXHAUSTED,
        error_details_pb2.ErrorInfo(reason="TOO_MANY_EXPLANATIONS", domain="explicate"),
        error_details_pb2.RetryInfo(retry_delay=Duration(nanos=1_000_000)),
    )
    has_room = threading.Timer(0.3, lambda: setattr(server, "status", None))
    has_room.start()
    server.unavailable_times = 3
    outcomes = explain_many("reviews", texts(12))
    has_room.join()
    assert [outcome.error for outcome in outcomes] == [None] * 12


def test_patience_has_an_end(explain_many, server):
    server.unavailable_times = 10**6
    with pytest.raises(explicate.Unavailable):
        explain_many("reviews", texts(3), patience_s=0.0)
    server.unavailable_times = 0
    with pytest.raises(explicate.InvalidArgument, match="patience_s"):
        explain_many("reviews", texts(3), patience_s=math.nan)


def test_an_endless_iterator_is_read_as_outcomes_are_taken(explain_many):
    read = 0

    def endless():
        nonlocal read
        for number in itertools.count():
            read += 1
            yield f"text {number}"

    outcomes = explain_many("reviews", endless(), take=40, in_flight=4)
    assert [outcome.input for outcome in outcomes] == [f"text {number}" for number in range(40)]
    assert read <= 40 + 2 * 8


async def test_closing_cancels_the_calls_at_the_server(server):
    server.hold = True
    async with explicate.AsyncClient(server.target) as client:
        outcomes = client.explain_many("reviews", itertools.repeat("good tea"), in_flight=2)
        first = asyncio.ensure_future(anext(outcomes))
        assert await asyncio.to_thread(server.entered.wait, 20)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await outcomes.aclose()
        assert await asyncio.to_thread(server.ended.wait, 20)


def test_an_address_where_nobody_ever_answered_is_reported_soon_and_not_after_all_patience():
    with explicate.Client("127.0.0.1:1") as nobody, pytest.raises(explicate.Unavailable, match="cannot reach"):
        next(nobody.explain_many("reviews", itertools.repeat("good tea")))
