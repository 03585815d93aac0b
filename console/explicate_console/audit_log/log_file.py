"""The audit log as a file: lines from its end towards its beginning, in blocks, however large it is.

A line is named by the offset of its first byte, and a file by its device and inode: one that was renamed, as logrotate
does, is another file from then on, and offsets of the old one mean nothing in the new one.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

BLOCK_BYTES = 1 << 20
# An image of 24 MiB in base64 makes a line of 32 MiB; nothing that the server writes is longer.
MOST_LINE_BYTES = 64 << 20
# The server writes the time first: `{"time": "2026-11-27T11:35:19.974825Z", ...`.
_TIME = re.compile(rb'\{"time": "(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z)"')
_TIME_BYTES = 64


class LogUnreadableError(Exception):
    """The log cannot be read as was asked; the message is a sentence for people."""


class LogLine(NamedTuple):  # not a dataclass: a search makes millions, at a third of the cost
    """A line. at: the offset of its first byte. text: None for a part of a line that is too long.

    torn: nothing ends it: it is being written, or a full disk cut it off.
    """

    at: int
    text: bytes | None
    torn: bool = False


class LogFile:
    """An open log, as long as it was when it was opened; use it in a `with` statement.

    identity: device and inode. size: bytes.
    """

    def __init__(self, path: Path) -> None:
        """Raises LogUnreadableError for what is missing, no plain file, or not for us to read."""
        try:
            if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for ever
                raise LogUnreadableError("What was given with --audit is not a plain file.")
            self._file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise LogUnreadableError(
                "The audit log is not there: the server has not begun it, or it was moved away and no explanation was"
                " answered since."
            ) from None
        except OSError as error:
            raise LogUnreadableError(f"The audit log cannot be opened: {error.strerror or error}.") from None
        status = os.fstat(self._file)
        self.identity = f"{status.st_dev:x}-{status.st_ino:x}"
        self.size = status.st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def check(self, identity: str, at: int) -> None:
        """Raise LogUnreadableError unless this is the file of an earlier answer, and still has that offset."""
        if identity != self.identity:
            raise LogUnreadableError(
                "The audit log was renamed meanwhile, and a new file was begun in its place; start again from the"
                " newest record."
            )
        if not 0 <= at <= self.size:
            raise LogUnreadableError("The audit log was made shorter meanwhile; start again from the newest record.")

    def lines_before(self, end: int, needles: Collection[bytes] = ()) -> Iterator[LogLine]:
        """Lines from `end`, where one begins or the file ends, to the beginning of the file; empty ones are left out.

        needles: lines of a block that does not have all of them may be left out, which is ten times as fast.
        A line that is too long is told without its text, block by block, so that the caller can stop.
        """
        unfinished = end == self.size  # no newline seen yet: what comes before the first one is torn
        too_long = False
        rest: list[bytes] = []  # of a line whose beginning is further to the front, its last block first
        at = end
        while at > 0:
            start = max(0, at - BLOCK_BYTES)
            block = self._read(start, at - start)
            first, last = block.find(b"\n"), block.rfind(b"\n")
            rest.append(block[last + 1 :])
            if first >= 0:
                if not too_long:
                    yield from _joined(start + last + 1, rest, torn=unfinished)
                unfinished = too_long = False
                yield from _whole(start + first + 1, block[first + 1 : last], needles)
                rest = [block[:first]]
            too_long = too_long or sum(map(len, rest)) > MOST_LINE_BYTES
            if too_long:
                rest = []
                yield LogLine(start, None)
            at = start
        yield from _joined(0, rest, torn=unfinished)

    def line_at(self, at: int) -> bytes:
        """The line that begins there; raises LogUnreadableError if none does."""
        if at and self._read(at - 1, 1) != b"\n":
            raise LogUnreadableError("No line of the audit log begins there.")
        blocks: list[bytes] = []
        for start in range(at, min(self.size, at + MOST_LINE_BYTES), BLOCK_BYTES):
            block, newline, _ = self._read(start, min(BLOCK_BYTES, self.size - start)).partition(b"\n")
            blocks.append(block)
            if newline:
                return b"".join(blocks)
        raise LogUnreadableError("The line does not end: it is being written, was cut off, or is too long.")

    def place_after(self, time: str) -> int:
        """Where a line begins from which on all are later than `time`, if the lines are in the order of their times.

        By halves, so that it takes some dozens of reads; what has no time to be read is taken for earlier.
        """
        earlier, later = 0, self.size
        while later - earlier > BLOCK_BYTES:
            middle = (earlier + later) // 2
            begins = self._next_line(middle, later)
            told = None if begins is None else time_of(self._read(begins, min(_TIME_BYTES, self.size - begins)))
            if begins is not None and told is not None and told > time:
                later = begins
            else:
                earlier = middle
        return later if later == self.size else self._next_line(max(0, later - 1), self.size) or self.size

    def _next_line(self, at: int, end: int) -> int | None:
        """Where the first line after `at` begins; None if none does before `end`."""
        for start in range(at, end, BLOCK_BYTES):
            found = self._read(start, min(BLOCK_BYTES, end - start)).find(b"\n")
            if found >= 0:
                return start + found + 1 if start + found + 1 < end else None
        return None

    def _read(self, at: int, length: int) -> bytes:
        try:
            held = os.pread(self._file, length, at)
        except OSError as error:
            raise LogUnreadableError(f"The audit log cannot be read: {error.strerror or error}.") from None
        if len(held) < length:
            raise LogUnreadableError("The audit log was made shorter while it was read; start again.")
        return held


def _whole(at: int, lines: bytes, needles: Collection[bytes]) -> Iterator[LogLine]:
    if not all(needle in lines for needle in needles):
        return
    ends = at + len(lines) + 1
    for line in reversed(lines.split(b"\n")):
        ends -= len(line) + 1
        if line:
            yield LogLine(ends, line)


def _joined(at: int, rest: list[bytes], *, torn: bool) -> Iterator[LogLine]:
    text = b"".join(reversed(rest))
    if text:
        yield LogLine(at, text, torn)


def time_of(line: bytes) -> str | None:
    """The time of a line, as `written_time` has it; None where it does not begin with one."""
    found = _TIME.match(line)
    return None if found is None else written_time(datetime.fromisoformat(found[1].decode()))


def written_time(time: datetime) -> str:
    """A time as the log has it, so that the order of texts is that of times."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
