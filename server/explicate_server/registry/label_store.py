"""Where labels point, kept on disk so that a restarted server serves what its operator chose.

``labels.json`` lies in the model's folder of the repository, beside the versions, or below ``--state-dir`` where the
repository cannot be written. It is replaced by one rename, so a reader sees the old one or the new one. It holds what
an operator changed and nothing else: one label is changed in what the file says at that moment, and a label "live" that
nobody has moved is not in it. A model whose "live" nobody has moved serves its newest intact version.
"""

import json
import math
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from explicate_bundle.repository import MAX_VERSION
from explicate_server.errors import NotServable


@dataclass(frozen=True)
class Traffic:
    """What the version labelled "canary" gets of the requests that name no version; both in [0, 1].

    Attributes:
        canary_share: share that it answers.
        shadow_share: share of the others that it answers too, in the background.
    """

    canary_share: float = 0.0
    shadow_share: float = 0.0

    def __post_init__(self) -> None:
        for share in (self.canary_share, self.shadow_share):
            if not (math.isfinite(share) and 0 <= share <= 1):
                raise ValueError(f"{share} is not a share; give a number from 0 to 1")

    def answers(self, digest: bytes) -> bool:
        """Whether the canary answers the request with this SHA-256 of its inputs.

        A larger share takes the same requests and more.
        """
        return _fraction(digest[:8]) < self.canary_share

    def shadows(self, digest: bytes) -> bool:
        """Whether the canary answers it too, if it was not its to answer."""
        return _fraction(digest[8:16]) < self.shadow_share


NO_TRAFFIC = Traffic()


def _fraction(digest: bytes) -> float:
    """In [0, 1), uniform over digests."""
    return int.from_bytes(digest, "big") / 2.0 ** (8 * len(digest))


LIVE = "live"
CANARY = "canary"
LABEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MAX_LABELS = 16
FILE_NAME = "labels.json"
_FORMAT = 1
_NEWEST = "newest"
_MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class LabelTarget:
    """Where a label points.

    Attributes:
        version: the version it points at.
        previous: the one it pointed at before; 0 if there was no other.
        newest: the newest one it ever pointed at, where that is neither of them; else 0.
    """

    version: int
    previous: int = 0
    newest: int = 0

    @property
    def newest_ever(self) -> int:
        """The newest version that it points or pointed at."""
        return max(self.version, self.previous, self.newest)

    def moved_to(self, version: int) -> "LabelTarget":
        """The same label once it points at ``version``."""
        newest = self.newest_ever
        return LabelTarget(version, self.version, newest if newest > max(version, self.version) else 0)


@dataclass(frozen=True)
class Assignment:
    """All that is kept of a model's labels.

    Attributes:
        follows_newest: "live" is the newest intact version, for no operator has moved or removed it.
    """

    labels: Mapping[str, LabelTarget] = field(default_factory=dict)
    traffic: Traffic = NO_TRAFFIC
    follows_newest: bool = True

    def with_label(self, label: str, target: LabelTarget | None) -> "Assignment":
        """The same with a label where an operator wants it; None removes it."""
        others = {name: other for name, other in self.labels.items() if name != label}
        return Assignment(
            others if target is None else {**others, label: target},
            NO_TRAFFIC if label == CANARY and target is None else self.traffic,
            self.follows_newest and label != LIVE,
        )

    def with_traffic(self, traffic: Traffic) -> "Assignment":
        """The same with other shares for the canary."""
        return replace(self, traffic=traffic)


class LabelFileError(Exception):
    """A label file cannot be used; the message says which and why.

    Attributes:
        may_be_whole: the disk did not give it; what is in it may be right.
    """

    def __init__(self, message: str, *, may_be_whole: bool = False) -> None:
        super().__init__(message)
        self.may_be_whole = may_be_whole


