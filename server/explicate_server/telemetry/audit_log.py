"""The audit log: one line of JSON for each explanation that was answered, enough to ask for it again.

So has each override of the standard that the server requires: who let which version serve, why, and what was not met.

A line is in the file before the answer leaves, but for a disk that takes longer than a second: then the answer leaves,
and its line is written after it. A line that the file cannot take is lost, and so is one for which no more can wait:
the loss is counted, and the log says when it began and when it was over. None is lost in another way but with the
process: one that ends without writing what waits says how many lines that were. The file may be renamed at any time, as
logrotate does; the next line goes to a new one. Several processes write into one file, each its lines as a whole.
"""

import asyncio
import errno
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from functools import cache, partial
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate_server.call_record import CallRecord
from explicate_server.inference.asking.targets import ClassName, Target
from explicate_server.inference.explain_options import ResolvedOptions
from explicate_server.inference.explainer import Explained, ExplainedTable
from explicate_server.registry.records import ServedModel
from explicate_server.telemetry.logs import utc

# An answer waits this long for its line; a disk that hangs must not hold up the server.
_PATIENCE_S = 1.0
# What the end of the server waits for such a disk.
_PATIENCE_AT_END_S = 5.0
# Lines that may wait for a disk that hangs, each of some kilobytes; those beyond are lost.
_MOST_WAITING = 1024
# Attributions of more numbers are told by their digest only: 100 classes of 1,024 words would be a line of 2 MB.
_MOST_VALUES = 4096
_log = logging.getLogger(__name__)


class AuditLog:
    """An open audit log. Lines are written by a thread of its own.

    Attributes:
        written: lines in the file, since the start.
        lost: lines that could not be written.
    """

    def __init__(self, path: Path, *, with_inputs: bool = False, shared: bool = False) -> None:
        """Open the file for appending, readable for its owner only; the inputs are written only ``with_inputs``.

        ``shared``: other processes of this server write into it, too.

        Raises:
            OSError: it cannot be opened.
        """
        self.written = 0
        self.lost = 0
        self._with_inputs = with_inputs
        self._path = path
        self._shared = shared
        self._file = _open(path, shared=shared)
        self._torn = False
        self._failing = False
        self._waiting = 0
        self._counting = threading.Lock()  # the event loop and the writer count
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="audit")

    async def explained(self, told: Explained) -> None:
        """Write the line of an explanation."""
        await self._append_made(partial(audit_entry, told, with_input=self._with_inputs))

    async def table_explained(self, told: ExplainedTable) -> None:
        """Write the line of the explanation of a table."""
        await self._append_made(partial(table_audit_entry, told, with_input=self._with_inputs))

    async def write(self, entry: Mapping[str, Any]) -> bool:
        """Append a line; returns once it is in the file, is lost, or the disk takes too long, and whether it is there.

        Never raises.
        """
        return await self._append_made(lambda: entry)

    async def _append_made(self, made: Callable[[], Mapping[str, Any]]) -> bool:
        """The same with the entry made by the writer's thread: an image of 8 MiB as JSON takes 40 ms."""
        with self._counting:
            full = self._waiting >= _MOST_WAITING
            self._waiting += not full
        if full:
            self._lose(1, f"{_MOST_WAITING} lines wait for the disk")
            return False
        written = asyncio.wrap_future(self._writer.submit(self._append, made))
        await asyncio.wait({written}, timeout=_PATIENCE_S)
        return written.done() and written.result()

    def close(self, patience_s: float = _PATIENCE_AT_END_S) -> None:
        """Write what waits and close the file. Blocks, for a disk that hangs not longer than ``patience_s``."""
        closed = threading.Thread(target=self._writer.shutdown, daemon=True)
        closed.start()
        closed.join(patience_s)
        if closed.is_alive():
            self._lose(self._waiting, f"the disk hangs, and the server stops with {self._waiting} lines unwritten")
            return
        os.close(self._file)

    # The writer's own thread from here on.

    def _append(self, made: Callable[[], Mapping[str, Any]]) -> bool:
        try:
            self._reopen_if_renamed()
            line = json.dumps(made(), ensure_ascii=True).encode("ascii")
            with _alone_in(self._file) if self._shared else nullcontext():
                self._write_whole(line)
        except OSError as error:
            self._lose(1, error.strerror or str(error))
            return False
        finally:
            with self._counting:
                self._waiting -= 1
        self.written += 1
        if self._failing:
            self._failing = False
            _log.warning("the audit log %s is written again; %d lines were lost so far", self._path, self.lost)
        return True

    def _write_whole(self, line: bytes) -> None:
        # After a line that was cut off a new one begins, so that only the torn one cannot be read.
        torn = _ends_torn(self._file) if self._shared else self._torn
        data = (b"\n" if torn else b"") + line + b"\n"
        count = os.write(self._file, data)
        self._torn = count < len(data) and (self._torn or count > 0)
        if count < len(data):
            raise OSError(errno.ENOSPC, f"{count} of {len(data)} bytes were written")

    def _lose(self, lines: int, why: str) -> None:
        with self._counting:
            self.lost += lines
        if not self._failing:  # once, not for each line: the log may be on the same disk
            self._failing = True
            _log.error("lines of the audit log %s are being lost: %s", self._path, why)

    def _reopen_if_renamed(self) -> None:
        ours = os.fstat(self._file)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        if there is None or (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino):
            old, self._file = self._file, _open(self._path, shared=self._shared)
            os.close(old)


