"""A server that is restarted under a client: every call that may be repeated gets its answer."""

import threading
from pathlib import Path

import explicate
from support.harness import TEXT, server_process


def test_a_restart_under_a_client_with_time_fails_no_call(tiny_repository: Path) -> None:
    stop = threading.Event()
    answered, failures = [0, 0], []

    def ask(caller: int, client: explicate.Client) -> None:
        while not stop.is_set():
            try:
                if caller:
                    client.explain("tiny", TEXT, max_evaluations=40)
                else:
                    client.predict("tiny", [TEXT])
                answered[caller] += 1
            except explicate.ServerError as error:
                failures.append(error)

    def wait_for(more: int) -> None:
        wanted = [count + more for count in answered]
        while any(count < goal for count, goal in zip(answered, wanted, strict=True)):
            assert threads[0].is_alive()
            stop.wait(0.05)

    with server_process(tiny_repository) as (_, address):
        client = explicate.Client(address, timeout_s=60)
        threads = [threading.Thread(target=ask, args=(caller, client), daemon=True) for caller in (0, 1)]
        for thread in threads:
            thread.start()
        wait_for(5)
    with server_process(tiny_repository, "--listen", address), client:  # the later of two --listen counts
        wait_for(5)
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
    assert failures == []
