"""Lines of the log on their way to stderr: a bounded queue and a thread.

A pipe that nobody drains takes 64 KiB; then each writer waits for its reader. Only the thread here waits. What comes
meanwhile is queued, then dropped and counted, and the log says how much once it is read again.
"""

import logging
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Hashable

# Lines that wait for a reader, and their bytes.
_MOST_WAITING = 1024
_MOST_WAITING_BYTES = 4 << 20
# Of warnings and errors alike so many have a line in each window; the others are counted.
WINDOW_S = 10.0
MOST_ALIKE = 20
# Kinds of lines told apart in one window; those beyond count as alike.
_MOST_KINDS = 1024
# What the end of the process waits for a reader.
_PATIENCE_S = 1.0
_MOST_QUOTED = 200
_STDERR = 2


def stderr_that_never_blocks() -> int:
    """The file that the log is written to. Where stderr is a pipe, other writers no longer wait for its reader.

    gRPC and ONNX Runtime write to stderr from threads that must not stop. Those of their lines that a full pipe does
    not take are lost. The pipe is opened anew for that: the flag of the one that was inherited is shared with others.
    """
    own = os.dup(_STDERR)
    if stat.S_ISFIFO(os.fstat(_STDERR).st_mode):
        try:
            opened = os.open(f"/proc/self/fd/{_STDERR}", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # not Linux, or there is no reader any more
            return own
        os.dup2(opened, _STDERR)
        os.close(opened)
    return own


class QueuedHandler(logging.Handler):
    """Hands each line to a thread of its own, which writes it to ``file``, a descriptor.

    A record's ``alike``, where it has one, says which other lines are like it; None means none is.

    Attributes:
        dropped: lines that were given up, because the file took none.
        repeated: lines that were left out, because they were alike.
    """

    def __init__(self, file: int) -> None:
        super().__init__()
        self.dropped = 0
        self.repeated = 0
        self._file = file
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._writing = False
        self._closed = False
        self._untold = 0
        self._alike: dict[Hashable, _Kind] = {}
        self._window_began_s = time.monotonic()
        self._thread = threading.Thread(target=self._write_on, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, unless there were too many like it."""
        try:
            with self._changed:
                self._tell_repeats()
                if self._is_repeated(record):
                    return
                self._put(self.format(record))
        except Exception:  # as logging asks of handlers
            self.handleError(record)

    def flush(self) -> None:
        """Wait until all lines are written, but not long for a reader."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines and not self._writing, _PATIENCE_S)

    def close(self) -> None:
        """Write what can be written, and end the thread."""
        with self._changed:
            self._tell_repeats(window_s=0.0)
            self._closed = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE_S)
        super().close()

    def _put(self, text: str) -> None:
        line = text.encode("utf-8", "backslashreplace") + b"\n"
        if len(self._lines) >= _MOST_WAITING or self._bytes + len(line) > _MOST_WAITING_BYTES:
            self._drop()
            return
        self._lines.append(line)
        self._bytes += len(line)
        self._changed.notify_all()

    def _drop(self) -> None:
        self.dropped += 1
        self._untold += 1

    def _is_repeated(self, record: logging.LogRecord) -> bool:
        key: Hashable = getattr(record, "alike", (record.name, record.levelno, record.msg))
        if key is None or record.levelno < logging.WARNING:
            return False
        key = key if key in self._alike or len(self._alike) < _MOST_KINDS else ()
        kind = self._alike.setdefault(key, _Kind(record.getMessage()[:_MOST_QUOTED]))
        kind.count += 1
        self.repeated += kind.count > MOST_ALIKE
        return kind.count > MOST_ALIKE

    def _tell_repeats(self, window_s: float = WINDOW_S) -> None:
        """At the end of a window one line for each kind of which some were left out."""
        now_s = time.monotonic()
        if now_s - self._window_began_s < window_s:
            return
        kinds, self._alike, self._window_began_s = self._alike.values(), {}, now_s
        for kind in kinds:
            if kind.count > MOST_ALIKE:
                self._note("%d more lines like this one were left out: %s", kind.count - MOST_ALIKE, kind.example)

    def _note(self, message: str, *args: object) -> None:
        self._put(self.format(logging.LogRecord(__name__, logging.WARNING, "", 0, message, args, None)))

    # The thread's own from here on.

    def _write_on(self) -> None:
        while (line := self._next()) is not None:
            written = _write(self._file, line)
            with self._changed:
                self._writing = False
                if not written:
                    self._drop()
                elif self._untold and not self._lines:
                    untold, self._untold = self._untold, 0
                    self._note("%d lines of the log were dropped, because nobody read them", untold)
                self._changed.notify_all()

    def _next(self) -> bytes | None:
        """The next line, as soon as there is one; None once the handler is closed and all are written."""
        with self._changed:
            while not self._lines:
                if self._closed:
                    return None
                self._changed.wait(WINDOW_S)
                self._tell_repeats()
            line = self._lines.popleft()
            self._bytes -= len(line)
            self._writing = True
            return line


class _Kind:
    """Lines alike in the window: how many, and the first of them."""

    def __init__(self, example: str) -> None:
        self.count = 0
        self.example = example


def _write(file: int, line: bytes) -> bool:
    """Write a whole line, however long its reader takes; False if the file cannot take it."""
    while line:
        try:
            line = line[os.write(file, line) :]
        except BlockingIOError:  # stderr was made so by whoever started us
            select.select([], [file], [])
        except OSError:
            return False
    return True