class LabelStore:
    """The label files below one folder; blocks, so it is used from threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Not the process id: servers in containers share a repository, and each of them is process 1.
        self._temporary_name = f".{FILE_NAME}.{secrets.token_hex(8)}"

    def read(self, model: str) -> Assignment | None:
        """What was kept of a model; None when there is nothing.

        Raises:
            LabelFileError: it cannot be read or understood.
        """
        path = self._path(model)
        try:
            if path.exists() and not path.is_file():  # a pipe would hold up the start for ever
                raise LabelFileError(f"{path} cannot be used: it is not a plain file; correct it or remove it")
            if path.stat().st_size > _MAX_BYTES:
                raise LabelFileError(f"{path} is larger than {_MAX_BYTES:,} bytes")
            return _parse(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LabelFileError(f"{path} cannot be read: {error.strerror}", may_be_whole=True) from error
        except (ValueError, RecursionError) as error:
            raise LabelFileError(f"{path} cannot be used: {error}; correct it or remove it") from error

    def check_writable(self, model: str) -> None:
        """Find out before a long load whether its end can be kept.

        Raises:
            NotServable: the file cannot be written.
        """
        path = self._path(model)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.temporary(path).write_bytes(b"")
            self.temporary(path).unlink()
        except OSError as error:
            raise _read_only(path, error) from error

    def update(
        self, model: str, change: Callable[[Assignment], Assignment], *, in_place_of_broken: Assignment | None = None
    ) -> None:
        """Change what is kept of a model; nothing is written where that is nothing new.

        ``in_place_of_broken`` is changed instead where the file cannot be understood.

        Raises:
            NotServable: the file cannot be read, understood or written; it is as it was.
        """
        try:
            kept = self.read(model) or Assignment()
        except LabelFileError as error:
            if in_place_of_broken is None or error.may_be_whole:
                raise NotServable("LABELS_UNREADABLE", str(error)) from error
            self.write(model, change(in_place_of_broken))
            return
        changed = change(kept)
        if len(changed.labels) > MAX_LABELS:
            raise NotServable("TOO_MANY_LABELS", f"{self._path(model)} has {MAX_LABELS} labels; remove one first")
        if changed != kept:
            self.write(model, changed)

    def write(self, model: str, assignment: Assignment) -> None:
        """Replace what is kept of a model.

        Raises:
            NotServable: the file cannot be written; the old one is as it was.
        """
        path = self._path(model)
        temporary = self.temporary(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as file:
                json.dump(_document(assignment), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()  # what a full disk has cut off
            raise _read_only(path, error) from error

    def _path(self, model: str) -> Path:
        return self._folder / model / FILE_NAME

    def temporary(self, path: Path) -> Path:
        """Where a file is written before it is renamed to ``path``."""
        return path.with_name(self._temporary_name)


def _read_only(path: Path, error: OSError) -> NotServable:
    return NotServable(
        "LABELS_READ_ONLY",
        f"{path} cannot be written ({error.strerror}), so labels stay as they are; "
        "make the folder writable, or keep labels elsewhere with --state-dir",
    )


def _document(assignment: Assignment) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        **({"live": _NEWEST} if assignment.follows_newest else {}),
        "labels": {name: _target_document(target) for name, target in sorted(assignment.labels.items())},
        "traffic": {
            "canary_share": assignment.traffic.canary_share,
            "shadow_share": assignment.traffic.shadow_share,
        },
    }


def _target_document(target: LabelTarget) -> dict[str, int]:
    newest = {"newest": target.newest} if target.newest else {}
    return {"version": target.version, "previous": target.previous, **newest}


def _parse(document: Any) -> Assignment:
    """Raises ValueError for everything that is not in the format."""
    try:
        if document["format"] != _FORMAT:
            raise ValueError(f"format is {document['format']!r}, not {_FORMAT}")
        labels = {_label(name): _target(target) for name, target in document["labels"].items()}
        traffic = Traffic(**{name: float(share) for name, share in document.get("traffic", {}).items()})
        follows = document.get("live")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not in the format: {type(error).__name__} {error}") from error
    if len(labels) > MAX_LABELS:
        raise ValueError(f"it has {len(labels)} labels; {MAX_LABELS} is the most")
    if follows not in (None, _NEWEST) or (follows and LIVE in labels):
        raise ValueError(f'"live" is {follows!r}; it may be "{_NEWEST}" where no label has that name, and absent else')
    return Assignment(labels, traffic, follows_newest=follows == _NEWEST)


def _label(name: str) -> str:
    if not LABEL_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a label")
    return name


def _target(target: Mapping[str, Any]) -> LabelTarget:
    version, previous, newest = target["version"], target.get("previous", 0), target.get("newest", 0)
    versions = (version, previous, newest)
    if set(map(type, versions)) != {int} or version < 1 or min(versions) < 0 or max(versions) > MAX_VERSION:
        raise ValueError(f"{dict(target)!r} is not a version")
    return LabelTarget(version, previous, newest)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
