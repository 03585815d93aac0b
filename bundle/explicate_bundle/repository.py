"""The folder of bundles, ``repository/<model>/<version>/``, as a listing of names that can be trusted as paths."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explicate_bundle.manifest import MODEL_NAME

MAX_VERSION = 2**31 - 1
"""The largest version: the wire has it as an int32."""


@dataclass(frozen=True, order=True)
class BundleLocation:
    """Where one version of a model lies."""

    model: str
    version: int
    folder: Path


def list_bundles(repository: Path) -> list[BundleLocation]:
    """Every published version, by model, then version.

    Anything else is passed over: hidden folders (a publisher writes there before its one rename), links, and names
    that are not a model or a version.

    Raises:
        OSError: the repository cannot be read.
    """
    locations: list[BundleLocation] = []
    for model in repository.iterdir():
        if model.is_symlink() or not model.is_dir() or not MODEL_NAME.fullmatch(model.name):
            continue
        locations += _versions(model)
    return sorted(locations)


def list_versions(repository: Path, model: str) -> list[BundleLocation]:
    """The published versions of one model; none if there is no such model, or if the name is malformed."""
    folder = repository / model
    if not MODEL_NAME.fullmatch(model) or folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(_versions(folder))


def _versions(model: Path) -> Iterator[BundleLocation]:
    for folder in model.iterdir():
        if _is_version(folder.name) and not folder.is_symlink() and folder.is_dir():
            yield BundleLocation(model.name, int(folder.name), folder)


def _is_version(name: str) -> bool:
    digits = name.isascii() and name.isdigit() and not name.startswith("0") and len(name) <= len(str(MAX_VERSION))
    return digits and int(name) <= MAX_VERSION
