"""The folder of a run: who may write to it, its manifest, which parts it has, and its end.

    _manifest.json       what the output depends on, written first
    part-000000.parquet  the answers to the rows of each part, in the order of the inputs
    _failed/part-…       rows that do not have an answer, and why
    _SUCCESS             written last

Readers of whole folders (pandas, pyarrow, Spark) leave out what begins with `_`, so that they read the parts alone.

Every file is written under another name, forced to the disk and renamed, so that a file with its own name is whole,
whatever was killed when. One process writes to a folder, or one for each shard.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from explicate.errors import ExplicateError, UsageError
from explicate.scoring.run_manifest import MANIFEST, RunManifest

SUCCESS = "_SUCCESS"
FAILED = "_failed"
_LOCK = ".lock"
_UNFINISHED = ".tmp"
_PART = re.compile(r"part-(\d{6,})\.parquet")


class CannotWrite(ExplicateError):
    """The disk is full or refuses; what is there already is kept."""


class OutputFolder:
    """One run's folder, for the process that does shard `shard[0]` of `shard[1]`."""

    def __init__(self, path: Path, shard: tuple[int, int] = (1, 1)) -> None:
        self.path = path
        self._shard = shard

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others out; raises UsageError if another process is at work here, or the folder is something else.

        The operating system gives up the locks of a process that dies.
        """
        with ExitStack() as locks:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                self._check_is_ours()
                (self.path / FAILED).mkdir(exist_ok=True)
                self._lock(locks)
            except OSError as error:
                raise _cannot_write(self.path, error) from error
            yield

    def _lock(self, locks: ExitStack) -> None:
        number, of = self._shard
        wanted = {_LOCK: False} if of == 1 else {_LOCK: True, f"{_LOCK}-{number}-of-{of}": False}
        for name, shared in wanted.items():
            file = locks.enter_context((self.path / name).open("a"))
            if not _is_locked(file, shared=shared):
                raise UsageError(f"another process writes to {self.path}: wait for it, or choose another --output")

    def manifest(self) -> RunManifest | None:
        """The manifest, if there is one yet."""
        try:
            text = (self.path / MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {self.path / MANIFEST}: {error}") from error
        return RunManifest.from_json(text, str(self.path / MANIFEST))

    def begin(self, manifest: RunManifest) -> RunManifest:
        """Write the manifest, unless another shard was first; returns the one that is there."""
        unfinished = self.path / f"{MANIFEST}.{os.getpid()}{_UNFINISHED}"
        with written_whole(unfinished, replace=False) as file:
            file.write(manifest.to_json().encode())
        try:
            os.link(unfinished, self.path / MANIFEST)  # unlike a rename it fails if there is one
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not (self.path / MANIFEST).exists():
                unfinished.replace(self.path / MANIFEST)
        unfinished.unlink(missing_ok=True)
        sync_folder(self.path)
        found = self.manifest()
        assert found is not None, "it was written or found just now"
        return found

    def part(self, number: int) -> Path:
        """The file of a part."""
        return self.path / f"part-{number:06d}.parquet"

    def failed_part(self, number: int) -> Path:
        """The file of a part's failed rows."""
        return self.path / FAILED / f"part-{number:06d}.parquet"

    def parts(self) -> set[int]:
        """The numbers of the parts that are done."""
        return _numbers(self.path)

    def parts_with_failures(self) -> set[int]:
        """The numbers of the parts that are done and have failed rows."""
        return _numbers(self.path / FAILED) & self.parts()

    def clear_unfinished(self, mine: Callable[[int], bool]) -> None:
        """Remove what was left of this shard's parts by a process that was killed."""
        for folder in (self.path, self.path / FAILED):
            for path in folder.glob(f"part-*{_UNFINISHED}"):
                match = _PART.match(path.name)
                if match and mine(int(match[1])):
                    path.unlink(missing_ok=True)

    def finish(self, *, rows: int, failed: int) -> None:
        """Write `_SUCCESS`, which says how many rows there are and how many of them failed."""
        with written_whole(self.path / SUCCESS) as file:
            file.write((json.dumps({"rows": rows, "failed": failed}) + "\n").encode())

    def is_finished(self) -> bool:
        """Whether `_SUCCESS` is there."""
        return (self.path / SUCCESS).exists()

    def _check_is_ours(self) -> None:
        if (self.path / MANIFEST).exists():
            return
        foreign = [
            each.name
            for each in self.path.iterdir()
            if each.name != FAILED and not each.name.startswith(".") and not each.name.endswith(_UNFINISHED)
        ]
        if foreign:
            raise UsageError(
                f"{self.path} is not empty ({min(foreign)}) and not the output of a run: choose another --output"
            )


@contextmanager
def written_whole(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name only once all of it is on the disk; an error leaves nothing.

    Without `replace` it is the unfinished file itself. Raises CannotWrite.
    """
    unfinished = path.with_name(f"{path.name}{_UNFINISHED}") if replace else path
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            unfinished.replace(path)
            sync_folder(path.parent)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from error
        raise


def sync_folder(folder: Path) -> None:
    """Force a folder's names to the disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(path: Path, error: OSError) -> CannotWrite:
    why = error.strerror or str(error)
    return CannotWrite(
        f"cannot write {path}: {why}; what is done is kept, run the same command again once it can be written"
    )


def _numbers(folder: Path) -> set[int]:
    names = (_PART.fullmatch(path.name) for path in folder.iterdir())
    return {int(match[1]) for match in names if match}


def _is_locked(file: IO[str], *, shared: bool) -> bool:
    """Whether the lock of a file could be had, which holds until the file is closed."""
    try:
        import fcntl
    except ImportError:  # Windows: there one process at a time is up to the user
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