def _open(path: Path, *, shared: bool) -> int:
    file = os.open(path, (os.O_RDWR if shared else os.O_WRONLY) | os.O_APPEND | os.O_CREAT, 0o600)
    if os.name == "posix" and os.fstat(file).st_mode & 0o077:
        _log.warning("the audit log %s can be read by others than its owner; chmod 600 it", path)
    return file


@contextmanager
def _alone_in(file: int) -> Iterator[None]:
    """Keep other processes from writing: a disk that is full may take half of a line, and theirs would follow it."""
    import fcntl  # Windows does not have it, nor several processes that share a port

    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _ends_torn(file: int) -> bool:
    """Whether a line was cut off, by whichever process."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def audit_entry(told: Explained, *, with_input: bool) -> dict[str, Any]:
    """What the log says of an explanation; the input itself only ``with_input``.

    ``attributions_sha256`` is over the float64 bytes of the values, little-endian, output after output.
    """
    answer = told.answer
    return {
        **_asked(told.served, told.call, answer.options, with_input=with_input),
        "evaluations": answer.evaluations,
        "rounds": answer.rounds,
        "stop_reason": answer.stop_reason.value,
        # For asking for a cut one again: its rows, and those that its last round is missing.
        "cut_by_clock": answer.cut_by_clock,
        "fitted_evaluations": answer.fitted_evaluations,
        "unevaluated": answer.unevaluated,
        "input_sha256": told.value.digest.hex(),
        **_attributions(answer.attribution.values),
        **({"input": told.value.document()} if with_input else {}),
    }


def table_audit_entry(told: ExplainedTable, *, with_input: bool) -> dict[str, Any]:
    """What the log says of the explanation of a table, in one line; its columns only ``with_input``.

    ``evaluations`` and ``stop_reasons`` are those of each row. The bytes of ``attributions_sha256`` are output after
    output, and in each row after row.
    """
    answer = told.answer
    return {
        **_asked(told.served, told.call, answer.options, with_input=with_input),
        "rows": answer.rows,
        "evaluations": answer.evaluations.tolist(),
        "rounds": answer.rounds.tolist(),
        "stop_reasons": [reason.value for reason in answer.stop_reasons],
        "cut_by_clock": answer.cut_by_clock,
        "table_sha256": told.digest().hex(),
        **_attributions(answer.values),
        **({"table": told.table.document()} if with_input else {}),
    }


def _asked(served: ServedModel, call: CallRecord, options: ResolvedOptions, *, with_input: bool) -> dict[str, Any]:
    """Who asked whom for what."""
    manifest = served.bundle.manifest
    return {
        "time": utc(time.time()),
        "request_id": call.request_id,
        "call": call.method,
        "caller": call.caller,
        "model": manifest.model,
        "version": manifest.version,
        "bundle_digest": served.bundle.digest,
        "runtime": served.runtime.name,
        "precision": served.runtime.precision,
        "server_version": _server_version(),
        "method_version": options.method.version,
        "options": _options(options, with_input=with_input),
    }


def _attributions(values: NDArray[np.float64]) -> dict[str, Any]:
    """Their digest, and themselves where they are few; a row without any has null."""
    digest = sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()
    if values.size > _MOST_VALUES:
        return {"attributions_sha256": digest}
    told = values.astype(object)
    told[np.isnan(values)] = None  # JSON has no NaN
    return {"attributions_sha256": digest, "attributions": told.tolist()}


@cache
def _server_version() -> str:
    """Read once: it takes 2 ms, for which every answer would wait."""
    return version("explicate")


def _options(options: ResolvedOptions, *, with_input: bool) -> dict[str, Any]:
    """The options by the names that clients know; another input that is a baseline is told as the input itself is."""
    held = {item.name: getattr(options, item.name) for item in fields(options)}
    baseline = options.baseline and options.baseline.document(with_input=with_input)
    return held | {"method": options.method.name, "target": _target(options.target), "baseline": baseline}


def _target(target: Target) -> dict[str, Any] | None:
    if target.all:
        return {"all": True}
    if target.contrast:
        return {"contrast": {"target": target.contrast.target, "reference": target.contrast.reference}}
    name: ClassName | None = target.label if target.index is None else target.index
    return None if name is None else {"class": name}
