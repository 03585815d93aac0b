"""What the tests of the engine share."""

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session", autouse=True)
def _one_blas_thread() -> Iterator[None]:
    """As in the server: on busy cores several threads make small matrices a hundred times slower."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield
