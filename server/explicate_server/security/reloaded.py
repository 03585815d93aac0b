"""What a few files say, read again when one of them changes.

Certificates and tokens are replaced while the server runs. A replacement that cannot be read leaves the last good one
in use, and the log says so once for each change.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class Reloaded(Generic[_T]):
    """A value that follows its files. For any thread."""

    def __init__(self, read: Callable[[], _T], paths: Sequence[Path], *, what: str) -> None:
        """Read once; ``what`` names the value in the log.

        Raises:
            OSError, ValueError: whatever ``read`` does; there is nothing older to fall back on.
        """
        self._read = read
        self._paths = paths
        self._what = what
        self._lock = threading.Lock()
        # Taken before reading: files that change meanwhile look changed the next time.
        self._seen = self._look()
        self._value = read()

    def value(self) -> _T:
        """The newest value that could be read. Costs a look at each file, a few µs."""
        with self._lock:
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._reload()
            return self._value

    def _reload(self) -> None:
        try:
            self._value = self._read()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            _log.error("%s changed and cannot be used, so the last good ones stay: %s", self._what, _cause(error))
        else:
            _log.info("%s changed and are in use", self._what)

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_identity(path) for path in self._paths]


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()  # follows links: orchestrators swap one to replace a secret
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _cause(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
