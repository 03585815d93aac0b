"""Images whose files a column has, or names, by paths from the folder of the file that has the row.

A path that leads out of that folder is refused, and so is one by way of a link: a list of rows from elsewhere must not
send other files of this machine to a server.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.compute as pc

from explicate.errors import UsageError, invalid_argument
from explicate.inputs import GivenValue, Image, Input
from explicate.scoring.interfaces import Refusal
from explicate.scoring.rows.texts import refused


@dataclass(frozen=True)
class ImageFiles:
    """Images, each read when it is wanted. `folders` gives the folder of a row's file by the row's place."""

    column: str
    paths: pa.Array
    folders: Callable[[int], Path]
    max_bytes: int

    @staticmethod
    def of(
        column: str, paths: pa.Array, folders: Callable[[int], Path], *, max_bytes: int
    ) -> tuple[ImageFiles, dict[int, Refusal]]:
        """The images of a column of paths, and the rows without a path."""
        refusals = {
            place: refused(column, f"column {column}: there is no path")
            for place, path in enumerate(paths.cast(pa.string()).to_pylist())
            if not path
        }
        return ImageFiles(column, paths, folders, max_bytes), refusals

    def __len__(self) -> int:
        return len(self.paths)

    def value(self, place: int) -> Input:
        """One image; raises InvalidArgument for a path that is refused, and a file that cannot be read or sent."""
        name: str = self.paths[place].as_py()
        try:
            return Image.open(safe_path(self.folders(place), name), max_bytes=self.max_bytes)
        except UsageError as error:
            raise invalid_argument(self.column, f"column {self.column}: {error}") from error

    def columns(self, places: Sequence[int]) -> Mapping[str, Iterable[GivenValue]] | None:  # noqa: ARG002
        """None: images are not sent packed."""
        return None


@dataclass(frozen=True)
class ImageBytes:
    """Images of which a column has the files themselves."""

    files: pa.Array

    @staticmethod
    def of(column: str, files: pa.Array) -> tuple[ImageBytes, dict[int, Refusal]]:
        """The images of a column of bytes, and the rows without any."""
        sizes = pc.fill_null(pc.binary_length(files), 0).to_pylist()
        there_is_none = refused(column, f"column {column}: there is no image")
        return ImageBytes(files), {place: there_is_none for place, size in enumerate(sizes) if not size}

    def __len__(self) -> int:
        return len(self.files)

    def value(self, place: int) -> Input:
        """One image."""
        return Image(self.files[place].as_py())

    def columns(self, places: Sequence[int]) -> Mapping[str, Iterable[GivenValue]] | None:  # noqa: ARG002
        """None: images are not sent packed."""
        return None


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type has bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def safe_path(folder: Path, name: str) -> Path:
    """The file `name` in or below `folder`; raises UsageError for a path out of it, a link, or what is not a file."""
    parts = PurePath(name).parts
    if os.path.isabs(name) or ".." in parts or "\0" in name:  # noqa: PTH117 - as the system reads it
        raise UsageError(f"{name} does not lie in the folder of the input")
    path = folder
    for part in parts:
        path = path / part
        try:
            mode = path.lstat().st_mode
        except OSError as error:
            raise UsageError(f"cannot read {name}: {error.strerror}") from error
        if stat.S_ISLNK(mode):
            raise UsageError(f"{name} leads through a link, which is not followed")
    if not parts or not stat.S_ISREG(mode):
        raise UsageError(f"{name} is not a file")
    return path
