"""What was measured so far, on disk: a line for each input or part, so that an evaluation that was killed goes on.

The file's name is the digest of all that the figures depend on (the bundle's files, the rows, the options, the
evaluator's version), so what is found there is what would be measured again, bit for bit. A line is written at once and
put on disk; one that was cut short by the end of the process is dropped.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self  # JSON values

from explicate.errors import UsageError

_OURS = 0o700


def partial_folder() -> Path:
    """Where parts of evaluations are kept: below XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "explicate" / "evaluations"


class PartialFile:
    """The inputs measured so far. Only one process may hold it.

    Attributes:
        known: what was measured, by name, by the input's place.
    """

    def __init__(self, key: Mapping[str, Any], folder: Path | None = None) -> None:
        """Open the file of an evaluation, `key` being all that its figures depend on.

        Raises:
            UsageError: another process measures the same, or the folder cannot be written.
        """
        folder = partial_folder() if folder is None else folder
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self.path = folder / f"{digest}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=_OURS)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise UsageError(
                f"{self.path} cannot be written ({error.strerror}): set XDG_CACHE_HOME to a folder of yours"
            ) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise UsageError("another process measures the same bundle on the same rows: wait for it") from None
        self.known: dict[int, dict[str, Any]] = self._read()

    def _read(self) -> dict[int, dict[str, Any]]:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        known: dict[int, dict[str, Any]] = {}
        for line in content[:whole].splitlines():
            try:
                place, measured = json.loads(line)
                known[int(place)] = dict(measured)
            except (ValueError, TypeError):
                whole = 0  # not as it was written: measured anew, all of it
                known.clear()
                break
        os.ftruncate(self._file, whole)
        return known

    def add(self, place: int, measured: Mapping[str, Any]) -> None:
        """Keep what was measured on an input."""
        os.write(self._file, json.dumps([place, measured], allow_nan=False).encode() + b"\n")
        os.fsync(self._file)

    def finish(self) -> None:
        """Remove it: all was measured."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
