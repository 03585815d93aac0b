"""A repository for the faults: two versions of a text model that answer differently, and a table's model."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def pristine_repository(tmp_path_factory: pytest.TempPathFactory, table_repository: Path) -> Path:
    """Versions 1 and 2 of "tiny", and "loans". For reading only."""
    from support.faults.soaked_repository import build_soaked_repository

    return build_soaked_repository(tmp_path_factory.mktemp("pristine"), table_repository)


@pytest.fixture
def repository(pristine_repository: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(pristine_repository, tmp_path / "repository"))
