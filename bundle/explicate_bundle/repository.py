"""The folder of bundles, ``repository/<model>/<version>/``, as a listing of names that can be trusted as paths.

An entry that cannot be read, has gone meanwhile or is not what its place asks for costs itself only: the others are
listed, and it is named with its reason. Hidden names are nobody's mistake and are not mentioned: publishers write there
before their one rename, and volumes of Kubernetes keep their contents there (``..data``).

A link in the place of a model or of a version is followed as long as it stays below the repository, the way
RESOLVE_BENEATH of openat2(2) does: each link on the way is relative, and no step leaves. So a ConfigMap or a layout of
releases is served, and a link never makes the server read what its operator did not name. What is listed is the folder
that the link leads to: a link that is turned meanwhile does not mix two versions. The repository itself may be a link.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explicate_bundle.manifest import MODEL_NAME

MAX_VERSION = 2**31 - 1
"""The largest version: the wire has it as an int32."""
# Files of a model that are no versions: where its labels point (see the server's label store).
_OF_A_MODEL = ("labels.json",)
# Links on the way to one folder; Linux allows as many: path_resolution(7).
_MOST_LINKS = 40


@dataclass(frozen=True, order=True)
class BundleLocation:
    """Where one version of a model lies."""

    model: str
    version: int
    folder: Path


@dataclass(frozen=True, order=True)
class PassedOver:
    """An entry that is not served: its path below the repository, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path!r} ({self.reason})"


def list_models(repository: Path) -> tuple[list[str], list[PassedOver]]:
    """The names of the models, in order, and the entries that are none.

    A model whose folder cannot be looked at is among the names: whoever lists it learns why.

    Raises:
        OSError: the repository cannot be read.
    """
    names, passed_over = list[str](), list[PassedOver]()
    for name in sorted(entry.name for entry in repository.iterdir()):
        try:
            if not _is_hidden(name):
                names.append(_model_name(repository, name))
        except (OSError, _NotServedError) as error:
            passed_over.append(PassedOver(name, _why(error)))
    return names, passed_over


def list_versions(repository: Path, model: str) -> tuple[list[BundleLocation], list[PassedOver]]:
    """The published versions of one model, in order, and the entries that are none.

    Nothing if there is no such model, or if the name is malformed. A version whose folder cannot be looked at is
    listed: whoever reads it learns why.

    Raises:
        OSError: the model's folder cannot be read.
    """
    locations, passed_over = list[BundleLocation](), list[PassedOver]()
    try:
        if not MODEL_NAME.fullmatch(model):
            return [], []
        folder = _folder(repository, model)
        entries = sorted(entry.name for entry in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError, _NotServedError):
        return [], []
    for name in entries:
        try:
            if not _is_hidden(name) and name not in _OF_A_MODEL:
                locations.append(_location(repository, folder, model, name))
        except (OSError, _NotServedError) as error:
            passed_over.append(PassedOver(f"{model}/{name}", _why(error)))
    return sorted(locations), passed_over


class _NotServedError(Exception):
    """An entry is not what its place asks for; the message says why."""


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "it has gone, or is a link to nowhere"
    return f"it cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _model_name(repository: Path, name: str) -> str:
    if not MODEL_NAME.fullmatch(name):
        raise _NotServedError(
            "not a model's name: lower-case letters, digits, '.', '_' and '-', a letter or digit first, 64 at most"
        )
    _folder_or_unreadable(repository, name)
    return name


def _location(repository: Path, folder: Path, model: str, name: str) -> BundleLocation:
    if not _is_version(name):
        raise _NotServedError(f"not a version: those are whole numbers from 1 to {MAX_VERSION:,}, without zeros before")
    return BundleLocation(
        model, int(name), _folder_or_unreadable(repository, *folder.relative_to(repository).parts, name)
    )


def _folder_or_unreadable(root: Path, *names: str) -> Path:
    """As :func:`_folder`; what is there and cannot be looked at is taken for a folder, and reading it will say why."""
    try:
        folder = _folder(root, *names)
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise _NotServedError("it is not a folder")
    except FileNotFoundError:
        raise
    except OSError:
        return root.joinpath(*names)
    return folder


def _folder(root: Path, *names: str) -> Path:
    """The path ``root/names…`` with every link followed, each of which must stay below ``root``.

    Raises:
        OSError: it cannot be looked at.
        _NotServedError: a link leaves ``root``.
    """
    steps, done, links = list(reversed(names)), list[str](), 0
    while steps:
        step = steps.pop()
        if step == "..":
            if not done:
                raise _NotServedError("it is a link out of the repository, which is not followed")
            done.pop()
            continue
        path = root.joinpath(*done, step)
        if not stat.S_ISLNK(os.lstat(path).st_mode):
            done.append(step)
            continue
        links += 1
        steps += _steps_of_link(path.readlink(), links)
    return root.joinpath(*done)


def _steps_of_link(target: Path, links: int) -> Iterator[str]:
    if target.is_absolute():
        raise _NotServedError("it is an absolute link, which is not followed; relative ones inside the repository are")
    if links > _MOST_LINKS:
        raise _NotServedError("it is a link that leads in a circle")
    return reversed(target.parts)


def _is_version(name: str) -> bool:
    digits = name.isascii() and name.isdigit() and not name.startswith("0") and len(name) <= len(str(MAX_VERSION))
    return digits and int(name) <= MAX_VERSION


def in_words(passed_over: Sequence[PassedOver], *, most: int = 8) -> str:
    """The entries for a sentence, the first ``most`` of them by name; empty if there are none."""
    told = ", ".join(map(str, passed_over[:most]))
    return f"{told} and {len(passed_over) - most} more" if len(passed_over) > most else told
