"""A bundle's files of arrays (.npz), read without pickle and within bounds, and its text files.

Every fault is raised as BundleError.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any  # arrays of several types

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.errors import BundleError, unreadable

# A few images or rows. Compressed zeros could ask for any amount of memory otherwise.
MAX_UNPACKED_BYTES = 1 << 28
# What numpy and zipfile raise for a file that is damaged, has other arrays, or arrays of another type.
_FAULTS = (
    *(KeyError, ValueError, TypeError, OSError, EOFError, NotImplementedError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


@contextmanager
def opened_arrays(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of a file; every fault in reading or converting them inside the block is raised as one.

    Raises:
        BundleError: the file cannot be read, is not in the format, or unpacks to more than MAX_UNPACKED_BYTES.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path.name, error) from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked_bytes = sum(member.file_size for member in archive.infolist())
        if unpacked_bytes > MAX_UNPACKED_BYTES:
            raise BundleError(
                f"{path.name} unpacks to {unpacked_bytes:,} bytes; at most {MAX_UNPACKED_BYTES:,} are read"
            )
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            yield arrays
    except _FAULTS as error:
        raise BundleError(f"{path.name} is not in the format: {str(error) or type(error).__name__}") from error


def read_text(path: Path) -> str:
    """A text file of a bundle.

    Raises:
        BundleError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise unreadable(path.name, error) from error
    except UnicodeDecodeError as error:
        raise BundleError(f"{path.name} is not UTF-8: {error}") from error


def offsets_of(parts: Sequence[Sized]) -> NDArray[np.int64]:
    """int64[parts + 1], where each of several parts begins and ends once they lie one after the other."""
    return np.cumsum([0, *map(len, parts)]).astype(np.int64)


def pack_bytes(parts: Sequence[bytes], name: str, offsets: str) -> dict[str, NDArray[Any]]:
    """Two arrays, under these names: uint8[bytes] of all parts, and their offsets."""
    return {name: np.frombuffer(b"".join(parts), dtype=np.uint8), offsets: offsets_of(parts)}


def unpack_bytes(arrays: Mapping[str, NDArray[Any]], name: str, offsets: str) -> list[bytes]:
    """The parts that :func:`pack_bytes` packed.

    Raises:
        KeyError, ValueError: they are not in the format.
    """
    data, places = arrays[name].astype(np.uint8).tobytes(), arrays[offsets].tolist()
    if places[:1] != [0] or places[-1:] != [len(data)] or places != sorted(places):
        raise ValueError(f"{offsets} do not fit {name}")
    return [data[start:end] for start, end in pairwise(places)]
