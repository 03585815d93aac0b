"""A hidden folder in a repository where a bundle is written before it is seen, and the clearing of dead ones.

`.publishing-<id>/` is owned by whoever holds the lock on `.publishing-<id>.lock`. The operating system drops the lock
when its process ends, however it ends, so a folder whose lock can be taken has no publisher any more.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".publishing-"
_LOCK_SUFFIX = ".lock"


@contextmanager
def staging_folder(repository: Path) -> Iterator[Path]:
    """An empty folder on the repository's file system, gone at the end."""
    name = f"{PREFIX}{secrets.token_hex(8)}"
    folder, lock = repository / name, repository / f"{name}{_LOCK_SUFFIX}"
    # The lock comes before the folder and goes after it, so a folder without a lock file is always a dead one.
    descriptor = _create_locked(lock)
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def clear_dead_staging(repository: Path) -> list[Path]:
    """Removes what killed publishers left, and returns the folders removed; live publishers keep theirs."""
    for lock in repository.glob(f"{PREFIX}*{_LOCK_SUFFIX}"):
        _clear_if_dead(lock)
    removed = []
    for folder in repository.glob(f"{PREFIX}*"):
        if folder.is_dir() and not folder.is_symlink() and not folder.with_name(folder.name + _LOCK_SUFFIX).exists():
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _create_locked(lock: Path) -> int:
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Somebody clearing up may have removed the file between its creation and our lock on it.
        if os.fstat(descriptor).st_nlink > 0:
            return descriptor
        os.close(descriptor)


def _clear_if_dead(lock: Path) -> None:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:
        return  # gone already, or not ours to touch
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.unlink(missing_ok=True)
    except OSError:
        return  # its publisher lives (or the file system cannot tell)
    finally:
        os.close(descriptor)
