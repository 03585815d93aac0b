"""Our server, as a process, against the contract that any server of this API must keep."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.inference_contract import InferenceContract
from support.harness import server_process


@pytest.fixture(scope="module")
def target(tiny_repository: Path) -> Iterator[str]:
    """The address of a server that serves the tiny model."""
    with server_process(tiny_repository) as (_, address):
        yield address


@pytest.fixture(scope="module")
def model() -> str:
    """The model's name."""
    return "tiny"


class TestExplicateServer(InferenceContract):
    """Every clause."""
