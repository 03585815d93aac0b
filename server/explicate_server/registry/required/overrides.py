"""Overrides: a version serves though it does not meet the standard, for a reason that somebody gave.

An override is kept as long as its version is loaded, in a file beside the model's labels, so that a version that a
label wants comes back after a restart and still says by what it serves. Other processes of this server read it there,
too. The file counts only if this server's own user has written it: one who may publish bundles must not let them serve.
"""

import json
import logging
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any  # JSON values

from explicate_bundle.standard.gate import Unmet
from explicate_server.errors import NotServable

_FORMAT = 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Override:
    """One that was given.

    Attributes:
        bundle_digest: of the version; other files under its number are not meant.
        who, why, time: the token's name, the reason, and when, in UTC.
        unmet: requirement and reason of each that was not met, as it was known then.
    """

    bundle_digest: str
    who: str
    why: str
    time: str
    unmet: tuple[tuple[str, str], ...]

    def unknown(self, unmet: Sequence[Unmet]) -> list[str]:
        """Requirements among those that are unmet which were not when it was given, so that it does not excuse them."""
        known = {requirement for requirement, _ in self.unmet}
        return list(dict.fromkeys(one.requirement or "its record" for one in unmet if one.requirement not in known))


class OverrideStore:
    """The files of overrides below the folder that has the labels; blocks, so it is used from threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, model: str, version: int, bundle_digest: str) -> Override | None:
        """The override of a version with these files; None without one. One that cannot be trusted is in the log."""
        path = self._path(model, version)
        try:
            if not _is_own(path.lstat()):
                _log.error("%s does not count: it must be a plain file that this server's user alone may write", path)
                return None
            override = _override(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            _log.error("%s does not count: %s: %s", path, type(error).__name__, error)
            return None
        return override if override.bundle_digest == bundle_digest else None

    def write(self, model: str, version: int, override: Override) -> None:
        """Keep an override, in the place of an older one.

        Raises:
            NotServable: it cannot be kept, so it would be forgotten at the next restart.
        """
        path = self._path(model, version)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, **asdict(override)}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            detail = f"{path} cannot be written ({error.strerror}); make the folder writable, or give --state-dir"
            raise NotServable("OVERRIDE_NOT_KEPT", detail) from error

    def clear(self, model: str, version: int, override: Override | None = None) -> None:
        """Forget an override; if one is given only that, for another one may have been given meanwhile."""
        if override is None or self.read(model, version, override.bundle_digest) == override:
            with suppress(OSError):  # mostly there is none
                self._path(model, version).unlink()

    def _path(self, model: str, version: int) -> Path:
        return self._folder / model / f".override-{version}.json"


def _is_own(status: os.stat_result) -> bool:
    ours = os.geteuid() if hasattr(os, "geteuid") else status.st_uid
    others_may_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISREG(status.st_mode) and status.st_uid == ours and not others_may_write


def _override(document: Any) -> Override:
    if document["format"] != _FORMAT:
        raise ValueError("format")
    texts = [document[name] for name in ("bundle_digest", "who", "why", "time")]
    unmet = tuple((requirement, reason) for requirement, reason in document["unmet"])
    if not all(isinstance(text, str) for text in (*texts, *(text for pair in unmet for text in pair))):
        raise TypeError("text")
    bundle_digest, who, why, time = texts
    return Override(bundle_digest, who, why, time, unmet)
