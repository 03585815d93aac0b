"""What happens to a connection: a server that restarts, a proxy of the environment, several event loops."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import explicate
from explicate._wire.retries import FIRST_ATTEMPTS, Attempts
from explicate.errors import ErrorDetails
from support.canned.canned_server import CannedServer, model_status, serve


def unavailable(retry_after_s: float | None = None) -> explicate.Unavailable:
    return explicate.Unavailable("draining", ErrorDetails("UNAVAILABLE", retry_after_s=retry_after_s))


class TestAttempts:
    def test_a_server_that_never_answered_is_given_up_soon(self):
        attempts = Attempts("Predict", 30.0)
        pauses = [attempts.pause_s(unavailable(), has_answered=False) for _ in range(FIRST_ATTEMPTS)]
        assert pauses[-1] is None
        assert all(pause is not None and pause < 1 for pause in pauses[:-1])

    def test_a_server_that_has_answered_is_waited_for_as_long_as_the_call_may_take(self):
        attempts = Attempts("Explain", 3600.0)
        assert all((attempts.pause_s(unavailable(), has_answered=True) or 9) <= 2.4 for _ in range(100))
        assert Attempts("Explain", 0.01).pause_s(unavailable(), has_answered=True) is None

    def test_without_a_timeout_there_is_no_last_attempt(self):
        attempts = Attempts("Explain", None)
        assert attempts.left_s is None
        assert all(attempts.pause_s(unavailable(), has_answered=True) for _ in range(100))

    def test_a_server_that_says_how_long_it_takes_is_believed(self):
        pause = Attempts("Predict", 30.0).pause_s(unavailable(5.0), has_answered=True)
        assert pause is not None
        assert 4 <= pause <= 6

    def test_clients_do_not_all_come_back_at_once(self):
        pauses = {Attempts("Predict", 30.0).pause_s(unavailable(5.0), has_answered=True) for _ in range(10)}
        assert len(pauses) > 1

    @pytest.mark.parametrize(
        ("method", "failure"),
        [
            ("LoadModel", unavailable()),
            ("ActivateVersion", unavailable()),
            ("Predict", explicate.Overloaded("full", ErrorDetails("RESOURCE_EXHAUSTED", retry_after_s=1.0))),
            ("Predict", explicate.InternalError("no", ErrorDetails("INTERNAL"))),
        ],
    )
    def test_what_changes_something_or_would_not_help_is_asked_once(self, method, failure):
        assert Attempts(method, 30.0).pause_s(failure, has_answered=True) is None


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
