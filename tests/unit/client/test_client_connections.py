"""What happens to a connection: a server that restarts, a proxy of the environment, several event loops."""

import asyncio
import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import explicate
from explicate._wire.channel import may_have_others
from explicate._wire.retries import Retries, RetryBudget
from explicate.errors import ErrorDetails
from support.canned.canned_server import CannedServer, model_status, serve

ONE, SEVERAL = "10.0.0.7:8500", "ipv4:10.0.0.7:8500,10.0.0.8:8500"


def unavailable(retry_after_s: float | None = None, reason: str = "") -> explicate.Unavailable:
    return explicate.Unavailable("draining", ErrorDetails("UNAVAILABLE", reason=reason, retry_after_s=retry_after_s))


def refused(reason: str = "TOO_MANY_EXPLANATIONS", retry_after_s: float = 1.0) -> explicate.Overloaded:
    return explicate.Overloaded("full", ErrorDetails("RESOURCE_EXHAUSTED", reason=reason, retry_after_s=retry_after_s))


def answered(target: str = ONE) -> Retries:
    retries = Retries(target)
    retries.attempts("Predict", None).answered()
    return retries


class TestAttempts:
    def test_a_server_that_never_answered_is_given_up_soon(self):
        attempts = Retries(ONE).attempts("Predict", 30.0)
        pauses = [attempts.pause_s(unavailable()) for _ in range(4)]
        assert pauses[-1] is None
        assert all(pause is not None and pause < 1 for pause in pauses[:-1])

    @pytest.mark.parametrize("target", [ONE, SEVERAL])
    def test_a_server_that_has_answered_is_waited_for_as_long_as_the_call_may_take(self, target):
        attempts = answered(target).attempts("Explain", 3600.0)
        assert all((attempts.pause_s(unavailable()) or 9) <= 2.4 for _ in range(100))
        assert answered(target).attempts("Explain", 0.001).pause_s(unavailable()) is None

    def test_so_is_one_that_says_itself_that_it_is_still_loading(self):
        attempts = Retries(ONE).attempts("Explain", 3600.0)
        assert all(attempts.pause_s(unavailable(1.0, "STARTING")) for _ in range(100))

    def test_but_not_by_a_call_that_its_caller_asks_again(self):
        attempts = answered().attempts("Explain", 3600.0, waits=False)
        assert [attempts.pause_s(unavailable()) is None for _ in range(4)] == [False, False, False, True]

    def test_without_a_timeout_there_is_no_last_attempt(self):
        attempts = answered().attempts("Explain", None)
        assert attempts.left_s is None
        assert all(attempts.pause_s(unavailable()) for _ in range(100))

    def test_a_server_that_says_how_long_it_takes_is_believed(self):
        pause = answered().attempts("Predict", 30.0).pause_s(unavailable(5.0))
        assert pause is not None
        assert 4 <= pause <= 6

    def test_clients_do_not_all_come_back_at_once(self):
        pauses = {answered().attempts("Predict", 30.0).pause_s(unavailable(5.0)) for _ in range(10)}
        assert len(pauses) > 1

    @pytest.mark.parametrize(
        ("method", "failure"),
        [
            ("LoadModel", unavailable()),
            ("ActivateVersion", unavailable()),
            ("LoadModel", refused()),
            ("Predict", refused("DEVICE_OUT_OF_MEMORY")),
            ("Predict", refused(retry_after_s=math.inf)),
            ("Predict", unavailable(math.inf)),
            ("Predict", explicate.MessageTooLarge("no", ErrorDetails("RESOURCE_EXHAUSTED"))),
            ("Predict", explicate.InternalError("no", ErrorDetails("INTERNAL"))),
        ],
    )
    @pytest.mark.parametrize("target", [ONE, SEVERAL])
    def test_what_changes_something_or_would_not_help_is_asked_once(self, target, method, failure):
        assert answered(target).attempts(method, 30.0).pause_s(failure) is None


