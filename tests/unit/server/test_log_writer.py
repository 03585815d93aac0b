"""The log on its way to stderr: nobody waits for its reader, and what is left out is counted and told."""

import logging
import os
import re
import threading
from collections.abc import Iterator

import pytest

from explicate_server.telemetry.log_writer import MOST_ALIKE, QueuedHandler
from explicate_server.telemetry.logs import JsonFormatter, TextFormatter


class Pipe:
    """A pipe whose reader reads when told, and a handler that writes to it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.handler = QueuedHandler(self.writer)
        self.handler.setFormatter(TextFormatter())

    def log(self, level: int, message: str, *arguments: object, **extra: object) -> None:
        record = logging.makeLogRecord({"name": "n", "levelno": level, "msg": message, "args": arguments, **extra})
        self.handler.handle(record)

    def lines(self) -> list[str]:
        """All that was written, once the handler is closed."""
        read: list[bytes] = []

        def drain() -> None:
            while part := os.read(self.reader, 1 << 16):
                read.append(part)

        reading = threading.Thread(target=drain)
        reading.start()
        self.handler.flush()
        self.handler.close()
        os.close(self.writer)
        reading.join()
        return b"".join(read).decode().splitlines()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reader)


def test_a_log_that_nobody_reads_holds_up_nobody_and_says_what_it_dropped(pipe: Pipe) -> None:
    for number in range(5000):  # would wait for ever at the first line that the pipe does not take
        pipe.log(logging.INFO, "line %d %s", number, "x" * 200)
    dropped = pipe.handler.dropped
    assert dropped > 0
    lines = pipe.lines()
    numbers = [int(found[1]) for line in lines if (found := re.search(r"line (\d+) x{200}$", line))]
    assert len(numbers) + dropped == 5000
    assert numbers == sorted(numbers)
    (note,) = [line for line in lines if "lines of the log were dropped" in line]
    assert f" {dropped} lines" in note


def test_of_warnings_alike_some_are_written_and_the_others_counted(pipe: Pipe) -> None:
    for _ in range(100):
        pipe.log(logging.WARNING, "call from %s failed", "a", alike=("Predict", "a"))
        pipe.log(logging.WARNING, "call from %s failed", "b", alike=("Predict", "b"))
        pipe.log(logging.WARNING, "tiny is live", alike=None)  # a change: each has its line
        pipe.log(logging.INFO, "what an operator asked for")
    assert pipe.handler.repeated == 2 * (100 - MOST_ALIKE)
    text = "\n".join(pipe.lines())
    assert text.count("tiny is live") == text.count("operator asked for") == 100
    for caller in ("a", "b"):
        assert text.count(f" n: call from {caller} failed") == MOST_ALIKE
        assert f"{100 - MOST_ALIKE} more lines like this one were left out: call from {caller} failed" in text


def test_a_file_that_takes_nothing_costs_lines_only(pipe: Pipe) -> None:
    os.close(pipe.reader)  # EPIPE from now on
    for _ in range(10):
        pipe.log(logging.INFO, "line")
    pipe.handler.flush()
    pipe.handler.close()
    assert pipe.handler.dropped >= 10
    pipe.reader = os.open(os.devnull, os.O_RDONLY)


_FORGERIES = [
    "a\n2026-01-01 ERROR stolen",
    "a\r\x1b[2K\x1b]0;title\x07",
    "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b",
    "a\u202ecba\u2066\u200f\u061c",
    "a\x00\x7f\x9b31m",
    "a\ud800",
]


@pytest.mark.parametrize("text", _FORGERIES)
@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_what_a_caller_wrote_cannot_forge_a_line_or_reach_the_terminal(text: str, formatter: logging.Formatter) -> None:
    record = logging.makeLogRecord({"name": "n", "levelname": "INFO", "msg": "words: %s", "args": (text,)})
    line = formatter.format(record)
    assert line.isprintable()
    assert "words: a" in line


def test_a_trace_is_indented_and_its_text_forges_nothing_either() -> None:
    try:
        int("bad\n2026-01-01 00:00:00 ERROR stolen\x1b[2J")
    except ValueError as error:
        trace = (type(error), ValueError("bad\n2026-01-01 ERROR stolen\x1b[2J"), error.__traceback__)
    record = logging.makeLogRecord({"name": "n", "levelname": "ERROR", "msg": "failed", "exc_info": trace})
    first, *others = TextFormatter().format(record).split("\n")
    assert first.endswith("n: failed")
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others)
    assert TextFormatter().format(logging.makeLogRecord({"msg": "größe 茶 😀"})).endswith("größe 茶 😀")
