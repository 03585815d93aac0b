"""Environments of the wheel, and a server for what is installed there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.harness import server_process
from support.installed import Environment, build_wheel


@pytest.fixture(scope="session", name="wheel")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def install(wheel: Path, tmp_path: Path) -> Callable[..., Environment]:
    """Makes an environment of the wheel and what else pip is given."""
    return lambda *pip_arguments: Environment.make(tmp_path / "environment", str(wheel), *pip_arguments)


@pytest.fixture
def tiny_address(tiny_repository: Path) -> Iterator[str]:
    """A server process of this environment that serves the model "tiny"."""
    with server_process(tiny_repository) as (_, address):
        yield address
