"""Fixtures shared by the tests of all packages."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from support.with_variants import WithVariants

# The contract's classes are imported by the tests that bind them; their asserts should explain themselves too.
pytest.register_assert_rewrite("contract")
# An example may take its time on a busy machine; each test has a cap of its own.
settings.register_profile("explicate", deadline=None)
settings.load_profile("explicate")


@pytest.fixture(scope="session", autouse=True)
def _nobodys_contexts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The contexts of whoever runs the tests are not those of the tests, nor of the processes that they start."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        for name in ("EXPLICATE_CONTEXT", "EXPLICATE_MODEL"):
            patched.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def table_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the tabular classifier "loans" and the regression "losses". For reading only."""
    from support.tiny_table_bundle import build_table_repository

    return build_table_repository(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="session")
def image_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the image models "animals", "ages" and "tags". For reading only."""
    from support.tiny_image_bundle import build_image_repository

    return build_image_repository(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> "WithVariants":
    """Bundles with an fp16 variant, one of each kind of input. For reading only."""
    from support.with_variants import WithVariants

    return WithVariants(tmp_path_factory.mktemp("variants"))


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with version 1 of the model "tiny". For reading only: a test that changes it copies it first."""
    from support.tiny_bundle import build_tiny_repository  # torch, only for the tests that need a bundle

    return build_tiny_repository(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def no_cycle_collection() -> Iterator[None]:
    """A freed version must be in no cycle: collecting them would stop the whole server."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
