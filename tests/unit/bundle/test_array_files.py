"""Files of arrays in bundles: whatever is wrong with one is said with its name."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

from explicate_bundle.errors import BundleError
from explicate_bundle.files.array_files import MAX_UNPACKED_BYTES, opened_arrays
from support.faults.mutation import damaged, flipped


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "golden.npz"
    np.savez(path, numbers=np.arange(100.0), codes=np.arange(7))
    return path


def read(path: Path) -> float:
    with opened_arrays(path) as arrays:
        return float(arrays["numbers"].astype(np.float64).sum() + arrays["codes"].sum())


def test_what_was_written_is_read(path: Path) -> None:
    assert read(path) == 99 * 50 + 21


def test_damage_is_told_as_one_error_with_the_files_name(path: Path) -> None:
    """The seeds found NotImplementedError (a compression method of no zip file), EOFError and zlib.error."""
    whole, refused = path.read_bytes(), []
    for seed in range(400):
        path.write_bytes((flipped if seed % 2 else damaged)(random.Random(seed), whole))
        try:
            read(path)  # a flipped bit may stand where nothing is read
        except BundleError as error:
            refused.append(str(error))
    assert len(refused) > 200
    assert all(len(said) > len("golden.npz is not in the format: ") for said in refused)
    assert all(said.startswith(("golden.npz is not in the format: ", "golden.npz unpacks to ")) for said in refused)


def test_a_file_that_unpacks_to_too_much_is_not_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("numbers.npy", "w") as member:
        for _ in range(MAX_UNPACKED_BYTES // (1 << 20) + 1):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(BundleError, match=r"golden\.npz unpacks to 269,484,032 bytes; at most 268,435,456 "):
        read(path)


def test_an_array_that_is_not_there_is_named(path: Path) -> None:
    with (
        pytest.raises(BundleError, match=r"golden\.npz is not in the format: .*weights"),
        opened_arrays(path) as arrays,
    ):
        arrays["weights"]
