"""The server and the golden calls that the programs of all languages share."""

from collections.abc import Iterator

import pytest

from languages.golden_call import Golden, golden_calls


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Golden]:
    """A server with the golden calls, answered by the Python client."""
    with golden_calls(tmp_path_factory.mktemp("golden")) as calls:
        yield calls