class TestElsewhere:
    def test_one_full_server_is_not_asked_again(self):
        assert answered(ONE).attempts("Predict", 30.0).pause_s(refused()) is None

    @pytest.mark.parametrize("reason", ["TOO_MANY_EXPLANATIONS", "QUEUE_FULL", "CALLER_LIMIT", ""])
    def test_of_several_another_is_asked_at_once_and_then_more_and_more_slowly(self, reason):
        attempts = answered(SEVERAL).attempts("Predict", 3600.0)
        pauses = [attempts.pause_s(refused(reason)) or 0.0 for _ in range(40)]
        assert pauses[0] < 0.02
        assert all(0.8 <= pause <= 1.2 for pause in pauses[8:])  # what the servers ask for, at last

    def test_a_server_that_goes_away_is_left_at_once_too(self):
        pause_s = answered(SEVERAL).attempts("Predict", 30.0).pause_s(unavailable(1.0, "DRAINING"))
        assert pause_s is not None
        assert pause_s < 0.02

    def test_only_within_a_second_if_the_caller_asks_again(self):
        attempts = answered(SEVERAL).attempts("Explain", 3600.0, waits=False)
        pauses = [attempts.pause_s(refused()) for _ in range(10)]
        assert pauses[0] is not None
        assert sum(pause for pause in pauses if pause is not None) <= 1.0
        assert pauses[-1] is None

    def test_servers_that_are_all_full_are_soon_left_alone_until_one_answers(self):
        retries = answered(SEVERAL)
        asked = 0
        while retries.attempts("Predict", 30.0).pause_s(refused()) is not None:
            asked += 1
        assert asked < RetryBudget.MOST / 2
        assert retries.attempts("Predict", 30.0).pause_s(refused()) is None
        for _ in range(int(RetryBudget.MOST)):
            retries.attempts("Predict", 30.0).answered()
        assert retries.attempts("Predict", 30.0).pause_s(refused()) is not None

    def test_with_two_thirds_of_the_servers_full_it_goes_on_for_ever(self):
        retries = answered(SEVERAL)
        for _ in range(1000):
            attempts = retries.attempts("Predict", 30.0)
            assert attempts.pause_s(refused()) is not None
            assert attempts.pause_s(refused()) is not None
            attempts.answered()

    @pytest.mark.parametrize(
        ("target", "several"),
        [
            ("127.0.0.1:8500", False),
            ("10.0.0.7:8500", False),
            ("[2001:db8::1]:8500", False),
            ("ipv6:[2001:db8::1]:8500", False),
            ("ipv4:10.0.0.7:8500", False),
            ("localhost:8500", False),
            ("dns:///localhost:8500", False),
            ("unix:/run/explicate.sock", False),
            ("ipv4:127.0.0.1:8500,127.0.0.1:8501", True),
            ("ipv6:[::1]:8500,[::1]:8501", True),
            ("models.internal:8500", True),
            ("models", True),
            ("dns:///models.internal:8500", True),
            ("dns://10.0.0.1/models.internal:8500", True),
            ("xds:///models", True),
        ],
    )
    def test_which_targets_may_be_several(self, target, several):
        assert may_have_others(target) is several


def test_a_server_that_answered_before_is_waited_for_through_a_restart():
    state = CannedServer(models=[model_status("reviews")])
    with explicate.Client("127.0.0.1:1") as nobody, pytest.raises(explicate.Unavailable, match="cannot reach"):
        nobody.predict("reviews", ["a"])
    with serve(state):
        client = explicate.Client(state.target)
        client.predict("reviews", ["a"])
    answered = []
    caller = threading.Thread(target=lambda: answered.append(client.predict("reviews", ["b"])))
    caller.start()
    time.sleep(1.5)  # longer than the attempts at a server that never answered
    assert answered == []
    with serve(state, state.target), client:
        caller.join(timeout=20)
        assert len(answered) == 1


def test_a_call_that_waited_in_vain_says_what_was_wrong():
    state = CannedServer(models=[model_status("reviews")])
    with serve(state):
        client = explicate.Client(state.target)
        client.list_models()
    with client, pytest.raises(explicate.Unavailable, match=f"cannot reach a server at {state.target}"):
        client.predict("reviews", ["a"], timeout_s=0.5)


def test_a_stream_is_asked_again_until_it_begins_and_not_after(server):
    with explicate.Client(server.target) as client:
        client.list_models()
        server.unavailable_times = 6
        estimates = list(client.stream_explain("reviews", "good soup"))
    assert [estimate.final for estimate in estimates].count(True) == 1
    assert server.unavailable_times == 0


def test_one_asyncio_client_works_in_one_event_loop_after_another(server):
    client = explicate.AsyncClient(server.target)

    async def ask() -> int:
        return len((await client.predict("reviews", ["a"])).predictions)

    assert [asyncio.run(ask()) for _ in range(3)] == [1, 1, 1]


def test_one_asyncio_client_works_in_two_event_loops_at_once(server):
    client = explicate.AsyncClient(server.target)
    both = threading.Barrier(2)
    answers = []

    async def ask() -> None:
        await client.list_models()
        both.wait(timeout=20)  # both loops have a connection now
        answers.append(await client.predict("reviews", ["a"]))
        await client.close()

    threads = [threading.Thread(target=asyncio.run, args=(ask(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(answers) == 2


@contextmanager
def listening_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that keeps what it is told, and answers nothing."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(4096))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=10)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "dns:///localhost"])
def test_a_proxy_of_the_environment_never_sees_a_call_to_this_machine(server, host, monkeypatch):
    with listening_proxy() as (proxy, heard):
        for name in ("grpc_proxy", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy)
        target = server.target.replace("127.0.0.1", host)
        with explicate.Client(target, token="secret-of-the-test") as client:
            assert client.predict("reviews", ["a"]).predictions
        assert heard == []


def test_the_proxy_of_this_test_would_be_used_for_another_machine(monkeypatch):
    with listening_proxy() as (proxy, heard):
        monkeypatch.setenv("http_proxy", proxy)
        with explicate.Client("models.example:8500") as client, pytest.raises(explicate.ServerError):
            client.predict("reviews", ["a"], timeout_s=5)
        assert heard
        assert b"models.example" in heard[0]
