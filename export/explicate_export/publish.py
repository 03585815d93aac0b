"""Publication of a bundle in a repository: written aside, put on disk for good, and made visible by one rename.

A reader of `repository/<model>/<version>/` therefore sees a whole bundle or none, whenever the publisher dies. Free of
torch, so that anything that has a graph can publish.

A hidden folder in a repository where a bundle is written before it is seen, and the clearing of dead ones.

`.publishing-<id>/` belongs to the process that holds the lock on `.publishing-<id>.lock`. The operating system drops
the lock when the process ends, however it ends, so a folder whose lock can be taken has no publisher any more.
"""

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from explicate.v1 import bundle_pb2
from explicate_bundle.bundle import check_bundle
from explicate_bundle.errors import BundleError, SignatureError
from explicate_bundle.manifest import MODEL_NAME
from explicate_bundle.repository import MAX_VERSION
from explicate_bundle.signatures import sign_bundle
from explicate_bundle.writing import MANIFEST_NAME, SIGNATURE_NAME, describe_files, manifest_bytes
from explicate_export.errors import PublicationError, UsageError

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


# A rename onto a folder that is not empty.
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


@dataclass(frozen=True)
class StagedBundle:
    """A bundle being written: fill `folder`, then `publish` it."""

    folder: Path
    repository: Path
    model: str
    version: int | None
    sign_key: Path | None = None

    def publish(self, manifest: bundle_pb2.Bundle) -> Path:
        """Completes the manifest (model, version, files), writes it, and returns the folder the bundle is seen in.

        The version is the one asked for, or one above the highest that exists. When another publisher takes that number
        first, the next one is taken. Raises PublicationError if the version asked for is taken, or if the bundle does
        not pass the checks that a server makes at load.
        """
        manifest.model = self.model
        del manifest.files[:]
        names = sorted(path.name for path in self.folder.iterdir() if path.name not in (MANIFEST_NAME, SIGNATURE_NAME))
        manifest.files.extend(describe_files(self.folder, names))
        for name in names:
            _sync(self.folder / name)
        while True:
            manifest.version = self.version or next_version(self.repository, self.model)
            target = self.repository / self.model / str(manifest.version)
            if self._publish_as(target, manifest):
                return target
            if self.version is not None:
                raise PublicationError(_taken(self.repository, self.model, self.version))

    def _publish_as(self, target: Path, manifest: bundle_pb2.Bundle) -> bool:
        path = self.folder / MANIFEST_NAME
        path.write_bytes(manifest_bytes(manifest))
        _sync(path)
        try:
            check_bundle(self.folder, model=self.model, version=manifest.version)
        except BundleError as error:
            raise PublicationError(f"a server would refuse this bundle, so it is not published: {error}") from error
        if self.sign_key is not None:
            self._sign(self.sign_key)
        return self._move(target)

    def publish_as_it_is(self, version: int) -> Path:
        """Publishes a bundle that has its manifest, and maybe a signature, as this version; the caller has checked it.

        Raises PublicationError if the version is taken.
        """
        for path in self.folder.iterdir():
            _sync(path)
        target = self.repository / self.model / str(version)
        if not self._move(target):
            raise PublicationError(_taken(self.repository, self.model, version))
        return target

    def _move(self, target: Path) -> bool:
        """One rename of what is written; False where the target is taken."""
        _sync(self.folder)
        if os.path.lexists(target):
            return False
        try:
            target.parent.mkdir(exist_ok=True)
            self.folder.rename(target)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise _cannot_write(target, error) from error
        _sync(target.parent)
        _sync(self.repository)
        return True

    def _sign(self, key: Path) -> None:
        try:
            sign_bundle(self.folder, key)
        except SignatureError as error:
            raise PublicationError(str(error)) from error
        _sync(self.folder / SIGNATURE_NAME)


@contextmanager
def stage_bundle(
    repository: Path, model: str, *, version: int | None = None, sign_key: Path | None = None
) -> Iterator[StagedBundle]:
    """A bundle to fill and publish; whatever is not published by the end is removed.

    Clears what killed publishers left. Raises UsageError when the name or the version cannot be used, PublicationError
    when the folder cannot be written.
    """
    check_target(repository, model, version=version)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        clear_dead_staging(repository)
        with staging_folder(repository) as folder:
            yield StagedBundle(folder, repository, model, version, sign_key)
    except OSError as error:
        raise _cannot_write(Path(error.filename or repository), error) from error


def check_target(repository: Path, model: str, *, version: int | None = None) -> None:
    """Raises UsageError when that model and version cannot be published there; touches nothing."""
    if not MODEL_NAME.fullmatch(model):
        raise UsageError(
            f"{model!r} cannot name a model: use at most 64 lower-case letters, digits, '.', '_' and '-', "
            "and begin with a letter or digit (--name)"
        )
    if repository.exists() and not repository.is_dir():
        raise UsageError(f"{repository} is not a folder: give the repository's folder with --repository")
    folder = repository / model
    if folder.is_symlink():
        raise UsageError(f"{folder} is a symbolic link: a repository holds real folders only, so replace it by one")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder: move it away, or choose another name with --name")
    if version is None:
        return
    if not 1 <= version <= MAX_VERSION:
        raise UsageError(f"a version is a number from 1 to {MAX_VERSION:,}, not {version} (--version)")
    if os.path.lexists(folder / str(version)):
        raise UsageError(_taken(repository, model, version))


def next_version(repository: Path, model: str) -> int:
    """One above the highest version in the repository, 1 when there is none."""
    folder = repository / model
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return 1 + max((int(name) for name in names if name.isascii() and name.isdigit()), default=0)


def _sync(path: Path) -> None:
    """Puts a file or folder on disk, so that a power cut after the rename cannot leave a bundle of empty files."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _taken(repository: Path, model: str, version: int) -> str:
    return (
        f"{repository / model} already has a version {version}, and published versions never change: "
        "choose another --version, or leave it out to take the next one"
    )


def _cannot_write(path: Path, error: OSError) -> PublicationError:
    code = f", errno {error.errno}" if error.errno else ""
    return PublicationError(f"cannot write in {path} ({error.strerror or error}{code}): check its rights and the disk")
