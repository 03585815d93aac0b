"""The process that starts the others; the others are scripts of a few lines that say and do what a test wants."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from explicate_server.lifetime import Ending, StartError
from explicate_server.processes import supervisor as module
from explicate_server.processes.supervisor import EXIT_CRASH_LOOP, MOST_SHORT_LIVES, Supervisor, UnusableSetting
from explicate_server.settings import Settings
from support.harness import until

# A process that answers all that it is asked and, once it is told who it is, does its BEHAVIOUR.
_SCRIPT = """
import json, os, socket, sys
lines = socket.socket(fileno=int(sys.argv[1])).makefile("rwb", buffering=0)
birth = json.loads(lines.readline())
number, joins = birth["number"], birth["joins"]

def tell(name, **arguments):
    lines.write(json.dumps({"call": name, "number": 1, "with": arguments}).encode() + b"\\n")

def answer():
    asked = json.loads(lines.readline() or sys.exit(3))
    if "call" in asked:
        lines.write(json.dumps({"number": asked["number"], "answer": None}).encode() + b"\\n")
    return asked.get("call", "answered")

def answer_none():
    while True: lines.readline()

def serve_until(name):
    tell("join")
    while answer() != "answered": pass
    tell("ready")
    while answer() != name: pass

BEHAVIOUR
"""


def supervisor(behaviour: str, **changes: Any) -> Supervisor:
    """Two processes that behave so."""
    settings = Settings(processes=2, listen="127.0.0.1:1", drain_s=1.0, **changes)
    return Supervisor(settings, (sys.executable, "-c", _SCRIPT.replace("BEHAVIOUR", behaviour)))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.0)


async def until_stopped(tested: Supervisor, when: Any) -> int:
    """Serve, and stop when something has happened."""
    ending = Ending()
    serving = asyncio.create_task(tested.serve(ending))
    await until(lambda: serving.done() or when())
    ending.stop.set()
    return await serving


async def test_the_address_is_printed_once_all_serve_and_the_end_waits_for_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    printed: list[str] = []

    def when() -> bool:
        printed.append(capsys.readouterr().out)
        return bool(printed[-1])

    assert await until_stopped(supervisor("serve_until('drain')"), when) == 0
    assert "".join(printed) == "127.0.0.1:1\n"


async def test_calls_that_one_of_them_left_are_told_by_the_exit_code() -> None:
    tested = supervisor("serve_until('drain'); sys.exit(number - 1)")
    assert await until_stopped(tested, lambda: sum(bool(child.ready_s) for child in tested.children) == 2) == 1


async def ask_each(tested: Supervisor) -> None:
    """Once both serve, tell them something, on which the script of a test may end."""
    await until(lambda: len(tested.children) == 2 and all(child.ready_s for child in tested.children))
    await tested._share_health()


async def test_one_that_ends_is_replaced_under_its_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ended: list[int] = []
    tested = supervisor(
        "serve_until('drain' if joins or number == 2 else 'health'); joins or number == 2 or os.kill(os.getpid(), 9)"
    )
    tested.ended.append(ended.append)

    def replaced() -> bool:
        return any(child.joins and child.ready_s for child in tested.children)

    asking = asyncio.create_task(ask_each(tested))
    assert await until_stopped(tested, replaced) == 0
    await asking
    assert ended[:1] == [1]
    assert "process 1 is replaced in 0.0 s: it ended with signal SIGKILL" in caplog.text
    assert "process 1 serves, in the place of one that ended" in caplog.text


async def test_one_that_cannot_start_ends_all_in_its_own_words() -> None:
    tested = supervisor("tell('fatal', message='there is no bundle', code=1); answer(); sys.exit(1)")
    with pytest.raises(StartError, match="there is no bundle"):
        await tested.serve(Ending())
    assert not tested.children


async def test_a_setting_that_a_process_finds_unusable_is_one_of_the_operator() -> None:
    tested = supervisor("tell('fatal', message='there is no such device', code=2); answer(); sys.exit(2)")
    with pytest.raises(UnusableSetting, match="no such device"):
        await tested.serve(Ending())


async def test_one_that_dies_at_the_start_without_a_word_is_named() -> None:
    tested = supervisor("number == 2 and os.kill(os.getpid(), 11); serve_until('drain')")
    with pytest.raises(StartError, match="process 2 ended with signal SIGSEGV while the server started"):
        await tested.serve(Ending())


async def test_processes_that_end_one_after_another_end_the_server(caplog: pytest.LogCaptureFixture) -> None:
    tested = supervisor("joins and sys.exit(7); serve_until('drain' if number == 2 else 'health'); sys.exit(7)")
    asking = asyncio.create_task(ask_each(tested))
    assert await tested.serve(Ending()) == EXIT_CRASH_LOOP
    await asking
    assert caplog.text.count("is replaced") == MOST_SHORT_LIVES
    assert f"{MOST_SHORT_LIVES + 1} processes ended one after another" in caplog.text
    assert "exit code 7; the server ends" in caplog.text


async def test_one_that_hangs_is_killed_and_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_ASK_INTERVAL_S", 0.01)
    monkeypatch.setattr(module, "_HANGS_S", 2.0)
    tested = supervisor(
        "serve_until('drain' if joins or number == 2 else 'ping'); joins or number == 2 or answer_none()"
    )
    assert await until_stopped(tested, lambda: any(child.joins and child.ready_s for child in tested.children)) == 0
    assert "process 1 has not answered for 2 s; it is killed" in caplog.text


async def test_one_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LAST_S", 0.1)
    tested = supervisor("serve_until('never')")
    assert await until_stopped(tested, lambda: sum(bool(child.ready_s) for child in tested.children) == 2) == 1


def test_the_processes_do_not_import_what_lies_in_the_folder_they_start_in(tmp_path: Path) -> None:
    from explicate_server.processes.child import COMMAND

    assert "-P" in COMMAND
