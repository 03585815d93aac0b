"""A file of rows: what is known of it once it was looked through, and how a format is read; and which files are meant.

A format reads Arrow tables. Beside the columns of the file these have `PROBLEM`, which says of a row what is wrong with
it as a whole, such as a line with too many cells.
"""

from __future__ import annotations

import glob
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from explicate.errors import UsageError

PROBLEM = "\0problem"  # no column of a file has this name
AS_JSON = {b"json": b"yes"}
ROWS_AT_ONCE = 1024  # rows read from a file in one step, whatever a batch has

_WHOLE_BYTES = 1 << 30
_BLOCK_BYTES, _BLOCKS = 1 << 20, 1024
_GLOB_SIGNS = frozenset("*?[")


@dataclass(frozen=True)
class FileIndex:
    """What looking through a file found. It can be kept as JSON, so that a resumed run need not look again.

    sha256: of the content, see `fingerprint`. marks: where in the text the rows number 0, `marks_every`, ... begin, in
    bytes of the unpacked text; facts: what values each column has, by name; layout: how the text is written. These
    three are empty for files that say it themselves.
    """

    path: str
    size_bytes: int
    sha256: str
    rows: int
    marks: tuple[int, ...] = ()
    facts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    layout: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """The columns of all files of a run.

    raw: as a file is read, for the model; the metadata `AS_JSON` marks one whose texts are JSON, because its values are
    of several types. typed: as they go along to the output.
    """

    raw: pa.Schema
    typed: pa.Schema


class RowFormat(ABC):
    """A format of files of rows."""

    name: ClassVar[str]

    @abstractmethod
    def look(self, path: Path, known: Collection[str], fingerprint: tuple[int, str]) -> FileIndex:
        """Look through a file; `known` are columns that it should have. Raises UsageError for what cannot be read."""

    @abstractmethod
    def columns(self, files: Sequence[FileIndex]) -> Columns:
        """The columns of all files; raises UsageError where these do not go together."""

    @abstractmethod
    def resume_point(self, file: FileIndex, row: int) -> int:
        """The last row up to `row` at which reading can begin."""

    @abstractmethod
    def read(self, file: FileIndex, start: int, columns: pa.Schema) -> Iterator[pa.Table]:
        """Some columns, and `PROBLEM`, of the rows from a resume point on, in tables of a few rows."""


def fingerprint(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256, in hexadecimal, of a file.

    Of more than 1 GiB only 1,024 blocks of 1 MiB are read, evenly spread from the first to the last byte: a change of
    one value in between may then go unseen, one of the length does not.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        if size <= _WHOLE_BYTES:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        else:
            for number in range(_BLOCKS):
                file.seek((size - _BLOCK_BYTES) * number // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK_BYTES))
    return size, digest.hexdigest()


def find(paths: Sequence[str], suffixes: Collection[str]) -> list[Path]:
    """The files that are meant, each once: of a folder or a glob in the order of their names.

    Files whose name begins with a dot or an underscore are not rows. Raises UsageError for what has no file.
    """
    if not paths:
        raise UsageError("there is no input: give files, folders or globs")
    found = [file for given in paths for file in _meant(given, suffixes)]
    seen: set[Path] = set()
    for file in found:
        if (real := file.resolve()) in seen:
            raise UsageError(f"{file} is given twice: its rows would be scored twice")
        seen.add(real)
    return found


def _meant(given: str, suffixes: Collection[str]) -> list[Path]:
    if given == "-":
        raise UsageError("rows cannot be read from stdin, which cannot be read again: save them to a file")
    path = Path(given)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and _is_of_rows(file, suffixes))
        if not files:
            raise UsageError(f"there is no file of rows in the folder {given} ({', '.join(sorted(suffixes))})")
        return files
    if path.exists() or not _GLOB_SIGNS & set(given):
        return [path]
    matches = sorted(map(Path, glob.glob(given, recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = [file for file in matches if file.is_file() and not file.name.startswith((".", "_"))]
    if not files:
        raise UsageError(f"no file matches {given}")
    return files


def _is_of_rows(file: Path, suffixes: Collection[str]) -> bool:
    return not file.name.startswith((".", "_")) and suffix_of(file) in suffixes


def suffix_of(file: Path) -> str:
    """The suffix of a file's name in small letters, without that of its compression."""
    name = file.name.lower().removesuffix(".gz")
    return Path(name).suffix


def cannot_read(path: str | Path, error: Exception) -> UsageError:
    """The one sentence for a file that cannot be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
    return UsageError(f"cannot read {path}: {reason}")
