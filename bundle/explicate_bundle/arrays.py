"""Reading a bundle's files of arrays (.npz): without pickle, within bounds, and all that is wrong told as one error."""

import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explicate_bundle.errors import BundleError

# A few images or rows. Compressed zeros could ask for any amount of memory otherwise.
MAX_UNPACKED_BYTES = 1 << 28
# What numpy and zipfile raise for a file that is damaged, has other arrays, or arrays of another type.
_FAULTS = (
    *(KeyError, ValueError, TypeError, OSError, EOFError, NotImplementedError, OverflowError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


@contextmanager
def opened_arrays(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of a file; what goes wrong with reading or converting them inside the block is told as one error.

    Raises:
        BundleError: the file is not in the format, or unpacks to more than MAX_UNPACKED_BYTES.
    """
    try:
        content = path.read_bytes()
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
